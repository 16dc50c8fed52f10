"""What a host must be, and must have left, to take a VM: the rules once more, as plain sums over the store's documents."""

from __future__ import annotations

from collections.abc import Iterator

from ave.model.group import Aspect, Group, Rule
from ave.model.host import Host, HostState
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


def groups_of(stage: Stage, vm: str) -> list[Group]:
    """The enabled ones."""
    groups = stage.store.ledger.find(Group, {}, (), 0, None)
    return [group for group in groups if group.enabled and vm in group.vms]


def others_on(stage: Stage, host: str, vm: str) -> list[VM]:
    """Who holds room there, or shall."""
    vms: list[VM] = stage.store.ledger.find(VM, {}, (), 0, None)
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
    taken: dict[tuple[str, str], str] = {}  # a group and one of the VMs -> its host
    for vm in sorted(vms, key=lambda vm: -vm.memory_mib):
        groups = groups_of(stage, vm.id)
        able = [
            host
            for name, mib in free.items()
            if mib >= vm.memory_mib and (host := stage.host(name)) is not None and not any(bars(stage, vm, host))
        ]
        for group in groups:
            mates = [taken[group.id, name] for name in group.vms if (group.id, name) in taken]
            if group.rule is Rule.MUST_SAME_HOST and mates:
                able = [host for host in able if host.id in mates]
            elif group.rule is Rule.MUST_DIFFERENT_HOSTS:
                able = [host for host in able if host.id not in mates]
        if not able:
            return False
        best = max(able, key=lambda host: free[host.id])
        free[best.id] -= vm.memory_mib
        taken |= {(group.id, vm.id): best.id for group in groups}
    return True
