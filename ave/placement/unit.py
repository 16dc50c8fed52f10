"""What is placed in one piece: a VM, or several that must be on one host and so find room for all of them or for none."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from ave.model.vm import VM


class Unit(NamedTuple):
    vms: tuple[VM, ...]
    whole: VM  # as one VM of their size: what scores and room are reckoned with

    @property
    def name(self) -> str:
        return " + ".join(vm.id for vm in self.vms)

    @property
    def exclusive_cpus(self) -> int:
        """That they want for themselves."""
        return sum(vm.vcpus for vm in self.vms if vm.pinned)

    @property
    def nics(self) -> int:
        return sum(len(vm.networks) for vm in self.vms)

    @property
    def media(self) -> int:
        return sum(len(vm.media) for vm in self.vms)


def alone(vm: VM) -> Unit:
    return Unit((vm,), vm)


def together(vms: tuple[VM, ...]) -> Unit:
    """What else they need is asked of each of them."""
    if len(vms) == 1:
        return alone(vms[0])
    vcpus, memory_mib = sum(vm.vcpus for vm in vms), sum(vm.memory_mib for vm in vms)
    return Unit(vms, replace(vms[0], vcpus=vcpus, memory_mib=memory_mib))
