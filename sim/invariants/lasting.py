"""Promises about a cluster at peace: what is wrong may be so for a while, but not for longer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ave.model.cluster import lock_name
from sim.invariants.calm import PEACE_SECONDS
from sim.invariants.shape import Stage, Violation

LOOK_SECONDS = 30.0
AT_ONCE = 500  # VMs of a cluster that are looked at in one go: a larger one is looked at in parts, each as often

Wrong = tuple[str, str, tuple[str, ...]]  # what it is known by, in words, and the things that it is about


T = TypeVar("T")


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
        self._found: dict[str, float] = {}  # in this round, which becomes the above
        self._things: dict[str, list[Any]] = {}  # all there was when the round began
        self._part, self._parts = 0, 1
        self._due = 0.0
        self._looked_at = 0  # how many things
        self._held: dict[str, None] = {}  # resources that are locked as this is looked at

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"tick": self.tick, "end": self.end}

    @abstractmethod
    def wrong(self) -> Iterator[Wrong]:
        """What is wrong now with the ``part`` that is looked at; counts what it looks at."""

    def part(self, name: str, things: Callable[[], Iterable[T]]) -> Sequence[T]:
        """Those of the part that is looked at now, of all that there were when the round began."""
        if self._part == 0:
            self._things[name] = list(things())
        found: list[T] = self._things[name]
        size = -(-len(found) // self._parts)
        return found[self._part * size : (self._part + 1) * size]

    def locked(self, type: type[Any], id: str) -> bool:
        """Is a Job at work on it? Mostly none is on anything."""
        return bool(self._held) and lock_name(type, id) in self._held

    def tick(self, now: float) -> None:
        if now >= self._due:
            self._look(now)
            self._due = now + LOOK_SECONDS / self._parts

    def end(self, _: object) -> None:
        self._part = 0
        self._look(self._stage.now())
        while self._part:
            self._look(self._stage.now())

    def _look(self, now: float) -> None:
        """At the next part."""
        if self._part == 0:
            self._found = {}
            vms = len(self._stage.store.ledger.shelves_by_name["vm"].docs)
            self._parts = min(1 + vms // AT_ONCE, int(LOOK_SECONDS))
        calm = self._stage.calm
        if calm.peace(0.0) <= 0.0:
            self._since.clear()
            self._part = 0  # it begins anew
            return
        self._looked_at = 0
        self._held = self._stage.held()
        for key, what, about in self.wrong():
            self._found[key] = self._since.get(key, now)
            if (lasted := calm.peace(self._found[key])) > self.seconds:
                raise Violation(self.id, f"{what}, for {lasted:.0f} s of peace", about)
        if calm.disturbed_at > 0.0 and calm.peace(0.0) > self.seconds:
            self.armed += self._looked_at
        self._part += 1
        if self._part == self._parts:
            self._since, self._part = self._found, 0
