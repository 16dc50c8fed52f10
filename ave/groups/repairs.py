"""What the one step of a repair does: plan on a picture of its own, and submit the migrations, a few at a time."""

from __future__ import annotations

from collections.abc import Iterable

from ave.groups.repair import TRIES, vms_of
from ave.hosts.moves import AT_ONCE, Moves
from ave.model.work import Fact, Work
from ave.placement.batch import place_batch
from ave.placement.contradictions import listed
from ave.placement.purpose import Purpose
from ave.placement.repair import Move, Repair, repair
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror

PAUSE_SECONDS = 15.0  # after a migration that failed: its target may have been lost, and is suspected after 10 s
PATIENCE_SECONDS = 60.0  # with VMs that can neither stay nor go: one may be starting, a host may return


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
        concerned = [*vms_of(self.groups, mirror.groups), *(vm for move in plan.moves for vm in move.vms)]
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
