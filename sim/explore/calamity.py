"""What befalls a drawn cluster: each fault with whom it hits and for how long, and never more down at once than is meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from ave.ha.timing import Timing
from sim.chance import Source, happens, sample, uniform
from sim.explore.temper import Temper
from sim.explore.values import Names, given, seconds
from sim.scenario.catalogue import FaultKind

RECOVERS_SECONDS = 100.0  # after its end a fault still counts as under way: a host boots
NEAR_RATIO = 0.4  # of the lasting faults that end near the thresholds of high availability …
NEAR_SECONDS = 15.0  # … at most so far from them
SHORTEST_SECONDS = 0.5
AIMED_RATIO = 0.35  # of the faults that strike soon after somebody asked for something, while its Job is at work
AIMED_SECONDS = 4.0  # rather soon: most Jobs are done within one
CHASED_SECONDS = 25.0  # from the verdict on a host, or its return, until its VMs are rescued or let go

Timed = tuple[float, dict[str, Any]]


class Row(msgspec.Struct, frozen=True):
    """Of the table of faults. ``harms``: may it stop the VMs of whom it hits?"""

    kind: FaultKind
    harms: bool
    theme: str


Rows = tuple[Row, ...]


class Down(msgspec.Struct, frozen=True):
    """From when to when these hosts, or a whole service if there are none, do not work."""

    begin: float
    lasts: float
    hosts: tuple[str, ...]

    @property
    def end(self) -> float:
        return self.begin + self.lasts + RECOVERS_SECONDS


class Scene(msgspec.Struct, frozen=True):
    """What faults are drawn for. ``asked``: when users ask for something; ``rushes``: for so much that hosts are busy with it,
    if one of them is kept from its work just then."""

    hosts: tuple[str, ...]
    masters: int
    timing: Timing
    names: Names
    asked: list[float]
    rushes: list[float]


def length(source: Source, timing: Timing, longest: float) -> float:
    if happens(source, NEAR_RATIO):
        return uniform(source, timing.give_up - NEAR_SECONDS, timing.verdict + NEAR_SECONDS)
    return float(SHORTEST_SECONDS * (longest / SHORTEST_SECONDS) ** source.random())


class Drawn:
    """The faults so far, and what is down because of them."""

    def __init__(self, source: Source, scene: Scene, temper: Temper) -> None:
        self.entries: list[Timed] = []
        self.scene, self.temper = scene, temper
        self._source = source
        self._masters = scene.hosts[: scene.masters]
        self._most = max(1, len(scene.hosts) // 3)
        self._down: list[Down] = []

    def moment(self, at: float) -> float:
        """Then, or soon after: when there is something to disturb."""
        drawn, late = self._source.random(), self._source.random()
        if drawn < AIMED_RATIO:
            return next((asked + late * late * AIMED_SECONDS for asked in self.scene.asked if asked >= at), at)
        if drawn < AIMED_RATIO + self.temper.chased:
            return min((due for due in self._due() if due >= at), default=at) + late * late * CHASED_SECONDS
        return at

    def _due(self) -> Iterator[float]:
        """When hosts are found dead, and when they are back."""
        for down in self._down:
            if down.hosts and down.lasts >= self.scene.timing.verdict:
                yield from (down.begin + self.scene.timing.verdict, down.begin + down.lasts)

    def victims(self, most: int) -> tuple[str, ...]:
        """One host, or some that may be down together."""
        hosts = self.scene.hosts
        some = sample(self._source, hosts, min(len(hosts) - 1, 1 + int(most * self._source.random() ** 2)))
        while len(some) > 1 and self.temper.bounded and self._too_many(some):
            some = some[:-1]
        return some

    def strike(self, at: float, lasts: float, row: Row, victims: tuple[str, ...] = (), vm: str = "") -> None:
        """Add it, unless too much would be down then. It hits whom it likes if nobody is named."""
        source, hosts, names, kind = self._source, self.scene.hosts, self.scene.names, row.kind
        entry: dict[str, Any] = {"at": seconds(at), "fault": kind.name}
        hit: tuple[str, ...] = ()
        if kind.target in ("host", "hosts"):
            most = min(len(hosts) - 1, 4 if kind.target == "hosts" else 2)
            hit = victims or sample(source, hosts, 1 + int(most * source.random() ** 2))
            entry["target"] = hit[0] if len(hit) == 1 else list(hit)
        elif kind.target == "vm":
            entry["target"] = vm or {"mode": "one"}
        if lasts:
            entry["for"] = seconds(lasts)
        others = tuple(
            host for host in names.get("host", ()) if host not in hit
        )  # nothing is between a host and itself
        entry |= given(source, kind.parameters, {**names, "host": others})
        if any(parameter.default is None and parameter.name not in entry for parameter in kind.parameters):
            return  # it takes something that this cluster does not have
        service = kind.target in ("store", "storage", "none")
        down = Down(at, lasts, hit)
        if row.harms or service:
            if self.temper.bounded and self._too_much(down):
                return
            self._down.append(down)
        self.entries.append((at, entry))

    def _too_much(self, new: Down) -> bool:
        under_way = [down for down in self._down if down.begin < new.end and new.begin < down.end]
        if not new.hosts:
            return any(not down.hosts for down in under_way)
        return self._too_many(dict.fromkeys(host for down in (*under_way, new) for host in down.hosts))

    def _too_many(self, hosts: Collection[str]) -> bool:
        masters = sum(host in self._masters for host in hosts)
        return len(hosts) > self._most or masters > (len(self._masters) - 1) // 2
