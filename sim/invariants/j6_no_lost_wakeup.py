from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.work import LEAD, Work
from sim.invariants.shape import Stage, Violation

WOKEN_SECONDS = 15.0
ENDED = ("done", "failed", "cancelled")


class NoLostWakeup:
    """Armed by every task that ends and is not folded into its plan by the same commit: somebody owes that.

    So the end of the last task hands the Job back to its Leader, and the end of any other frees what waited for it.
    """

    id = "J6"
    phrase = "the end of a task moves its Job on within seconds, whoever dies meanwhile, and no task outlives its Job"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._open: dict[str, dict[str, None]] = {}  # Job -> its tasks and groups that have not ended
        self._owed: dict[str, tuple[str, float, int]] = {}  # ended task or group -> carrier, when it ended, revision
        self._by_carrier: dict[str, dict[str, None]] = {}  # the same, the other way round
        self._orphaned: dict[str, float] = {}  # Job -> when it ended and left tasks
        self._fresh: dict[str, None] = {}  # owed since the last tick

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, "tick": self.tick}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None:
            self._settle(id)
            return
        over = work.state in ENDED
        if work.function == LEAD:
            if over and self._open.get(id):
                self._orphaned[id] = self._stage.now()
        elif not over:
            self._open.setdefault(work.job, {})[id] = None
        elif id in self._open.get(work.job, {}):
            del self._open[work.job][id]
            self._owed[id] = (work.parent, self._stage.now(), self._stage.store.ledger.revision)
            self._by_carrier.setdefault(work.parent, {})[id] = None
            self._fresh[id] = None
        if id in self._by_carrier:
            self._folded(id, work)

    def tick(self, now: float) -> None:
        fresh, self._fresh = self._fresh, {}
        for id in fresh:
            if id in self._owed:
                carrier = self._stage.store.ledger.get(Work, self._owed[id][0])
                if carrier is None:
                    raise Violation(self.id, f"{id} ended, and {self._owed[id][0]} is no more", (id,))
                self._folded(carrier.id, carrier)
        for id, (parent, since, _) in self._owed.items():
            if self._stage.calm.lasted(since) <= WOKEN_SECONDS:
                break  # those behind it ended later
            what = f"{id} ended {now - since:.0f} s ago, and nothing in {parent} has moved on"
            raise Violation(self.id, what, (id, parent, id.partition("/")[0]))
        for job, since in list(self._orphaned.items()):
            if not self._open.get(job):
                del self._orphaned[job]
            elif self._stage.calm.lasted(since) > WOKEN_SECONDS:
                task = next(iter(self._open[job]))
                raise Violation(self.id, f"{task} is open {now - since:.0f} s after its Job ended", (task, job))

    def _folded(self, carrier: str, work: Work) -> None:
        """Which of its ended tasks have left its plan?"""
        plan = work.plan
        left = plan.submitted if plan is not None and work.state == "waiting" else ()
        for id in list(self._by_carrier.get(carrier, ())):
            if id.removeprefix(f"{carrier}/") not in left:
                self._settle(id)

    def _settle(self, id: str) -> None:
        carrier, _, revision = self._owed.pop(id, ("", 0.0, 0))
        self.armed += 0 < revision < self._stage.store.ledger.revision
        siblings = self._by_carrier.get(carrier)
        if siblings is not None:
            siblings.pop(id, None)
            if not siblings:
                del self._by_carrier[carrier]
