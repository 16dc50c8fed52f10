"""CPUs of this host for one VM alone, and all others off them. Every function here blocks.

The host itself chooses, at the last moment before the VM runs: it alone knows what is free. So a copy of a migration comes
without any, and the one that goes on here again keeps what it had. The choice is in the domain's record, before anything is
pinned by it, and so outlasts node and libvirtd; it ends with the domain.

On a host without exclusive CPUs nothing is pinned. On another one a VM without CPUs of its own, and what QEMU does beside
the vCPUs of any VM, is kept to the CPUs of everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

from drivers import disk, pinning

if TYPE_CHECKING:
    from drivers.libvirt.domains import Domains, Here

BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


def reserved(domains: Domains, here: Here) -> Here:
    """With CPUs in its record, if it wants some and has none yet; still with none if there are too few. It has a process."""
    files, wanted = domains.files, pinning.wanted(here.record.vm)
    if files is None or here.record.cpus or not wanted:
        return here
    with disk.locked(files.state / "locks" / ".cpus", f"the exclusive CPUs of {files.host}"):
        others = [one for one in domains.known() if one.is_here and one.vm != here.vm]
        taken = {cpu for one in others for cpu in one.record.cpus}
        exclusive, _ = pinning.divided(_online(domains), files.exclusive_cpus)
        return domains.write(here, cpus=pinning.chosen(wanted, exclusive, taken))


def pinned(domains: Domains, here: Here) -> Here:
    """As it is when its vCPUs are where they belong, by its record."""
    files = domains.files
    if files is None or not files.exclusive_cpus:
        return here
    here = reserved(domains, here)
    online, own, rest = _online(domains), here.record.cpus, shared(domains)
    with domains.link.doing(f"pin {here.vm}"):
        here.domain.pinEmulator(_map(rest, online), BOTH)
        for vcpu in range(here.record.vm.vcpus):
            here.domain.pinVcpuFlags(vcpu, _map((own[vcpu],) if own else rest, online), BOTH)
    return here


def shared(domains: Domains) -> tuple[int, ...]:
    """CPUs of everybody; () where all are."""
    exclusive_cpus = domains.files.exclusive_cpus if domains.files else 0
    return pinning.divided(_online(domains), exclusive_cpus)[1] if exclusive_cpus else ()


def _online(domains: Domains) -> list[int]:
    with domains.link.doing("which CPUs there are", mutates=False) as connection:
        _, are_online, _ = connection.getCPUMap()
    return [cpu for cpu, is_online in enumerate(are_online) if is_online]


def _map(cpus: tuple[int, ...], online: list[int]) -> tuple[bool, ...]:
    return tuple(cpu in cpus for cpu in range(online[-1] + 1))
