"""The simulated store: a replica set of master hosts with elections, and one client of it per host.

Every call is two hops, request and reply, so that a crash or a cut can fall between an effect and its answer. Writes answer
when a majority has journalled them; what was acknowledged is never lost. Not modelled yet: secondaries that lag, w:1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.store import Change, Commit, Conflict, Document, In, Kind, Where, Write
from drivers.sim import physics
from drivers.sim.ledger import Ledger
from drivers.sim.network import Network, Plane
from drivers.sim.runtime import SimRuntime, Wakeup, World

D = TypeVar("D", bound=Document)


class ReplicaSet:
    """The members, who of them is primary, and the ledger they share."""

    def __init__(self, world: World, network: Network, members: Sequence[str], kinds: Sequence[Kind]) -> None:
        self.ledger = Ledger(kinds)
        self.members = tuple(members)
        self.primary: str | None = members[0]
        self.open = network.whole  # the usual case, kept cheap: everybody reaches the primary
        self.term = 1  # grows with every election; a request of an older term is lost
        self.lost_answers = 0.0  # the chance that an effect happens and its answer does not arrive
        self.slow: dict[str, float] = {}  # member -> how many times slower its disk is
        self.watches: dict[SimWatch, None] = {}
        self._interest: dict[tuple[str, str, Any], dict[SimWatch, None]] = {}
        self._fields: dict[str, tuple[str, ...]] = {}  # kind -> fields by which it is watched; "" is all of it
        self._world, self._network = world, network
        self._runtime = SimRuntime(world, "store")
        self._electing = False
        self._clock_offset = 0.0
        self.ledger.listeners.append(self._publish)
        network.on_change(self._look)

    def now(self) -> float:
        return self._world._now + self._clock_offset

    def serves(self, host: str) -> bool:
        primary = self.primary
        return primary is not None and self._network.reaches(host, primary, Plane.MANAGEMENT)

    def journal_seconds(self) -> float:
        return physics.JOURNAL_SECONDS * (self.slow.get(self.primary or "", 1.0) if self.slow else 1.0)

    def step_down(self) -> None:
        """Lose the primary now, as when its process dies; the members elect again."""
        self._depose("stepped down")

    # Elections

    def _look(self) -> None:
        """The network changed: does the primary still have its majority, and do the watches have the primary?"""
        self._turn_to(self.primary)
        if self.primary is not None and not self._majority(self.primary):
            self._depose("lost its majority")
        elif self.primary is None and not self._electing:
            self._call_election()
        if self.primary is not None:
            for watch in [w for w in self.watches if not self.serves(w.host)]:
                watch.break_off()

    def _turn_to(self, primary: str | None) -> None:
        self.primary = primary
        self.open = primary is not None and self._network.whole

    def _majority(self, member: str) -> bool:
        seen = sum(self._network.reaches(member, other, Plane.MANAGEMENT) for other in self.members)
        return 2 * seen > len(self.members)

    def _depose(self, why: str) -> None:
        self._world.tell("store", "primary lost", {"host": self.primary, "why": why})
        self._turn_to(None)
        self.term += 1
        for watch in list(self.watches):
            watch.break_off()
        self._call_election()

    def _call_election(self) -> None:
        self._electing = True
        self._runtime.spawn(self._elect(), name="election")

    async def _elect(self) -> None:
        low, high = physics.ELECTION_SECONDS
        await self._runtime.sleep(low + (high - low) * self._runtime.random.random())
        self._electing = False
        able = [member for member in self.members if self._majority(member)]
        if able and self.primary is None:
            self._turn_to(able[int(self._runtime.random.random() * len(able))])
            self._world.tell("store", "primary elected", {"host": self.primary, "term": self.term})

    # Watches

    def enrol(self, watch: SimWatch) -> None:
        self.watches[watch] = None
        for key in watch.keys:
            kind, field, _ = key
            if field not in self._fields.get(kind, ()):
                self._fields[kind] = (*self._fields.get(kind, ()), field)
            self._interest.setdefault(key, {})[watch] = None

    def forget(self, watch: SimWatch) -> None:
        self.watches.pop(watch, None)
        for key in watch.keys:
            self._interest.get(key, {}).pop(watch, None)

    def _publish(self, commit: Commit) -> None:
        """Hand the commit to those whom it concerns; one commit may concern many, a quiet watch costs nothing."""
        concerned: dict[SimWatch, list[tuple[str, str, Any]]] = {}
        for change in commit.changes:
            kind, _, doc = change
            for field in self._fields.get(kind, ()):
                if field and doc is None:
                    keys = [key for key in self._interest if key[:2] == (kind, field)]  # deletions always pass
                else:
                    keys = [(kind, field, getattr(doc, field) if field else None)]
                for key in keys:
                    for watch in self._interest.get(key, ()):
                        seen = concerned.setdefault(watch, [])
                        if not seen or seen[-1] is not change:
                            seen.append(change)
        for watch, changes in concerned.items():
            watch.offer(Commit(commit.revision, commit.at, tuple(changes)))


class SimWatch:
    """One client's change stream."""

    def __init__(
        self, replica_set: ReplicaSet, runtime: SimRuntime, host: str, keys: tuple[tuple[str, str, Any], ...]
    ) -> None:
        self.host, self.keys = host, keys
        self._seen = replica_set.ledger.revision
        self._replica_set, self._runtime = replica_set, runtime
        self._pending: deque[Commit] = deque()
        self._waiter: Wakeup | None = None
        self._broken = False

    @property
    def revision(self) -> int:
        if not self._pending and not self._broken:
            self._seen = self._replica_set.ledger.revision  # the stream says so even when nothing matches
        return self._seen

    def offer(self, commit: Commit) -> None:
        if self._runtime.dead:
            self.close()
            return
        self._pending.append(commit)
        self._wake(physics.HOP_SECONDS)

    def break_off(self) -> None:
        self._seen = self.revision if not self._pending else self._seen
        self._broken = True
        self._replica_set.forget(self)
        self._wake(0.0)

    async def next(self) -> Commit:
        if not self._pending and not self._broken:
            self._waiter = Wakeup(self._runtime.world)
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._pending:
            raise Unavailable("the change stream broke")
        commit = self._pending.popleft()
        self._seen = commit.revision
        return commit

    def close(self) -> None:
        self.break_off()

    def _wake(self, delay: float) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.triggered:
            waiter._ok, waiter._value = True, None
            self._runtime.world.schedule(waiter, delay=delay)


class SimStore:
    """One host's client of the replica set."""

    def __init__(self, replica_set: ReplicaSet, runtime: SimRuntime, host: str) -> None:
        self._set, self._runtime, self._host = replica_set, runtime, host
        self._random = runtime.world.random_for(f"{runtime.name}/store").random
        self._types = {kind.type: kind for kind in (s.kind for s in replica_set.ledger.shelves.values())}

    async def get(self, type: type[D], id: str) -> D | None:
        term = await self._request(0.0)
        doc = self._set.ledger.get(type, id)
        await self._reply(term)
        return doc  # type: ignore[no-any-return]

    async def find(
        self,
        type: type[D],
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int = 0,
        after: tuple[Any, ...] | None = None,
    ) -> list[D]:
        term = await self._request(0.0)
        found = self._set.ledger.find(type, where or {}, order, limit, after)
        await self._reply(term, physics.FIND_SECONDS_PER_DOCUMENT * len(found))
        return found

    async def count(self, type: type[Any], where: Where | None = None) -> int:
        return len(await self.find(type, where))

    async def commit(self, *writes: Write) -> list[Any]:
        term = await self._request(self._set.journal_seconds(), write=True)
        try:
            answer = self._set.ledger.commit(writes, self._set.now())
        except Conflict:
            await self._reply(term, write=True)  # a refusal is an answer too, and may be lost like any other
            raise
        await self._reply(term, write=True)
        return answer

    async def take(
        self,
        type: type[D],
        where: Where,
        order: Sequence[str],
        *,
        set: Mapping[str, Any],
        add: Mapping[str, float] | None = None,
        stamp: Mapping[str, float] | None = None,
        limit: int = 1,
    ) -> list[D]:
        term = await self._request(self._set.journal_seconds(), write=True)
        change = Change(type, "", {}, set, add or {}, stamp or {})
        taken = self._set.ledger.take(type, where, order, limit, change, self._set.now())
        await self._reply(term, write=True)
        return taken

    async def now(self) -> float:
        term = await self._request(0.0)
        now = self._set.now()
        await self._reply(term)
        return now

    async def watch(self, types: Sequence[type[Any]], since: int | None = None, where: Where | None = None) -> SimWatch:
        keys = tuple(key for type in types for key in _keys(self._types[type].name, where))
        term = await self._request(0.0)
        watch = SimWatch(self._set, self._runtime, self._host, keys)
        if since is not None:
            watch._seen = since
            for commit in self._set.ledger.since(since):
                changes = tuple(c for c in commit.changes if _concerns(c, keys))
                if changes:
                    watch.offer(Commit(commit.revision, commit.at, changes))
        self._set.enrol(watch)
        try:
            await self._reply(term)
        except BaseException:  # cancelled on its way back: nobody would ever read it
            watch.close()
            raise
        return watch

    async def _request(self, work: float, *, write: bool = False) -> int:
        """Find the primary and reach it; returns the term in which it was reached."""
        replica_set, runtime = self._set, self._runtime
        if not (replica_set.open or replica_set.serves(self._host)):
            await self._select()
        term = replica_set.term
        await runtime.sleep(physics.HOP_SECONDS * (0.5 + self._random()) + work)
        if replica_set.term != term or not (replica_set.open or replica_set.serves(self._host)):
            await runtime.sleep(physics.ANSWER_SECONDS)
            raise UnknownOutcome("the store did not answer") if write else Unavailable("the store did not answer")
        return term

    async def _select(self) -> None:
        deadline = self._runtime.now() + physics.SELECT_SECONDS
        while not self._set.serves(self._host):
            if self._runtime.now() >= deadline:
                raise Unavailable("no primary of the store can be reached")
            await self._runtime.sleep(0.5)

    async def _reply(self, term: int, work: float = 0.0, *, write: bool = False) -> None:
        replica_set = self._set
        await self._runtime.sleep(physics.HOP_SECONDS * (0.5 + self._random()) + work)
        lost = write and replica_set.lost_answers and self._random() < replica_set.lost_answers
        if lost or replica_set.term != term or not (replica_set.open or replica_set.serves(self._host)):
            await self._runtime.sleep(physics.ANSWER_SECONDS)
            raise UnknownOutcome("the store's answer was lost") if write else Unavailable("the store did not answer")


def _keys(kind: str, where: Where | None) -> tuple[tuple[str, str, Any], ...]:
    if not where:
        return ((kind, "", None),)
    ((field, value),) = where.items()
    return tuple((kind, field, v) for v in (value.values if isinstance(value, In) else (value,)))


def _concerns(change: tuple[str, str, Any], keys: tuple[tuple[str, str, Any], ...]) -> bool:
    kind, _, doc = change
    return any(
        kind == wanted and (not field or doc is None or getattr(doc, field) == value) for wanted, field, value in keys
    )
