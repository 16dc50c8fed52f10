from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ave.model.work import Work
from sim.answers import Shown
from sim.invariants.shape import Stage, Violation

STALE_SECONDS = 2.0
CHANGES_KEPT = 8  # of a Job; whoever is shown something older was shown it too late if the oldest of them is


class ShownSoon:
    """Armed by every acknowledged Job that a user looks at, on whatever host."""

    id = "D5"
    phrase = "an acknowledged Job is seen on every host at once, and never as it was more than two seconds ago"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._changes: dict[str, deque[tuple[int, float]]] = {}  # Job -> its versions, and since when they are

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, Shown: self.shown}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None:
            self._changes.pop(id, None)
        elif work.job == id:
            changes = self._changes.setdefault(id, deque(maxlen=CHANGES_KEPT))
            changes.append((work.version, self._stage.now()))

    def shown(self, fact: Shown) -> None:
        if fact.job not in self._changes:
            return  # that it was lost is J1's to find; or its time in the store is over
        self.armed += 1
        newer = [at for version, at in self._changes[fact.job] if version > fact.version]
        if fact.version == 0 and newer[0] <= fact.asked:
            raise Violation(
                self.id, f"{fact.host} did not know {fact.job}, which was acknowledged", (fact.job, fact.host)
            )
        if newer and fact.asked - newer[0] > STALE_SECONDS:
            what = f"{fact.host} showed {fact.job} as it was {fact.asked - newer[0]:.1f} s before it was asked"
            raise Violation(self.id, what, (fact.job, fact.host))
