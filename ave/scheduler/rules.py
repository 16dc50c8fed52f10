"""Placement groups change between two placements, by the Active scheduler alone: it knows all other rules, and all hosts.

Committed against the role's term, so that of two changes that contradict each other the later one finds the earlier.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ave.errors import Refused, Unavailable
from ave.model.cluster import Lock, lock_name
from ave.model.group import Group, GroupState
from ave.model.states import born, move
from ave.model.vm import VM, VMState
from ave.model.work import Fact, Work
from ave.operations import DescribedGroup
from ave.placement.contradictions import contradictions, listed
from ave.placement.violations import broken_by
from ave.ports.store import Check, Conflict, Delete, In, Insert, Replace, Write
from ave.ports.together import Ports
from ave.scheduler.maintenance import Active
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import still_held
from ave.scheduler.steps import Change, Changing

TRIES = 10
SAID = 5  # contradictions, or broken rules, in one result


async def change(ports: Ports, task: Work, active: Active) -> dict[str, Fact]:
    """The function of a change step. Its fact says which VMs the rule finds where they must not be."""
    asked = msgspec.convert(task.arguments, Changing, strict=False)
    locked = Check(Lock, lock_name(Group, task.resource), {"job": task.job})
    for _ in range(TRIES):
        known = await ports.store.get(Group, task.resource)
        role, mirror = active()
        if known is not None:
            mirror.learn_group(known)
        after = changed(known, asked, task)
        if known is None and after is None:  # an earlier attempt got this far
            mirror.forget_group(task.resource)
            return {}
        if after is None:
            writes: list[Write] = [Delete(known)]
        elif after is known:  # by an earlier attempt, or by somebody before
            return {known.id: Fact(note=_tell(ports, known, mirror))}
        else:
            writes = [*await _members(ports, known, after), Replace(after) if known is not None else Insert(after)]
            require_keepable(after, mirror)
        try:
            answers = await ports.store.commit(*writes, still_held(role), locked)
        except Conflict:
            continue  # something moved under the decision: decide again
        if after is None:
            mirror.forget_group(task.resource)
            return {}
        written: Group = answers[len(writes) - 1]
        mirror.learn_group(written)
        return {written.id: Fact(note=_tell(ports, written, mirror))}
    raise Unavailable(f"{task.resource} changes faster than can be decided")


def changed(known: Group | None, asked: Changing, task: Work) -> Group | None:
    """The group as it shall be; None: gone; the very same: it is so. What an earlier attempt of the Job did is done."""
    match asked.change:
        case Change.DELETE:
            return None
        case Change.DESCRIBE if asked.wish is not None:
            return known if known is not None and known.said_by == task.job else _described(known, asked.wish, task)
    if known is None:
        raise Refused(f"there is no placement group {task.resource}")
    state = GroupState.ENABLED if asked.change is Change.ENABLE else GroupState.DISABLED
    return known if known.state is state else move(known, state, "its user wants it so", said_by=task.job)


def _described(known: Group | None, wish: DescribedGroup, task: Work) -> Group:
    state = GroupState.ENABLED if wish.enabled else GroupState.DISABLED
    parts = {"rule": wish.rule, "vms": wish.vms, "hosts": wish.hosts, "zone": wish.zone, "said_by": task.job}
    if known is None:
        return born(msgspec.convert({"id": wish.id, "tenant": task.tenant, **parts}, Group), state)
    after = msgspec.structs.replace(known, **parts)
    return after if known.state is state else move(after, state, "its user wants it so")


async def _members(ports: Ports, known: Group | None, after: Group) -> list[Write]:
    """The condition that VMs which come into the group are there. Refused, naming those that are not."""
    new = [vm for vm in after.vms if known is None or vm not in known.vms]
    there = {vm.id: vm for vm in await ports.store.find(VM, {"id": In(tuple(new))})} if new else {}
    if missing := [vm for vm in new if vm not in there]:
        raise Refused(f"group {after.id}: vms: there is no VM {listed(missing)}")
    if going := [vm for vm in new if there[vm].state is VMState.DELETING]:
        raise Refused(f"group {after.id}: vms: {listed(going)} is being deleted")
    return [Check(VM, vm) for vm in new]


def require_keepable(group: Group, mirror: Mirror) -> None:
    """Refused if it names what there is not, or if with all other enabled rules it can never be kept."""
    if unknown := [host for host in group.hosts if host not in mirror.hosts]:
        raise Refused(f"group {group.id}: hosts: there is no host {listed(unknown)}")
    if group.zone and mirror.view.zone_code(group.zone) < 0:
        raise Refused(f"group {group.id}: zone: there is no zone {group.zone}")
    others = [other for other in mirror.groups.values() if other.id != group.id]
    if whys := newly_contradictory(others, [group], mirror):
        more = f"; and {len(whys) - SAID} more" if len(whys) > SAID else ""
        raise Refused(f"group {group.id} cannot be kept: {'; '.join(whys[:SAID])}{more}")


def newly_contradictory(others: Iterable[Group], groups: Iterable[Group], mirror: Mirror) -> list[str]:
    """What these groups make impossible that the others alone do not: an old contradiction is no reason to refuse."""
    others, hosts = list(others), mirror.hosts.values()
    whys = contradictions([*others, *groups], hosts)
    before = dict.fromkeys(contradictions(others, hosts) if whys else ())
    return [why for why in whys if why not in before]


def _tell(ports: Ports, group: Group, mirror: Mirror) -> str:
    """Which VMs the rule finds where they must not be, for the log and the result; "": none."""
    broken = list(broken_by(group, mirror.view)) if group.enabled and group.rule.must else []
    for violation in broken:
        where = {"vms": violation.vms, "hosts": violation.hosts}
        ports.runtime.log("group violated", group=group.id, **where, why=violation.why)
    return said(violation.why for violation in broken)


def said(whys: Iterable[str]) -> str:
    """A note on rules that are broken, and what can be done."""
    all = list(whys)
    more = f"; and {len(all) - SAID} more" if len(all) > SAID else ""
    return f"{'; '.join(all[:SAID])}{more}: repair the group, or migrate them" if all else ""
