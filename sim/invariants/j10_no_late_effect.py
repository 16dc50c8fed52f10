from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.work import LEAD, Work
from drivers.sim.facts import Effect, Thawed
from sim.invariants.shape import Stage, Violation

LATE_SECONDS = 45.0  # a worker's lease of 30 s, a sweep or two, and the time to act
GRACE_SECONDS = 5.0  # for a host that stood still: a call that was under way is carried out as soon as it goes on
ENDED = ("done", "failed", "cancelled")


class NoLateEffect:
    """Armed by every task that is taken from a worker that was lost, and by every effect of a Job that has ended.

    Who lost the store does not know that its Job goes on without it. It may act for as long as its lease, not longer.
    """

    id = "J10"
    phrase = "when a Job has ended, nothing is done for it any more, but what a lost worker does within its lease"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._ended: dict[str, float] = {}
        self._running: dict[str, str] = {}  # task -> worker
        self._thawed = float("-inf")

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, Effect: self.effect, Thawed: self.thawed}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None:
            return
        if work.function == LEAD:
            if work.state in ENDED:
                self._ended.setdefault(id, self._stage.now())
        elif work.state == "running":
            self._running[id] = work.handler
        elif (handler := self._running.pop(id, "")) and not self._stage.works(handler):
            self.armed += 1

    def effect(self, fact: Effect) -> None:
        ended = self._ended.get(fact.stamp.job)
        if ended is None:
            return
        self.armed += 1
        now = self._stage.now()
        if now - ended > LATE_SECONDS and now - self._thawed > GRACE_SECONDS:
            what = f"{fact.what} on {fact.resource} was accepted {now - ended:.0f} s after {fact.stamp.job} had ended"
            raise Violation(self.id, what, (fact.resource.partition("/")[2], fact.stamp.job))

    def thawed(self, _: Thawed) -> None:
        self._thawed = self._stage.now()
