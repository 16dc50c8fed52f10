"""Placement groups and the VMs that come and go: a VM is in its groups from the commit in which it begins to be, and in none
from the one in which it begins to be deleted.

A group is written on the condition that it is as it was read, so whoever changes it meanwhile makes the other begin again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from ave.errors import Refused
from ave.jobs.verb import Found
from ave.model.group import Group
from ave.model.host import Host
from ave.operations import NewVM
from ave.placement.contradictions import contradictions
from ave.ports.store import Conflict, Replace, Write
from ave.ports.together import Ports


def require_distinct(new: NewVM) -> None:
    for index, name in enumerate(new.groups):
        if not name or name in new.groups[:index]:
            what = f"{name} is named twice" if name else "it is empty"
            raise Refused(f"VM {new.id}: groups[{index}]: {what}")


def unjoinable(new: NewVM, found: Found) -> str:
    """Why the VM cannot be in all the groups that it names, or ""."""
    for name in new.groups:
        if found.get(Group, name) is None:
            return f"{new.id} cannot be in placement group {name}: there is none"
    return ""


def unkeepable(new: Iterable[NewVM], found: Found) -> str:
    """What can never be kept any more once they are in their groups, or "". An old contradiction is no reason to refuse."""
    before, bound = _groups(found), [one for one in new if one.groups]
    if not bound:
        return ""
    after = joined(bound, before)
    hosts = [host for host in found.of(Host).values() if host is not None]
    whys = contradictions([*{**before, **after}.values()], hosts)
    known = dict.fromkeys(contradictions(before.values(), hosts) if whys else ())
    return "; ".join(why for why in whys if why not in known)


def joining(new: Iterable[NewVM], found: Found) -> list[Write]:
    return [Replace(group) for group in joined(new, _groups(found)).values()]


def joined(new: Iterable[NewVM], groups: Mapping[str, Group]) -> dict[str, Group]:
    """The groups that change: they have these VMs if they are named, and else no VM that once had such a name."""
    wanted = {one.id: one.groups for one in new}
    after: dict[str, Group] = {}
    for id, group in groups.items():
        own = [vm for vm, names in wanted.items() if id in names]
        vms = (*(vm for vm in group.vms if vm not in wanted), *own)
        if dict.fromkeys(vms) != dict.fromkeys(group.vms):
            after[id] = replace(group, vms=vms)
    return after


def leaving(vms: Iterable[str], found: Found) -> list[Write]:
    return [Replace(group) for group in _without(vms, _groups(found).values())]


async def leave(ports: Ports, vm: str) -> None:
    """The VM is in no group when this returns: also one that could not be made, or that was put into one meanwhile."""
    while True:
        writes = [Replace(group) for group in _without((vm,), await ports.store.find(Group))]
        if not writes:
            return
        try:
            await ports.store.commit(*writes)
            return
        except Conflict:
            continue  # somebody else got on: look again


def _without(vms: Iterable[str], groups: Iterable[Group]) -> list[Group]:
    gone = dict.fromkeys(vms)
    concerned = [group for group in groups if any(vm in gone for vm in group.vms)]
    return [replace(group, vms=tuple(vm for vm in group.vms if vm not in gone)) for group in concerned]


def _groups(found: Found) -> dict[str, Group]:
    return {id: group for id, group in found.of(Group).items() if group is not None}
