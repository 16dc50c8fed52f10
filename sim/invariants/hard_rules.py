"""What a host must be, and must have left, to take a VM: the rules once more, as plain sums over the store's documents."""

from __future__ import annotations

from collections.abc import Iterator

from ave.model.group import Aspect, Group, Rule
from ave.model.host import Host, HostState, Report
from ave.model.vm import VM, VMState
from sim.invariants.shape import Stage

SOMEWHERE = (VMState.STARTING, VMState.RUNNING, VMState.SUSPENDED)


def unfit(stage: Stage, vm: VM, host: Host) -> Iterator[str]:
    """Why the host may not take the VM now, whatever room it has."""
    if host.state is not HostState.ONLINE:
        yield f"is {host.state}"
    yield from bars(stage, vm, host)


def bars(stage: Stage, vm: VM, host: Host) -> Iterator[str]:
    """The same, should the host be online."""
    if any(network not in host.networks for network in vm.networks):
        yield "lacks a network of it"
    if "any" not in (vm.cpu_model, host.cpu_model) and vm.cpu_model != host.cpu_model:
        yield f"has CPU {host.cpu_model}"
    for group in groups_of(stage, vm.id):
        if group.rule.must and _breaks(stage, vm, host, group):
            yield f"breaks {group.id}: it {group.phrase}"


def cut_off(stage: Stage, vm: VM, host: Host) -> bool:
    """Does a network that it needs carry nothing there, as the host has said, or will say within seconds?"""
    report, machine = stage.store.ledger.get(Report, host.id), stage.machines.get(host.id)
    down = (*(report.down if report is not None else ()), *(machine.networks_down if machine is not None else ()))
    return any(network in down for network in vm.networks)


def short(stage: Stage, vm: VM, host: Host) -> Iterator[str]:
    """Of what that has a limit the host would have too little, with all that is there and on its way."""
    if not (host.nics_max or host.volumes_max):
        return
    there = [vm, *others_on(stage, host.id, vm.id)]
    for limit, what, used in (
        (host.nics_max, "virtual NICs", sum(len(one.networks) for one in there)),
        (host.volumes_max, "attached volumes", sum(len(one.media) for one in there)),
    ):
        if 0 < limit < used:
            yield f"would have {used} {what} of {limit}"


def fits(stage: Stage, vm: VM, host: Host, *, rescue: bool) -> bool:
    """May the host take the VM now, and has it room?"""
    others = others_on(stage, host.id, vm.id)
    if sum(one.memory_mib for one in others) + vm.memory_mib > host.memory_mib - host.reserve_mib:
        return False
    pins = sum(one.vcpus for one in others if one.pinned)
    if vm.pinned and not rescue and pins + vm.vcpus > host.exclusive_cpus:
        return False
    return not any(unfit(stage, vm, host)) and not any(short(stage, vm, host)) and not cut_off(stage, vm, host)


def groups_of(stage: Stage, vm: str) -> list[Group]:
    """The enabled ones."""
    return [group for group in stage.store.ledger.all(Group) if vm in group.vms and group.enabled]


def others_on(stage: Stage, host: str, vm: str) -> list[VM]:
    """Who holds room there, or shall."""
    vms: list[VM] = stage.store.ledger.all(VM)
    return [
        one
        for one in vms
        if one.id != vm and (one.reserved == host or (one.host == host and (one.holds_memory or one.reserved == host)))
    ]


def _breaks(stage: Stage, vm: VM, host: Host, group: Group) -> bool:
    others = [other for name in group.vms if name != vm.id and (other := stage.vm(name)) is not None]
    match group.rule.aspect:
        case Aspect.HOSTS:
            return host.id not in group.hosts
        case Aspect.NOT_HOSTS:
            return host.id in group.hosts
        case Aspect.ZONE:
            return host.zone != group.zone
        case Aspect.SAME_HOST:
            return any(goal not in ("", host.id) for goal in map(_goal, others))
        case Aspect.DIFFERENT_HOSTS:
            return any(host.id in (_goal(other), _here(other)) for other in others)


def _here(vm: VM) -> str:
    return vm.host if vm.state in SOMEWHERE else ""


def _goal(vm: VM) -> str:
    return vm.reserved or _here(vm)


def room_for_all(stage: Stage, vms: list[VM], free: dict[str, int]) -> bool:
    """Is there a way to place them all by their must rules in so much memory? Tries one: a yes is sure, a no is a doubt."""
    rooms = {name: _Room(stage, name, mib) for name, mib in free.items()}
    for vm in sorted(vms, key=lambda vm: -vm.memory_mib):
        groups = groups_of(stage, vm.id)
        able = [room for room in rooms.values() if room.takes(stage, vm)]
        for group in groups:
            mates = [room for room in rooms.values() if any(one.id in group.vms for one in room.taken)]
            if group.rule is Rule.MUST_SAME_HOST and mates:
                able = [room for room in able if room in mates]
            elif group.rule is Rule.MUST_DIFFERENT_HOSTS:
                able = [room for room in able if room not in mates]
        if not able:
            return False
        max(able, key=lambda room: room.mib).take(vm)
    return True


class _Room:
    """What is left of a host while VMs are placed for the sake of argument."""

    def __init__(self, stage: Stage, host: str, mib: int) -> None:
        self.host, self.mib = stage.host(host), mib
        self.taken: list[VM] = []
        limited = self.host is not None and (self.host.nics_max or self.host.volumes_max)
        others = others_on(stage, host, "") if limited else []
        self._nics = sum(len(one.networks) for one in others)
        self._volumes = sum(len(one.media) for one in others)

    def takes(self, stage: Stage, vm: VM) -> bool:
        host = self.host
        if host is None or vm.memory_mib > self.mib or any(bars(stage, vm, host)):
            return False
        if cut_off(stage, vm, host):
            return False
        nics = host.nics_max and self._nics + len(vm.networks) > host.nics_max
        volumes = host.volumes_max and self._volumes + len(vm.media) > host.volumes_max
        return not nics and not volumes

    def take(self, vm: VM) -> None:
        self.taken.append(vm)
        self.mib -= vm.memory_mib
        self._nics += len(vm.networks)
        self._volumes += len(vm.media)
