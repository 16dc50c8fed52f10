"""Promises about a cluster at peace: what is wrong may be so for a while, but not for longer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from zlib import crc32

from sim.invariants.calm import PEACE_SECONDS
from sim.invariants.shape import Stage, Violation

LOOK_SECONDS = 30.0
NAMES_MOST = 1_000_000
AT_ONCE = 500  # VMs of a cluster that are looked at in one go: a larger one is looked at in parts, each as often

Wrong = tuple[str, str, tuple[str, ...]]  # what it is known by, in words, and the things that it is about


T = TypeVar("T")


class _Crc(dict[str, int]):
    """Of every name that was ever asked for: there are as many as things, and each is asked for at every look."""

    def __missing__(self, name: str) -> int:
        if len(self) > NAMES_MOST:
            self.clear()
        self[name] = found = crc32(name.encode())
        return found


_CRC = _Crc()


class Lasting(ABC):
    """Looks often, and remembers since when each thing is wrong; only what was so at every look, for this long and in
    peace, breaks the promise. Armed by every thing that is looked at once the peace has lasted so long after something
    was done to the world."""

    id = ""
    seconds = PEACE_SECONDS

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._since: list[dict[str, float]] = []  # of each part
        self._part = 0
        self._due = 0.0
        self._looked_at = 0  # how many things

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"tick": self.tick, "end": self.end}

    @abstractmethod
    def wrong(self) -> Iterator[Wrong]:
        """What is wrong now with what is ``mine``; counts what it looks at."""

    def mine(self, things: Iterable[T], name: Callable[[T], str]) -> list[T]:
        """Those of the part that is looked at now."""
        parts, part = len(self._since), self._part
        if parts == 1:
            return list(things)
        return [thing for thing in things if _CRC[name(thing)] % parts == part]

    def tick(self, now: float) -> None:
        if now >= self._due:
            self._divide()
            self._part = (self._part + 1) % len(self._since)
            self._due = now + LOOK_SECONDS / len(self._since)
            self._look(now)

    def end(self, _: object) -> None:
        self._divide()
        for part in range(len(self._since)):
            self._part = part
            self._look(self._stage.now())

    def _divide(self) -> None:
        """Anew only once there is twice as much: it forgets since when things are wrong."""
        vms = len(self._stage.store.ledger.shelves_by_name["vm"].docs)
        parts = min(1 + vms // AT_ONCE, int(LOOK_SECONDS))
        if not self._since or parts >= 2 * len(self._since):
            self._since, self._part = [{} for _ in range(parts)], 0

    def _look(self, now: float) -> None:
        calm = self._stage.calm
        if calm.peace(0.0) <= 0.0:
            self._since[self._part].clear()
            return
        self._looked_at = 0
        known, since = self._since[self._part], {}
        for key, what, about in self.wrong():
            since[key] = known.get(key, now)
            if (lasted := calm.peace(since[key])) > self.seconds:
                raise Violation(self.id, f"{what}, for {lasted:.0f} s of peace", about)
        self._since[self._part] = since
        if calm.disturbed_at > 0.0 and calm.peace(0.0) > self.seconds:
            self.armed += self._looked_at
