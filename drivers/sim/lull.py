"""Lazy leases: while nothing can keep a host's renewals from succeeding, none is made.

They are counted when somebody looks: the counter and the hold are then what they would have been. Whatever befalls the
network, the meta service, the lease, or the host's clock or process ends the lull, and the next renewal is a real one, at
the moment at which it was due anyway. ``tests/contracts/test_lazy_leases.py`` holds both ways equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from drivers.sim import physics
from drivers.sim.runtime import SimRuntime, Wakeup

TRIP_SECONDS = 2 * physics.HOP_SECONDS  # of a renewal, until it is answered


class Lease(Protocol):
    """What is renewed."""

    lull: Lull | None

    def renew(self, times: int, at: float) -> None: ...

    def answered(self, sent: float) -> None: ...


class Lull:
    def __init__(
        self, lease: Lease, runtime: SimRuntime, due: float, pause: float, renewed: Callable[[float], bool]
    ) -> None:
        """The next renewal is due then in true time, and one every ``pause`` seconds of the host's clock."""
        self.due, self.over = due, Wakeup(runtime.world)
        self._world = runtime.world
        self._lease, self._runtime, self._pause, self._renewed = lease, runtime, pause, renewed
        self._lapsing: dict[Wakeup, Callable[[], float]] = {}
        lease.lull = self
        runtime.on_stop[self] = runtime.clock.on_change[self] = self.end

    def count(self) -> None:
        """Take in every renewal that has been answered by now."""
        now = self._world._now
        late = now - TRIP_SECONDS - self.due
        if late < 0:
            return
        clock = self._runtime.clock
        step = self._pause / clock.rate
        times = math.floor(late / step) + 1
        last = self.due + (times - 1) * step
        self.due = last + step
        self._lease.renew(times, last + physics.HOP_SECONDS)
        self._lease.answered(last)
        self._renewed(clock.now() - (now - last) * clock.rate)

    def end(self) -> None:
        if self._lease.lull is not self:
            return
        self.count()
        self._lease.lull = None
        del self._runtime.on_stop[self], self._runtime.clock.on_change[self]
        self.over.succeed()
        for waiter, left in self._lapsing.items():
            waiter._ok, waiter._value = True, None
            self._runtime.world.schedule(waiter, delay=max(0.0, left()) / self._runtime.clock.rate)

    async def lapse(self, left: Callable[[], float]) -> None:
        """Wait until this ends, and then for as long as there is left."""
        waiter = Wakeup(self._runtime.world)
        self._lapsing[waiter] = left
        try:
            await waiter
        finally:
            self._lapsing.pop(waiter, None)
