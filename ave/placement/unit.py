"""What is placed in one piece: a VM, or several that must be on one host and so find room for all of them or for none."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from ave.model.vm import VM


class Unit(NamedTuple):
    vms: tuple[VM, ...]
    whole: VM  # as one VM of their size: what scores and room are reckoned with
    exclusive_cpus: int  # that they want for themselves
    wish: tuple[tuple[tuple[str, ...], str], ...]  # the networks and the CPU model that each needs

    @property
    def name(self) -> str:
        return " + ".join(vm.id for vm in self.vms)

    @property
    def nics(self) -> int:
        return sum(len(vm.networks) for vm in self.vms)

    @property
    def media(self) -> int:
        return sum(len(vm.media) for vm in self.vms)


def alone(vm: VM) -> Unit:
    return Unit((vm,), vm, vm.vcpus if vm.pinned else 0, ((vm.networks, vm.cpu_model),))


def together(vms: tuple[VM, ...]) -> Unit:
    """What else they need is asked of each of them."""
    if len(vms) == 1:
        return alone(vms[0])
    vcpus, memory_mib = sum(vm.vcpus for vm in vms), sum(vm.memory_mib for vm in vms)
    exclusive_cpus = sum(vm.vcpus for vm in vms if vm.pinned)
    wish = tuple([(vm.networks, vm.cpu_model) for vm in vms])
    return Unit(vms, replace(vms[0], vcpus=vcpus, memory_mib=memory_mib), exclusive_cpus, wish)
