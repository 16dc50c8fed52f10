from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.sim.facts import Gone, Paused, Resumed, Started, Thawed, Wrote
from sim.invariants.shape import Stage, Violation

GRACE_SECONDS = 5.0  # for a host that stood still for longer than its lease: it stops what it ran as soon as it goes on


class OneRunner:
    """Armed each time a VM begins to run while, or after, another domain of it existed elsewhere.

    The one exception, without a hardware watchdog: the guests of a whole host that stood still may run for an instant when
    it goes on, before its own clock tells it that the lease is over. The storage refuses their writes (S1).
    """

    id = "S2"
    phrase = "of each VM at most one domain is unpaused"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._running: dict[str, dict[int, str]] = {}  # VM -> instance -> host
        self._last: dict[str, str] = {}
        self._thawed: dict[str, float] = {}
        self._tolerated: dict[str, float] = {}  # VM -> until when it may run twice

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            Started: self.started,
            Resumed: self.runs,
            Paused: self.stops,
            Gone: self.stops,
            Thawed: self.thawed,
            Wrote: self.look,
            "end": self.look,
        }

    def thawed(self, fact: Thawed) -> None:
        self._thawed[fact.host] = self._stage.now()

    def started(self, fact: Started) -> None:
        if not fact.incoming:
            self.runs(fact)

    def runs(self, fact: Started | Resumed) -> None:
        running = self._running.setdefault(fact.vm, {})
        running[fact.instance] = fact.host
        if self._last.setdefault(fact.vm, fact.host) != fact.host:
            self.armed += 1
            self._last[fact.vm] = fact.host
        if len(running) > 1:
            until = max(self._thawed.get(host, -GRACE_SECONDS) for host in running.values()) + GRACE_SECONDS
            if self._stage.now() > until:
                raise self._twice(fact.vm)
            self._tolerated[fact.vm] = until

    def stops(self, fact: Paused | Gone) -> None:
        self._running.get(fact.vm, {}).pop(fact.instance, None)
        self.look(fact)

    def look(self, _: object) -> None:
        for vm, until in list(self._tolerated.items()):
            if len(self._running[vm]) < 2:
                del self._tolerated[vm]
            elif self._stage.now() > until:
                raise self._twice(vm)

    def _twice(self, vm: str) -> Violation:
        return Violation(self.id, f"{vm} runs on {' and '.join(self._running[vm].values())} at once", (vm,))
