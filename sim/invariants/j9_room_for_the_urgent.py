from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import Handler, Role
from ave.model.work import Work
from drivers.sim.machine import NODE
from sim.invariants.calm import SETTLE_SECONDS
from sim.invariants.shape import Stage, Violation

UNITS = 100
CLAIMED_SECONDS = 5.0
TRIP_SECONDS = 0.5  # to claim takes several trips to the store: if one takes longer than this, the store is to blame
RESCUE = "ha.rescue"
URGENT = (RESCUE, "vm.shutdown", "vm.poweroff")
STOPS = 10  # so many of a host's units are kept for stops, and as many again for rescues
BUSY = 20  # pieces of work at once: from then on the urgent have somebody to wait for


class RoomForTheUrgent:
    """Armed by every piece of urgent work that is ready in the lane of a busy host."""

    id = "J9"
    phrase = (
        "a host executes at most 100 pieces of work, and rescues and stops are begun within seconds, however busy it is"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._running: dict[str, tuple[str, bool]] = {}  # work -> worker, and is it urgent?
        self._busy: dict[str, int] = {}  # worker -> pieces
        self._urgent: dict[str, int] = {}  # of these, the urgent ones
        self._ready: dict[str, tuple[str, str, float]] = {}  # urgent work -> lane, operation, since when it is ready
        self._there: dict[str, tuple[str, float]] = {}  # lane -> its worker or holder, and since when
        self._leads: tuple[str | None, float] = (None, 0.0)  # the storage's meta leader, and since when
        self._apart: dict[
            str, float
        ] = {}  # host -> when its worker was last seen not to reach the store in time, or not to move

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, "handler": self.handler, "role": self.role, "tick": self.tick}

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is not None and work.state == "running":
            if self._running.get(id, ("", False))[0] != work.handler:
                self._leave(id)
                self._enter(id, work)
        elif id in self._running:
            self._leave(id)
        if work is None or work.state != "ready" or work.operation not in URGENT:
            self._ready.pop(id, None)
        elif id not in self._ready or self._ready[id][0] != work.lane:
            self._ready[id] = (work.lane, work.operation, self._stage.now())
            self.armed += self._busy.get(self._stage.worker(self._host(work.lane)), 0) >= BUSY

    def handler(self, change: tuple[str, Handler | None]) -> None:
        id, handler = change
        if handler is not None and self._there.get(id, ("", 0.0))[0] != handler.uuid:
            self._there[id] = (handler.uuid, self._stage.now())

    def role(self, change: tuple[str, Role | None]) -> None:
        id, role = change
        if role is not None:
            self._there[id] = (role.holder, self._stage.now())

    def tick(self, now: float) -> None:
        if self._leads[0] != self._stage.storage.leader:
            self._leads = (self._stage.storage.leader, now)
        trip_seconds, apart = self._stage.store.trip_seconds, self._apart
        for host, machine in self._stage.machines.items():
            if not machine.works(NODE) or trip_seconds(host) > TRIP_SECONDS:
                apart[host] = now
        for id, (lane, operation, ready) in self._ready.items():
            host = self._host(lane)
            worker = self._stage.worker(host)
            if not worker or (operation != RESCUE and self._urgent.get(worker, 0) >= STOPS):
                continue
            there = max(self._there.get(name, ("", now))[1] for name in (lane, host))
            if lane != host:
                there = max(there, self._leads[1])
            # It may be this host that was cut off, by what was done to the world or as its lines do by themselves.
            settled = max(self._stage.calm.disturbed_at, self._apart.get(host, -SETTLE_SECONDS)) + SETTLE_SECONDS
            if self._stage.calm.lasted(max(ready, there, settled)) > CLAIMED_SECONDS:
                what = f"{id} is urgent and waits for {now - ready:.0f} s for {worker}, which executes"
                raise Violation(self.id, f"{what} {self._busy.get(worker, 0)}", (id, id.partition("/")[0], host))

    def _host(self, lane: str) -> str:
        """Whose worker claims what is in that lane. A role is the storage's meta leader's, who has to take it if it has not,
        and nobody's while there is none."""
        return lane if lane in self._stage.machines else self._stage.storage.leader or ""

    def _enter(self, id: str, work: Work) -> None:
        urgent = work.operation in URGENT
        self._running[id] = (work.handler, urgent)
        busy = self._busy[work.handler] = self._busy.get(work.handler, 0) + 1
        self._urgent[work.handler] = self._urgent.get(work.handler, 0) + urgent
        if busy > UNITS:
            raise Violation(self.id, f"{work.handler} executes {busy} pieces of work at once", (id, work.job))

    def _leave(self, id: str) -> None:
        handler, urgent = self._running.pop(id, ("", False))
        if handler:
            self._busy[handler] -= 1
            self._urgent[handler] -= urgent
