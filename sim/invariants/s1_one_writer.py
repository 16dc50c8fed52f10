from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.sim.facts import Write, Wrote
from sim.invariants.shape import Stage, Violation


class OneWriter:
    """Armed each time another, later domain writes to a volume."""

    id = "S1"
    phrase = "once a later domain has written to a volume, no earlier one does"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._latest: dict[str, int] = {}
        self._changes = 0  # of the above
        self._seen: dict[str, tuple[tuple[Write, ...], int]] = {}  # host -> its last batch, when it had been looked at

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Wrote: self.wrote}

    def wrote(self, fact: Wrote) -> None:
        """The same writers to the same volumes, and none since, are right again: that is next to every fact."""
        seen = self._seen.get(fact.host)
        if seen is not None and seen[0] is fact.batch and seen[1] == self._changes:
            return
        latest = self._latest
        for volume, vm, instance, epoch, _ in fact.batch:
            last = latest.get(volume, 0)
            if instance == last:
                continue
            if instance < last:
                what = f"domain {instance} (epoch {epoch}, {fact.host}) wrote to {volume} after domain {last} had"
                raise Violation(self.id, what, (vm, volume))
            if last:
                self.armed += 1
            latest[volume] = instance
            self._changes += 1
        self._seen[fact.host] = fact.batch, self._changes
