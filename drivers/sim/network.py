"""The wires between hosts: which host reaches which, on which plane, and how long a hop takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from drivers.sim import physics


class Plane(StrEnum):
    MANAGEMENT = "management"  # the store, Jobs, migration
    STORAGE = "storage"  # volumes and the storage lease


class Network:
    """Hosts are up or down; on each plane they stand on sides, and only those on one side reach each other."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = tuple(hosts)
        self._down: dict[str, None] = {}
        self._side: dict[Plane, dict[str, int]] = {plane: {} for plane in Plane}
        self._sides = 0
        self.whole = True  # the usual case, kept cheap
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def up(self, host: str) -> bool:
        return host not in self._down

    def reaches(self, one: str, other: str, plane: Plane) -> bool:
        if self.whole:
            return True
        if one in self._down or other in self._down:
            return False
        side = self._side[plane]
        return one == other or side.get(one, 0) == side.get(other, 0)

    def set_power(self, host: str, *, on: bool) -> None:
        if on:
            self._down.pop(host, None)
        else:
            self._down[host] = None
        self._changed()

    def cut(self, hosts: Iterable[str], planes: Iterable[Plane]) -> None:
        """Put these hosts on a side of their own."""
        self._sides += 1
        names = tuple(hosts)
        for plane in planes:
            self._side[plane].update(dict.fromkeys(names, self._sides))
        self._changed()

    def heal(self, hosts: Iterable[str], planes: Iterable[Plane]) -> None:
        names = tuple(hosts)
        for plane in planes:
            for host in names:
                self._side[plane].pop(host, None)
        self._changed()

    @property
    def parted(self) -> bool:
        """Is anybody cut off, as far as wires go?"""
        return any(self._side.values())

    def _changed(self) -> None:
        self.whole = not self._down and not any(self._side.values())
        for listener in self._listeners:
            listener()


def hop_seconds(draw: float) -> float:
    """One way through the management or storage network; ``draw`` is uniform in [0, 1)."""
    return physics.HOP_SECONDS * (0.5 + draw)
