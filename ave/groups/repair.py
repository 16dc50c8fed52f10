"""Repair: move running VMs until every must rule of the named groups is kept.

One step plans on a picture of its own and submits the migrations, a few at a time; what it planned the Active scheduler decides
anew, one migration after the other. A small step per group then says of each whether it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ave.errors import Unavailable, UnknownOutcome
from ave.groups.switch import known, named
from ave.hosts.moves import Moves
from ave.jobs.verb import Found, Split, TaskKind, Verb
from ave.model.group import Aspect, Group
from ave.model.work import Fact, Result, Step, Work
from ave.operations import NameGroups
from ave.ports.together import Ports

REPAIR_STEP = "repair"
LOOK_SECONDS = 2.0
TRIES = 3  # per VM
LIMIT_SECONDS = 4 * 3600.0


def split(request: NameGroups, found: Found) -> Split:
    groups, results = known(request, found)
    for name in groups:
        group = found.get(Group, name)
        if group is not None and not group.enabled:
            results[name] = Result(False, f"group {name} is {group.state}: enable it first")
    groups = [name for name in groups if name not in results]
    if not groups:
        return Split(results=results)
    steps = {REPAIR_STEP: Step(function="group.repair", arguments={"groups": groups}, undo="group.stop-repair")}
    for name in groups:
        steps[f"kept/{name}"] = Step(function="group.kept", resource=name, fact=name, needs=(REPAIR_STEP,))
    return Split(steps=steps, results=results)


async def mend(ports: Ports, task: Work) -> dict[str, Fact]:
    """The facts say which groups are kept, and what is left of the others and why. What is unavailable is waited for."""
    from ave.groups.repairs import Repairs  # with libraries that whoever only asks for it shall not load

    repairs = Repairs(ports, task)
    while True:
        try:
            if (facts := await repairs.go_on()) is not None:
                return facts
        except (Unavailable, UnknownOutcome) as trouble:
            ports.runtime.log("repair waits", groups=repairs.groups, why=str(trouble))
        await ports.runtime.sleep(LOOK_SECONDS)


async def kept(ports: Ports, task: Work) -> None:
    """Nothing is left to do: that the step is reached is the answer."""


async def stop(ports: Ports, task: Work) -> None:
    """The Job was cancelled: what has not begun to move stays where it is. Safe to repeat."""
    moves = Moves(ports, task, TRIES)
    groups = {group.id: group for group in await ports.store.find(Group)}
    for vm in vms_of(task.arguments["groups"], groups):
        await moves.withdraw(vm)


def vms_of(names: Iterable[str], groups: Mapping[str, Group]) -> list[str]:
    """Of these groups, and of all that ties them to others: they may have to go with them."""
    vms = dict.fromkeys(vm for name in names if name in groups for vm in groups[name].vms)
    ties = [group for group in groups.values() if group.rule.aspect is Aspect.SAME_HOST]
    before = -1
    while before != len(vms):
        before = len(vms)
        vms |= dict.fromkeys(vm for tie in ties if any(vm in vms for vm in tie.vms) for vm in tie.vms)
    return list(vms)


REPAIR = Verb(
    operation="group.repair",
    resources=named,
    split=split,
    tasks={
        "group.repair": TaskKind(function=mend, seconds=LIMIT_SECONDS, stoppable=True),
        "group.stop-repair": TaskKind(function=stop, seconds=120.0, tries=18),
        "group.kept": TaskKind(function=kept, seconds=10.0),
    },
)
