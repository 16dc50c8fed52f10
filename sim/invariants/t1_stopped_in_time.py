from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.sim.facts import Gone, Paused, Resumed, Started, Thawed
from sim.invariants.s2_one_runner import GRACE_SECONDS
from sim.invariants.shape import Stage, Violation

LOOK_SECONDS = 5.0  # between two looks at what runs on


class StoppedInTime:
    """Armed by every domain that stops because its host's lease is over.

    Measured from when the host sent the last renewal that was answered, in true time, with the clock that it has. The one
    exception is that of S2: a whole host that stood still learns a moment after it goes on that its lease is over.
    """

    id = "T1"
    phrase = "without a lease every VM of a host stands still in the time on which its profile counts"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._running: dict[str, dict[int, str]] = {}  # host -> instance -> VM
        self._thawed: dict[str, float] = {}
        self._looked_at = 0.0

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            Started: self.started,
            Resumed: self.runs,
            Paused: self.stops,
            Gone: self.stops,
            Thawed: self.thawed,
            "tick": self.tick,
            "end": self.end,
        }

    def thawed(self, fact: Thawed) -> None:
        self._thawed[fact.host] = self._stage.now()

    def started(self, fact: Started) -> None:
        if not fact.incoming:
            self.runs(fact)

    def runs(self, fact: Started | Resumed) -> None:
        self._running.setdefault(fact.host, {})[fact.instance] = fact.vm
        self._check(fact.host, fact.vm)

    def stops(self, fact: Paused | Gone) -> None:
        if self._running.get(fact.host, {}).pop(fact.instance, "") and self._without(fact.host) > 0.0:
            self.armed += 1
            self._check(fact.host, fact.vm)

    def tick(self, now: float) -> None:
        if now >= self._looked_at + LOOK_SECONDS:
            self.end(None)

    def end(self, _: object) -> None:
        self._looked_at = self._stage.now()
        for host, running in self._running.items():
            if running:
                self._check(host, next(iter(running.values())))

    def _without(self, host: str) -> float:
        """For how long its lease has been over, at least, by whatever clock it has."""
        lease = self._stage.storage.leases.get(host)
        held = self._stage.timing.give_up * 0.99
        return self._stage.now() - lease.sent_at - held if lease is not None else 0.0

    def _check(self, host: str, vm: str) -> None:
        lease = self._stage.storage.leases.get(host)
        if lease is None:
            return
        now, limit = self._stage.now(), self._stage.timing.stopped_by()
        late = now - lease.sent_at - limit
        if late > 0.0 and now > self._thawed.get(host, -GRACE_SECONDS) + GRACE_SECONDS:
            what = f"{vm} runs on {host} {limit + late:.1f} s after its last renewal was sent; it may for {limit:.1f} s"
            raise Violation(self.id, what, (vm, host))
