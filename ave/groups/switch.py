"""Enable, disable and delete placement groups. A group that binds nobody may contradict others until it is enabled."""

from __future__ import annotations

from ave.jobs.verb import Found, Resource, Split, Verb, each
from ave.model.group import Group
from ave.model.work import Result, Step
from ave.operations import NameGroups
from ave.scheduler.steps import Change, change_step


def _verb(change: Change) -> Verb:
    def split(request: NameGroups, found: Found) -> Split:
        there, absent = known(request, found)
        steps: dict[str, Step] = {f"{change}/{name}": change_step(name, change) for name in there}
        return Split(steps=steps, results=absent)

    return Verb(operation=f"group.{change}", resources=named, split=split)


def known(request: NameGroups, found: Found) -> tuple[list[str], dict[str, Result]]:
    """Those that there are, and a refusal by name for each of the others; one whose lock is held is neither."""
    groups = found.of(Group)
    absent = [name for name in request.groups if name in groups and groups[name] is None]
    results = {name: Result(False, f"there is no placement group {name}") for name in absent}
    return [name for name in request.groups if groups.get(name) is not None], results


def named(request: NameGroups) -> tuple[Resource, ...]:
    return each(Group, request.groups)


ENABLE = _verb(Change.ENABLE)
DISABLE = _verb(Change.DISABLE)
DELETE = _verb(Change.DELETE)
