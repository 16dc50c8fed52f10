"""A replica set of master hosts: elections, primaries that do not know yet that they are none, and commit by majority.

A write is applied by the primary, then journalled by a majority, and thereby committed: only now anybody can see it and
it is acknowledged. Nobody can see the two moments apart while the primary keeps its majority, so both happen at the
later one. If it loses its majority in between, the write is rolled back, or survives in the next primary; whoever asked
for it is not told which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ave.ports.store import Kind
from drivers.sim import physics
from drivers.sim.laggards import Laggards
from drivers.sim.ledger import Ledger
from drivers.sim.network import Cut, Network, Plane
from drivers.sim.reign import Act, Entry, Reign, State
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.storage import drawn
from drivers.sim.streams import SimWatch, Streams

STEP_DOWN_SECONDS = 10.0  # how long a primary without a majority believes in itself: MongoDB's election timeout

FAR_SECONDS = 0.25  # one way


class ReplicaSet:
    """The members, who of them is primary, and the ledger of what is committed. Faults set what is wrong with it."""

    def __init__(
        self,
        world: World,
        network: Network,
        members: Sequence[str],
        kinds: Sequence[Kind],
        preferred: Sequence[str] = (),
    ) -> None:
        self.ledger = Ledger(kinds)
        self.members = tuple(members)
        self.preferred = tuple(preferred)  # members that are primary rather than others: their priority is higher
        self.streams = Streams()
        self.reign: Reign | None = None  # of the primary that has a majority
        self.term = 0  # grows with every election
        self.usual = False  # kept cheap: everybody who is up reaches the primary, and nothing is wrong with it
        self.lost_answers = 0.0  # the chance that an effect happens and its answer does not arrive
        self.slow: dict[str, float] = {}  # member -> how many times slower its disk is
        self.lag: Laggards | None = None
        self.delay = 0.0  # seconds that each call takes longer
        self.full = False  # is the disk full?
        self._world, self._network = world, network
        self._runtime = SimRuntime(world, "store")
        self._alone: list[Reign] = []  # primaries that have lost their majority and still serve, the newest last
        self._changed_at = 0.0  # the last change of the network
        self._electing = False
        self._election_seconds = 0.0  # of the next one; 0: as long as they take
        self._clock_offset = 0.0
        self._clock_step = 0.0  # by how much the next primary's clock is off this one's
        self.ledger.listeners.append(self.streams.publish)
        self._last = Reign(self.members[0], 0, self.ledger)
        self._begin(self.members[0])
        network.on_change(self._look)

    @property
    def primary(self) -> str | None:
        return None if self.reign is None else self.reign.host

    @property
    def impaired(self) -> bool:
        """Is something but its elections wrong with it, or is its primary so far away that every answer is late?"""
        if self.reign is not None and self._network.lines and self._network.delay(self.reign.host) > FAR_SECONDS:
            return True
        return bool(self.delay or self.full or self.lag is not None or self.lost_answers or self.slow)

    @property
    def misleading(self) -> bool:
        """May a client be shown what is not so any more?"""
        return self.lag is not None or bool(self._alone)

    def now(self) -> float:
        return self._world._now + self._clock_offset

    def serves(self, host: str) -> bool:
        return self.reign is not None and self._network.reaches(host, self.reign.host, Plane.MANAGEMENT)

    def trip_seconds(self, host: str) -> float:
        """How much longer than usual the primary's answer takes to come to this host; without end if none comes."""
        return self._network.trip_seconds(host, self.reign.host) if self.reign and self.serves(host) else math.inf

    def ordinary(self, host: str, reign: Reign | None) -> bool:
        """Is this the primary, and can nothing come between it and that host?"""
        return self.usual and self.reign is reign and self._network.up(host)

    def primary_for(self, host: str, *, connected: bool) -> Reign | None:
        """Whom this host takes for the primary: one that it can talk to, or that it has a connection to of which it does
        not know yet that nothing comes back."""
        for reign in (self.reign, *reversed(self._alone)):
            if reign is not None and (
                self._network.reaches(host, reign.host, Plane.MANAGEMENT) or (connected and self.hears(host, reign))
            ):
                return reign
        return None

    def hears(self, host: str, reign: Reign) -> bool:
        """Does what the host sends arrive at this primary, if it still takes itself for one?"""
        return reign.state is not State.OVER and self._network.carries(host, reign.host, Plane.MANAGEMENT)

    def tells(self, host: str, reign: Reign) -> bool:
        """Does what this primary answers arrive at the host?"""
        return reign.state is not State.OVER and self._network.carries(reign.host, host, Plane.MANAGEMENT)

    def read_seconds(self, host: str, random: Callable[[], float]) -> float:
        """How much longer than usual a request of this host is under way."""
        return self.delay if self._network.sound else self.delay + self.extra_seconds(host, random)

    def write_seconds(self, host: str, random: Callable[[], float]) -> float:
        """From a write's arrival until a majority has it; and how much longer than usual it is under way."""
        if not self.slow and not self.delay and self._network.sound:
            return physics.JOURNAL_SECONDS
        journal = physics.JOURNAL_SECONDS * self.slow.get(self.primary or "", 1.0)
        return journal + self.delay + self.extra_seconds(host, random)

    def extra_seconds(self, host: str, random: Callable[[], float]) -> float:
        return self._network.extra_seconds(host, self._last.host, random)

    # What faults do

    def step_down(self, seconds: float = 0.0) -> None:
        """Lose the primary now, as when its process dies; the members elect again, within so many seconds if given."""
        if self.reign is not None:
            self._election_seconds = seconds
            self._lose(self.reign, "stepped down", alone=False)
            self._weigh()

    def step_clock(self, seconds: float) -> None:
        """The next primary's wall clock is so far from the others': store time steps when it takes over."""
        self._clock_step += seconds
        self.step_down()

    def isolate_members(self) -> Cut:
        """Cut off less than half of the members, none of which is the primary."""
        primary = self.primary or self._last.host
        side = [host for host in self.members if host != primary][: (len(self.members) - 1) // 2]
        return self._network.cut(side, (Plane.MANAGEMENT,))

    def isolate_primary(self, share: float) -> Cut:
        """Cut the primary off with less than half of the members, and this share of the hosts that are none."""
        primary = self.primary or self._last.host
        others = [host for host in self.members if host != primary]
        clients = [host for host in self._network.hosts if host not in self.members]
        side = (
            primary,
            *others[: (len(self.members) - 1) // 2 - 1],
            *self._runtime.random.sample(clients, round(share * len(clients))),
        )
        return self._network.cut(side, (Plane.MANAGEMENT,))

    def set_lag(self, seconds: float) -> None:
        if self.lag is not None:
            self.lag.close()
        self.lag = Laggards(self.ledger, seconds) if seconds else None
        self._weigh()

    def set_delay(self, seconds: float) -> None:
        self.delay = seconds
        self._weigh()

    def set_full(self, full: bool) -> None:
        self.full = full
        self._weigh()

    # Writes that are out of the ordinary

    def receive(self, reign: Reign, host: str, act: Act, work: float) -> Entry:
        """What becomes of a write that arrived so many seconds ago, if it did: it is ``over`` if it is committed now."""
        entry = Entry(act, self.now(), self._world._now - work, work)
        arrived = self.hears(host, reign) or entry.arrived <= self._changed_at
        if reign.state is State.OVER:
            if reign is self._last and entry.arrived <= reign.lost_at:
                reign.append(entry)
        elif arrived and reign is self.reign:
            reign.settle([*reign.tail, entry], self.ledger)
            self._weigh()
        elif arrived:
            reign.append(entry)
        return entry

    def receive_late(self, reign: Reign, host: str, act: Act, hop: float, work: float) -> None:
        """The same for a write that takes longer than its client waits."""

        async def arrive() -> None:
            await self._runtime.sleep(hop + work)
            self.receive(reign, host, act, work)

        self._runtime.spawn(arrive(), name="late write")

    def accept(self, reign: Reign, act: Act) -> Any:
        """Write concern 1: the answer before a majority has it."""
        entry = Entry(act, self.now(), self._world._now, physics.JOURNAL_SECONDS)
        answer = reign.answer_at_once(entry)
        self._weigh()

        async def replicate() -> None:
            await self._runtime.sleep(entry.work)
            if reign is self.reign:
                self.flush(reign)

        self._runtime.spawn(replicate(), name="replication")
        return answer

    def flush(self, reign: Reign) -> None:
        """The primary has a majority: everything in its log is committed."""
        reign.settle(reign.tail, self.ledger)
        self._weigh()

    # Elections

    def _look(self) -> None:
        """The network changed: who has a majority, who has heard of a newer primary, and who can hear his watch?"""
        self._changed_at = self._world._now
        if self.reign is not None and not self._majority(self.reign.host):
            self._lose(self.reign, "lost its majority", alone=self._network.up(self.reign.host))
        for reign in list(self._alone):
            if not self._network.up(reign.host):
                self._end(reign)
            elif self._majority(reign.host):
                if reign is self._last:
                    self._resume(reign)
                else:
                    self._end(reign)  # it hears of a newer one, and rolls back
        if self.reign is None and not self._electing:
            self._call_election()
        if self._outranked():
            self._runtime.spawn(self._hand_over(), name="hand over")
        if self.reign is not None:
            self._break_off(self.reign, self.streams.watches)
        for reign in self._alone:
            self._break_off(reign, reign.watches)
        self._weigh()

    def _linked(self, host: str, reign: Reign) -> bool:
        return self.hears(host, reign) and self.tells(host, reign)

    def _break_off(self, reign: Reign, watches: dict[SimWatch, None]) -> None:
        for watch in [watch for watch in watches if not self._linked(watch.host, reign)]:
            watches.pop(watch, None)
            if watch.host in self._network.half_open:
                watch.fall_silent()
            else:
                watch.break_off()

    def _weigh(self) -> None:
        reign, wrong = self.reign, self.delay or self.full or self.lag is not None
        self.usual = reign is not None and self._network.sound and not reign.tail and not wrong

    def _majority(self, member: str) -> bool:
        seen = sum(self._network.reaches(member, other, Plane.MANAGEMENT) for other in self.members)
        return 2 * seen > len(self.members)

    def _lose(self, reign: Reign, why: str, *, alone: bool) -> None:
        self._world.tell("store", "primary lost", {"host": reign.host, "why": why})
        self.reign = None
        reign.lost_at, reign.share = self._world._now, self._runtime.random.random()
        if not alone:
            reign.state = State.OVER
            for watch in list(self.streams.watches):
                watch.break_off()
        else:
            reign.state, reign.known = State.ALONE, self.ledger.copied()
            self._alone.append(reign)
            for watch in list(self.streams.watches):
                if self._linked(watch.host, reign):
                    self.park(watch, reign)
                else:
                    watch.break_off()
            self._runtime.spawn(self._step_down(reign, reign.lost_at), name="step down")
        if not self._electing:
            self._call_election()

    async def _step_down(self, reign: Reign, lost_at: float) -> None:
        await self._runtime.sleep(STEP_DOWN_SECONDS)
        if reign.state is State.ALONE and reign.lost_at == lost_at:
            self._end(reign)

    def park(self, watch: SimWatch, reign: Reign) -> None:
        """It is not told that its primary is alone, and of nothing else either."""
        self.streams.forget(watch)
        watch.source = reign.known
        reign.watches[watch] = None

    def _end(self, reign: Reign) -> None:
        reign.state = State.OVER
        self._alone.remove(reign)
        for watch in reign.watches:
            watch.break_off()
        reign.watches.clear()

    def _resume(self, reign: Reign) -> None:
        """It has its majority back before anybody took its place: its log is committed after all."""
        self._alone.remove(reign)
        reign.state, reign.known, self.reign = State.LEADS, self.ledger, reign
        for watch in reign.watches:
            if not watch.broken:
                watch.source = self.ledger
                self.streams.enrol(watch)
        reign.watches.clear()
        self._world.tell("store", "primary is back", {"host": reign.host})
        self.flush(reign)

    def _begin(self, host: str) -> None:
        self.term += 1
        self._clock_offset, self._clock_step = self._clock_offset + self._clock_step, 0.0
        former = self._last
        self.reign = self._last = Reign(host, self.term, self.ledger)
        survivors = former.survivors(host)
        if len(survivors) < len(former.tail):
            for kind, id in former.rolled_back(survivors):
                self._world.tell("store", "rolled back", {"host": former.host, "kind": kind, "id": id})
        former.settle(survivors, self.ledger)
        self._weigh()

    def _call_election(self) -> None:
        self._electing = True
        self._runtime.spawn(self._elect(), name="election")

    def _outranked(self) -> bool:
        """Is there a member that should be primary instead?"""
        if self.reign is None or self.reign.host in self.preferred:
            return False
        return any(self._majority(member) for member in self.preferred)

    async def _hand_over(self) -> None:
        await self._runtime.sleep(physics.TAKE_OVER_SECONDS)
        if self._outranked():
            self.step_down()

    async def _elect(self) -> None:
        low, high = physics.ELECTION_SECONDS
        seconds = low + (high - low) * self._runtime.random.random()
        given, self._election_seconds = self._election_seconds, 0.0
        await self._runtime.sleep(given or seconds)
        self._electing = False
        able = [member for member in self.members if self._majority(member)]
        if able and self.reign is None:
            host = drawn(able, self.preferred, self._runtime.random.random())
            self._begin(host)
            self._world.tell("store", "primary elected", {"host": host, "term": self.term})
