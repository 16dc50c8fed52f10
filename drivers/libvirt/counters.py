"""What libvirt counts of domains, and where it has put their consoles. Every function here blocks."""

from __future__ import annotations

from typing import Any

import libvirt

from ave.errors import Refused
from ave.ports.hypervisor import Console, Progress, Usage
from drivers.libvirt.domains import Domains, Here
from drivers.libvirt.faults import is_gone
from drivers.libvirt.record import uuid_of

KINDS = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
# a process that answers nobody, one whose disk hangs say, is left out of what needs its answer, and waited for by nobody
ACTIVE = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
COPIES_OUT = (libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT,)
MIB = 2**20


def usage(domains: Domains) -> tuple[Usage, ...]:
    running = {uuid_of(here.vm): here for here in domains.known() if here.active}
    with domains.link.doing("count what domains use", mutates=False) as connection:
        counted = {domain.UUIDString(): counts for domain, counts in connection.getAllDomainStats(KINDS, ACTIVE)}
    return tuple(_usage(here, counted[uuid]) for uuid, here in running.items() if uuid in counted)


def _usage(here: Here, counts: dict[str, Any]) -> Usage:
    def total(what: str, last: str) -> int:
        return sum(
            int(counts.get(f"{what}.{number}.{last}", 0)) for number in range(int(counts.get(f"{what}.count", 0)))
        )

    return Usage(
        vm=here.vm,
        epoch=here.epoch,
        cpu_seconds=counts.get("cpu.time", 0) / 1e9,
        memory_mib=int(counts.get("balloon.rss", 0)) // 1024,
        reads=total("block", "rd.reqs"),
        writes=total("block", "wr.reqs"),
        read_bytes=total("block", "rd.bytes"),
        written_bytes=total("block", "wr.bytes"),
        received_bytes=total("net", "rx.bytes"),
        sent_bytes=total("net", "tx.bytes"),
    )


def console(domains: Domains, vm: str) -> Console:
    root = domains.xml_of(present(domains, vm), 0)
    listen, serial = root.find("devices/graphics[@type='vnc']/listen[@type='socket']"), root.find("devices/console")
    screen = listen.get("socket", "") if listen is not None else ""
    return Console(screen=screen, serial=serial.get("tty", "") if serial is not None else "")


def present(domains: Domains, vm: str) -> Here:
    here = domains.look(vm)
    if here is None or not here.active:
        raise Refused(f"{vm} has no process on {domains.name}")
    return here


def progress(domains: Domains, vm: str) -> Progress | None:
    here = domains.look(vm)
    if here is None or not here.active:
        return None
    with domains.link.doing(f"look how far {vm} is", mutates=False):
        try:
            job = here.domain.jobStats()
        except libvirt.libvirtError as error:
            if is_gone(error):
                return None
            raise
    if job.get("operation") not in COPIES_OUT:
        return None
    return Progress(
        seconds=job.get("time_elapsed", 0) / 1e3,
        sent_mib=job.get("memory_processed", 0) / MIB,
        left_mib=job.get("memory_remaining", 0) / MIB,
    )
