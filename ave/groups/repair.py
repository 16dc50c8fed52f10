"""Repair: move running VMs until every must rule of the named groups is kept.

One step plans on a picture of its own and submits the migrations, a few at a time; what it planned the Active scheduler decides
anew, one migration after the other. A small step per group then says of each whether it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ave.errors import Unavailable, UnknownOutcome
from ave.groups.switch import known, named
from ave.hosts.moves import AT_ONCE, Moves
from ave.jobs.verb import Found, Split, TaskKind, Verb
from ave.model.group import Aspect, Group
from ave.model.work import Fact, Result, Step, Work
from ave.operations import NameGroups
from ave.placement.batch import place_batch
from ave.placement.contradictions import listed
from ave.placement.purpose import Purpose
from ave.placement.repair import Move, Repair, repair
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror

REPAIR_STEP = "repair"
LOOK_SECONDS = 2.0
TRIES = 3  # per VM
PAUSE_SECONDS = 15.0  # after a migration that failed: its target may have been lost, and is suspected after 10 s
PATIENCE_SECONDS = 60.0  # with VMs that can neither stay nor go: one may be starting, a host may return
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
    repairs = Repairs(ports, task)
    while True:
        try:
            if (facts := await repairs.go_on()) is not None:
                return facts
        except (Unavailable, UnknownOutcome) as trouble:
            ports.runtime.log("repair waits", groups=repairs.groups, why=str(trouble))
        await ports.runtime.sleep(LOOK_SECONDS)


class Repairs:
    """One attempt of it. What it must remember is in the store: the migrations are Jobs under names that it finds again."""

    def __init__(self, ports: Ports, task: Work) -> None:
        self._ports = ports
        self.groups = [str(name) for name in task.arguments["groups"]]
        self._moves = Moves(ports, task, TRIES)
        self._moved_on = ports.runtime.now()  # when there last was anything under way
        self._looked: dict[str, None] = {}  # VMs of which it is known what an earlier attempt began
        self._not_before = 0.0  # when migrations may begin again

    async def go_on(self) -> dict[str, Fact] | None:
        """Look, and do what can be done now. The facts when all is kept, or nothing more can be done."""
        await self._look(tuple(self._moves.open))
        mirror = Mirror()
        await mirror.read(self._ports.store)
        plan = repair(mirror.view, mirror.vms, self.groups)
        concerned = [*_vms_of(self.groups, mirror.groups), *(vm for move in plan.moves for vm in move.vms)]
        await self._look([vm for vm in dict.fromkeys(concerned) if vm not in self._looked])
        now = self._ports.runtime.now()
        if self._moves.open:
            self._moved_on = now
            return None
        if not plan.broken:
            return self._facts(plan)
        ready = [move for move in plan.moves if not self._given_up(move) and _possible(mirror, move)]
        for move in ready[:AT_ONCE] if now >= self._not_before else ():
            await self._moves.begin(move.vms, move.host)
        return None if ready or now - self._moved_on < PATIENCE_SECONDS else self._facts(plan)

    async def _look(self, vms: Iterable[str]) -> None:
        """Of one that is not known yet too: an earlier attempt may have begun what this one knows nothing of."""
        for vm in vms:
            tried = self._moves.tried(vm)
            await self._moves.look(vm)
            self._looked[vm] = None
            if self._moves.tried(vm) > tried and not self._moves.ended[vm].ok:
                self._not_before = self._ports.runtime.now() + PAUSE_SECONDS

    def _given_up(self, move: Move) -> bool:
        return any(self._moves.given_up(vm) for vm in move.vms)

    def _facts(self, plan: Repair) -> dict[str, Fact]:
        return {name: Fact(refusal=self._refusal(name, plan)) for name in self.groups}

    def _refusal(self, group: str, plan: Repair) -> str:
        """What is left of it and why, or ""."""
        broken = [violation for violation in plan.broken if violation.group == group]
        vms = dict.fromkeys(vm for violation in broken for vm in violation.vms)
        whys = [why for vm in vms if (why := self._why(vm, plan))]
        return "; ".join(dict.fromkeys((*(violation.why for violation in broken), *whys)))

    def _why(self, vm: str, plan: Repair) -> str:
        if vm in plan.stuck:
            return plan.stuck[vm]
        move = next((move for move in plan.moves if vm in move.vms), None)
        if move is None:
            return ""
        ended = [self._moves.ended[name] for name in move.vms if name in self._moves.ended]
        return next(
            (result.why for result in ended if not result.ok), f"{listed(move.vms)} cannot go to {move.host} yet"
        )


def _possible(mirror: Mirror, move: Move) -> bool:
    """Is there room, and are the rules kept, before the other moves of the plan?"""
    vms = [mirror.vms[vm] for vm in move.vms]
    return not place_batch(mirror.view, vms, Purpose.LIVE, only=move.host, leave=True).refused


async def kept(ports: Ports, task: Work) -> None:
    """Nothing is left to do: that the step is reached is the answer."""


async def stop(ports: Ports, task: Work) -> None:
    """The Job was cancelled: what has not begun to move stays where it is. Safe to repeat."""
    moves = Moves(ports, task, TRIES)
    groups = {group.id: group for group in await ports.store.find(Group)}
    for vm in _vms_of(task.arguments["groups"], groups):
        await moves.withdraw(vm)


def _vms_of(names: Iterable[str], groups: Mapping[str, Group]) -> list[str]:
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
