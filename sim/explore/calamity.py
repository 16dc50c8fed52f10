"""What befalls a drawn cluster: faults in clusters, overlapping, with quiet between, so that promises that need calm are tried
as well as those that do not."""

from __future__ import annotations

from typing import Any

import msgspec

from ave.ha.timing import Timing
from sim.chance import Source, below, choice, exponential, happens, sample, uniform
from sim.explore.values import Names, given, seconds
from sim.scenario.catalogue import FaultKind

BOUNDED_RATIO = 0.75  # of the scenarios in which a minority is down at once; in the others anything may be
RECOVERS_SECONDS = 100.0  # after its end a fault still counts as under way: a host boots
SHORT, LONG = (5.0, 60.0), (150.0, 300.0)  # between two bursts: too short for a rescue, and long enough
LONG_RATIO = 0.3
EARLY_RATIO = 0.2  # of the scenarios in which nothing befalls the cluster any more after …
EARLY_SHARE = 0.4  # … this part: who waits for ever is found out by waiting, while users go on
BURST_SECONDS = 15.0  # mean time between the faults of one
MOST_OF_A_BURST = 8
NEAR_RATIO = 0.4  # of the lasting faults that end near the thresholds of high availability …
NEAR_SECONDS = 15.0  # … at most so far from them
RUSH_SECONDS = (20.0, 60.0)
SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 400.0
AIMED_RATIO = 0.35  # of the faults that strike soon after somebody asked for something, while its Job is at work
AIMED_SECONDS = 4.0
AGAIN_RATIO = 0.25  # of those that strike when the verdict on an earlier one is due, while its VMs are rescued
AGAIN_SECONDS = 8.0

#: The rows of the table, each with whether it may stop the VMs of whom it hits.
Rows = tuple[tuple[FaultKind, bool], ...]
Timed = tuple[float, dict[str, Any]]


class Down(msgspec.Struct, frozen=True):
    """From when to when these hosts, or a whole service if there are none, do not work."""

    begin: float
    lasts: float
    hosts: tuple[str, ...]

    @property
    def end(self) -> float:
        return self.begin + self.lasts + RECOVERS_SECONDS


def faults(
    source: Source,
    rows: Rows,
    hosts: tuple[str, ...],
    masters: int,
    timing: Timing,
    names: Names,
    asked: list[float],
    rushes: list[float],
    span: tuple[float, float],
) -> list[Timed]:
    """Within that span, all of them over at its end. ``asked``: when users ask for something; ``rushes``: for so much that
    hosts are busy with it, if one of them is kept from its work just then."""
    drawn = _Drawn(source, hosts, masters, timing, asked, bounded=happens(source, BOUNDED_RATIO))
    at, until = span
    if happens(source, EARLY_RATIO):
        until = at + EARLY_SHARE * (until - at)
    hindering = [kind for kind, harms in rows if harms and kind.lasting and kind.target == "host"]
    for rush in (rush for rush in rushes if hindering and rush + RUSH_SECONDS[1] < until):
        drawn.strike(rush - 1.0, uniform(source, *RUSH_SECONDS), choice(source, hindering), True, names)
    while rows:
        for _ in range(1 + below(source, MOST_OF_A_BURST)):
            at = drawn.moment(at + exponential(source, BURST_SECONDS))
            if at >= until - SHORTEST_SECONDS:
                return drawn.entries
            kind, harms = choice(source, rows)
            lasts = min(_length(source, timing), until - at) if kind.lasting else 0.0
            drawn.strike(at, lasts, kind, harms, names)
        at += uniform(source, *(LONG if happens(source, LONG_RATIO) else SHORT))
    return []


def _length(source: Source, timing: Timing) -> float:
    if happens(source, NEAR_RATIO):
        return uniform(source, timing.give_up - NEAR_SECONDS, timing.verdict + NEAR_SECONDS)
    return float(SHORTEST_SECONDS * (LONGEST_SECONDS / SHORTEST_SECONDS) ** source.random())


class _Drawn:
    """The faults so far, and what is down because of them."""

    def __init__(
        self,
        source: Source,
        hosts: tuple[str, ...],
        masters: int,
        timing: Timing,
        asked: list[float],
        *,
        bounded: bool,
    ) -> None:
        self.entries: list[Timed] = []
        self._source, self._hosts, self._masters, self._bounded = source, hosts, hosts[:masters], bounded
        self._verdict, self._asked = timing.verdict, asked
        self._most = max(1, len(hosts) // 3)
        self._down: list[Down] = []

    def moment(self, at: float) -> float:
        """Then, or soon after: when there is something to disturb."""
        drawn, late = self._source.random(), self._source.random()
        if drawn < AIMED_RATIO:
            return next((asked + late * AIMED_SECONDS for asked in self._asked if asked >= at), at)
        if drawn < AIMED_RATIO + AGAIN_RATIO:
            due = (down.begin + self._verdict for down in self._down if down.hosts and down.lasts >= self._verdict)
            return next((verdict + late * AGAIN_SECONDS for verdict in due if verdict >= at), at)
        return at

    def strike(self, at: float, lasts: float, kind: FaultKind, harms: bool, names: Names) -> None:
        """Add it, unless too much would be down then."""
        source = self._source
        entry: dict[str, Any] = {"at": seconds(at), "fault": kind.name}
        hit: tuple[str, ...] = ()
        if kind.target in ("host", "hosts"):
            most = min(len(self._hosts) - 1, 4 if kind.target == "hosts" else 2)
            hit = sample(source, self._hosts, 1 + int(most * source.random() ** 2))
            entry["target"] = hit[0] if len(hit) == 1 else list(hit)
        elif kind.target == "vm":
            entry["target"] = {"mode": "one"}
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
        if harms or service:
            if self._bounded and self._too_much(down):
                return
            self._down.append(down)
        self.entries.append((at, entry))

    def _too_much(self, new: Down) -> bool:
        under_way = [down for down in self._down if down.begin < new.end and new.begin < down.end]
        if not new.hosts:
            return any(not down.hosts for down in under_way)
        hosts = dict.fromkeys(host for down in (*under_way, new) for host in down.hosts)
        masters = sum(host in self._masters for host in hosts)
        return len(hosts) > self._most or masters > (len(self._masters) - 1) // 2
