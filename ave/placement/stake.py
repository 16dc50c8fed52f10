"""What a view keeps of one VM: its size, where it counts, and where it is for the rules that tie VMs to each other."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from ave.model.vm import VM, VMState

# How much of its host a VM takes; each level includes those below it. What is left of a lost one holds room, and is nowhere.
ASSIGNED, LOST, HOLDING, RUNNING = range(4)
_LEVELS: Final = {
    VMState.STARTING: HOLDING,
    VMState.RUNNING: RUNNING,
    VMState.SUSPENDED: HOLDING,
    VMState.UNKNOWN: LOST,
}


class Stake(msgspec.Struct, frozen=True, gc=False):
    """What the view knows of one VM: its size and where it counts. Hidden from the collector: there are many."""

    vcpus: int
    memory_mib: int
    host: str  # "" if it is on none
    level: int
    reserved: str  # the further host where a Job holds room for it, or ""
    cpus: int = 0  # that it has for itself on its host …
    reserved_cpus: int = 0  # … and shall have on the further one
    nics: int = 0
    volumes: int = 0


def stake_of(vm: VM) -> Stake:
    level = _LEVELS.get(vm.state, ASSIGNED)
    reserved = vm.reserved
    if reserved == vm.host and reserved:
        # Being started where it was last: one VM, counted once, and its place is known even if it was lost.
        level = RUNNING if level == ASSIGNED else max(level, HOLDING)
        reserved = ""
    cpus = vm.vcpus if vm.pinned and not vm.unpinned else 0
    reserved_cpus = vm.vcpus if vm.pinned and level == RUNNING else cpus  # who moves is pinned again where it arrives
    nics, volumes = len(vm.networks), len(vm.media)
    return Stake(vm.vcpus, vm.memory_mib, vm.host, level, reserved, cpus, reserved_cpus, nics, volumes)


class Seats(NamedTuple):
    """Where a VM is, for the rules that tie VMs to each other."""

    hosts: tuple[str, ...]  # wherever it runs or stands still, and where it is going to
    goal: str  # where it is going to be, or "": nobody knows yet


NOWHERE: Final = Seats((), "")
