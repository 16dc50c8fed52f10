"""Lay down placement groups, and change them. What a request says of a group is all of it; what only the scheduler can know,
whether there are such VMs and hosts and whether all rules can be kept, its step says."""

from __future__ import annotations

from collections.abc import Sequence

from ave.errors import Refused
from ave.jobs.verb import Found, Resource, Split, Verb, each
from ave.model.group import Aspect, Group
from ave.model.vm import VM
from ave.model.work import Result, Step
from ave.operations import DescribedGroup, DescribeGroups
from ave.scheduler.steps import Change, change_step

NAME_MAX = 128


def _verb(word: str, *, exists: bool, otherwise: str) -> Verb:
    """For groups that are there already, or for those that are not; ``otherwise`` refuses each of the others by name."""

    def split(request: DescribeGroups, found: Found) -> Split:
        there = found.of(Group)
        steps: dict[str, Step] = {}
        results: dict[str, Result] = {}
        for group in request.groups:
            require_described(group)
            if group.id not in there:
                continue  # its lock is held
            if (there[group.id] is not None) is exists:
                steps[f"{word}/{group.id}"] = change_step(group.id, Change.DESCRIBE, group)
            else:
                results[group.id] = Result(False, otherwise.format(group=group.id))
        return Split(steps=steps, results=results)

    return Verb(operation=f"group.{word}", resources=_named, split=split, names=_members)


def require_described(group: DescribedGroup) -> None:
    """What no group may be is refused whatever there is."""
    name, aspect = group.id, group.rule.aspect
    if not _nameable(name):
        raise Refused(
            f"placement group name {name[:40]!r}: 1 to {NAME_MAX} printable characters without '/' are needed"
        )
    _require_distinct(name, "vms", group.vms)
    _require_distinct(name, "hosts", group.hosts)
    if group.hosts and group.zone:
        raise Refused(f"group {name}: it names hosts and a zone: a rule is about hosts or zones, never both")
    if aspect.names_hosts and not group.hosts:
        raise Refused(f"group {name}: hosts: {group.rule} needs at least one")
    if aspect is Aspect.ZONE and not group.zone:
        raise Refused(f"group {name}: zone: {group.rule} needs one")
    if group.hosts and not aspect.names_hosts:
        raise Refused(f"group {name}: hosts: {group.rule} names none")
    if group.zone and aspect is not Aspect.ZONE:
        raise Refused(f"group {name}: zone: {group.rule} names none")


def _require_distinct(group: str, field: str, names: Sequence[str]) -> None:
    seen: dict[str, None] = {}
    for index, name in enumerate(names):
        if not name:
            raise Refused(f"group {group}: {field}[{index}] is empty")
        if name in seen:
            raise Refused(f"group {group}: {field}[{index}]: {name} is named twice")
        seen[name] = None


def _nameable(name: str) -> bool:
    return bool(name) and len(name) <= NAME_MAX and "/" not in name and name.isprintable()


def _members(request: DescribeGroups) -> tuple[Resource, ...]:
    return each(VM, dict.fromkeys(vm for group in request.groups for vm in group.vms))


def _named(request: DescribeGroups) -> tuple[Resource, ...]:
    return each(Group, (group.id for group in request.groups))


CREATE = _verb(
    "create", exists=False, otherwise="there already is a placement group {group}: choose another name, or edit it"
)
EDIT = _verb("edit", exists=True, otherwise="there is no placement group {group}")
