"""When the world is left in peace: the one place that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.sim.facts import Deposed, Disturbed, Elected, Powered
from drivers.sim.machine import Machine
from drivers.sim.storage import Storage
from drivers.sim.store import ReplicaSet

SETTLE_SECONDS = 15.0  # who was cut off from the store waits 5 s for an answer, looks for it for 5 s, and pauses
PEACE_SECONDS = 300.0  # after so much of it the cluster must be as its users want it


class Calm:
    """Counts two kinds of time. ``lasted``: whatever is done to the world starts the clock again; while the store does not
    serve well, it stands, and a while longer. ``peace``: the same, but it stands as long as any fault is under way. A host
    without power is no fault under way: it may stay so."""

    def __init__(
        self, machines: Mapping[str, Machine], storage: Storage, store: ReplicaSet, now: Callable[[], float]
    ) -> None:
        self.since = 0.0
        self.disturbed_at = -SETTLE_SECONDS
        self._unrest_at = 0.0  # when a fault was last seen under way
        self._machines, self._storage, self._store, self._now = machines, storage, store, now
        self._network = next((machine.network for machine in machines.values()), None)
        self._term = store.term
        self._under_way: dict[tuple[str, tuple[str, ...]], int] = {}  # faults that will have an end

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Disturbed: self.fault, Powered: self.disturbed, Deposed: self.disturbed, Elected: self.disturbed}

    def fault(self, fact: Disturbed) -> None:
        self.disturbed(fact)
        if fact.lasting:
            key = fact.what, fact.harms
            left = self._under_way.get(key, 0) + (-1 if fact.over else 1)
            self._under_way.pop(key, None)
            if left > 0:
                self._under_way[key] = left

    def disturbed(self, _: object) -> None:
        self.disturbed_at = self._now()
        self.since = max(self.since, self._now())

    def look(self) -> None:
        store = self._store
        if store.primary is None or store.term != self._term or store.impaired:
            self._term = store.term
            self.since = self._now() + SETTLE_SECONDS
        if self._under_way or not self._whole():
            self._unrest_at = self._now()

    def lasted(self, since: float) -> float:
        """Seconds of calm up to now, of those since then."""
        return self._now() - max(since, self.since)

    def peace(self, since: float) -> float:
        """Seconds of peace up to now, of those since then; of none, or less, nothing is promised."""
        return self._now() - max(since, self.since, self._unrest_at)

    def _whole(self) -> bool:
        """Also of faults that nobody will end: does every host that has power reach the others, and go on?"""
        network = self._network
        if self._storage.leader is None or network is None:
            return False
        if network.whole:
            return True
        return not network.parted and all(m.powered == network.up(m.name) for m in self._machines.values())
