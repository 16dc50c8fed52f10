from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.sim.facts import Wrote
from sim.invariants.shape import Stage, Violation


class OneWriter:
    """Armed each time another, later domain writes to a volume."""

    id = "S1"
    phrase = "once a later domain has written to a volume, no earlier one does"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._latest: dict[str, int] = {}

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Wrote: self.wrote}

    def wrote(self, fact: Wrote) -> None:
        latest = self._latest
        for volume, vm, instance, epoch, _ in fact.writes:
            last = latest.get(volume, 0)
            if instance == last:
                continue
            if instance < last:
                what = f"domain {instance} (epoch {epoch}, {fact.host}) wrote to {volume} after domain {last} had"
                raise Violation(self.id, what, (vm, volume))
            if last:
                self.armed += 1
            latest[volume] = instance
