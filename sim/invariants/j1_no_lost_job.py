from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.work import Work
from drivers.sim.facts import Disturbed
from sim.invariants.shape import Stage, Violation


class NoLostJob:
    """Armed by every look at an acknowledged Job after something was done to the world."""

    id = "J1"
    phrase = "a Job whose submission was acknowledged stays in the store"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, Disturbed: self.look, "end": self.look}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None and id in self._stage.acknowledged:
            raise Violation(self.id, f"Job {id} was acknowledged and then deleted", (id,))

    def look(self, _: object) -> None:
        for id in self._stage.acknowledged:
            self.armed += 1
            if self._stage.store.ledger.get(Work, id) is None:
                raise Violation(self.id, f"Job {id} was acknowledged and is not in the store", (id,))
