"""The time that counts against the Job Center: that in which hosts, network and store are left in peace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.sim.facts import Deposed, Disturbed, Elected, Powered
from drivers.sim.store import ReplicaSet

SETTLE_SECONDS = 15.0  # who was cut off from the store waits 5 s for an answer, looks for it for 5 s, and pauses


class Calm:
    """Whatever is done to the world starts the clock again; while the store does not serve well, it stands, and a while
    longer."""

    def __init__(self, store: ReplicaSet, now: Callable[[], float]) -> None:
        self.since = 0.0
        self.disturbed_at = -SETTLE_SECONDS
        self._store, self._now = store, now
        self._term = store.term

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Disturbed: self.disturbed, Powered: self.disturbed, Deposed: self.disturbed, Elected: self.disturbed}

    def disturbed(self, _: object) -> None:
        self.disturbed_at = self._now()
        self.since = max(self.since, self._now())

    def look(self) -> None:
        store = self._store
        if store.primary is None or store.term != self._term or store.impaired:
            self._term = store.term
            self.since = self._now() + SETTLE_SECONDS

    def lasted(self, since: float) -> float:
        """Seconds of peace up to now, of those since then."""
        return self._now() - max(since, self.since)
