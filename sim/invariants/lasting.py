"""Promises about a cluster at peace: what is wrong may be so for a while, but not for longer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sim.invariants.calm import PEACE_SECONDS
from sim.invariants.shape import Stage, Violation

LOOK_SECONDS = 30.0

Wrong = tuple[str, str, tuple[str, ...]]  # what it is known by, in words, and the things that it is about


class Lasting(ABC):
    """Looks often, and remembers since when each thing is wrong; only what was so at every look, for this long and in
    peace, breaks the promise. Armed by every thing that is looked at once the peace has lasted so long after something
    was done to the world."""

    id = ""
    seconds = PEACE_SECONDS

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._since: dict[str, float] = {}
        self._due = 0.0
        self._looked_at = 0  # how many things

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"tick": self.tick, "end": self.end}

    @abstractmethod
    def wrong(self) -> Iterator[Wrong]:
        """What is wrong now; counts what it looks at."""

    def tick(self, now: float) -> None:
        if now >= self._due:
            self._due = now + LOOK_SECONDS
            self._look(now)

    def end(self, _: object) -> None:
        self._look(self._stage.now())

    def _look(self, now: float) -> None:
        calm = self._stage.calm
        if calm.peace(0.0) <= 0.0:
            self._since.clear()
            return
        self._looked_at = 0
        since: dict[str, float] = {}
        for key, what, about in self.wrong():
            since[key] = self._since.get(key, now)
            if (lasted := calm.peace(since[key])) > self.seconds:
                raise Violation(self.id, f"{what}, for {lasted:.0f} s of peace", about)
        self._since = since
        if calm.disturbed_at > 0.0 and calm.peace(0.0) > self.seconds:
            self.armed += self._looked_at
