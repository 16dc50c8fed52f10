"""The simulated store: one client of the replica set per host.

Every call is two hops, request and reply, so that a crash or a cut can fall between an effect and its answer. Writes
answer when a majority has journalled them; what was acknowledged is never lost. A primary that is cut off from its
majority serves what it knew to ``find``, and lets everybody else wait. What a client has seen, it sees ever after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.store import Change, Conflict, Document, Where, Write
from drivers.sim import physics
from drivers.sim.ledger import Ledger
from drivers.sim.reign import Act, Reign, State
from drivers.sim.replica_set import ReplicaSet
from drivers.sim.runtime import SimRuntime
from drivers.sim.streams import SimWatch, keys_of

__all__ = ["EarlyStore", "ReplicaSet", "SimStore", "SimWatch"]

D = TypeVar("D", bound=Document)

LOOK_SECONDS = 0.5  # between two looks of a call that waits


class SimStore:
    """One host's client of the replica set."""

    def __init__(self, replica_set: ReplicaSet, runtime: SimRuntime, host: str) -> None:
        self._set, self._runtime, self._host = replica_set, runtime, host
        self._random = runtime.world.random_for(f"{runtime.name}/store").random
        self._types = {kind.type: kind for kind in (s.kind for s in replica_set.ledger.shelves.values())}
        self._connected = True  # as far as it knows: until an answer fails to come
        self._seen = 0  # the newest revision shown to this client since something went wrong

    async def get(self, type: type[D], id: str) -> D | None:
        replica_set = self._set
        reign = await self._request(replica_set.read_seconds(self._host, self._random))
        ordinary = replica_set.ordinary(self._host, reign)
        ledger = replica_set.ledger if ordinary else await self._confirmed(reign)
        doc = ledger.get(type, id)
        await self._reply(reign)
        return doc  # type: ignore[no-any-return]

    async def find(
        self,
        type: type[D],
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int = 0,
        after: tuple[Any, ...] | None = None,
    ) -> list[D]:
        replica_set = self._set
        reign = await self._request(replica_set.read_seconds(self._host, self._random))
        ordinary = replica_set.ordinary(self._host, reign)
        ledger = replica_set.ledger if ordinary else await self._known(reign, lag=True)
        found = ledger.find(type, where or {}, order, limit, after)
        await self._reply(reign, physics.FIND_SECONDS_PER_DOCUMENT * len(found))
        return found

    async def count(self, type: type[Any], where: Where | None = None) -> int:
        return len(await self.find(type, where))

    async def commit(self, *writes: Write) -> list[Any]:
        replica_set = self._set
        work = replica_set.write_seconds(self._host, self._random)
        if work >= physics.ANSWER_SECONDS:
            raise await self._too_slow(partial(_commit, writes), work)
        reign = await self._request(work)
        try:
            if replica_set.ordinary(self._host, reign):
                answer = replica_set.ledger.commit(writes, replica_set.now())
            else:
                answer = await self._write(reign, partial(_commit, writes), work)
        except Conflict:
            await self._reply(reign, write=True)  # a refusal is an answer too, and may be lost like any other
            raise
        await self._reply(reign, write=True)
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
        replica_set = self._set
        change = Change(type, "", {}, set, add or {}, stamp or {})
        work = replica_set.write_seconds(self._host, self._random)
        if work >= physics.ANSWER_SECONDS:
            raise await self._too_slow(partial(_take, type, where, order, limit, change), work)
        reign = await self._request(work)
        if replica_set.ordinary(self._host, reign):
            taken = replica_set.ledger.take(type, where, order, limit, change, replica_set.now())
        else:
            taken = await self._write(reign, partial(_take, type, where, order, limit, change), work)
        await self._reply(reign, write=True)
        return taken

    async def now(self) -> float:
        replica_set = self._set
        reign = await self._request(replica_set.read_seconds(self._host, self._random))
        if not replica_set.ordinary(self._host, reign):
            await self._known(reign)
        now = replica_set.now()
        await self._reply(reign)
        return now

    async def watch(self, types: Sequence[type[Any]], since: int | None = None, where: Where | None = None) -> SimWatch:
        replica_set = self._set
        keys = tuple(key for type in types for key in keys_of(self._types[type].name, where))
        reign = await self._request(replica_set.read_seconds(self._host, self._random))
        ordinary = replica_set.ordinary(self._host, reign)
        known = replica_set.ledger if ordinary else await self._known(reign, since or 0)
        watch = SimWatch(replica_set.streams, self._runtime, self._host, keys, known, self.saw)
        if since is not None:
            watch.go_back(since, [c for c in replica_set.ledger.since(since) if c.revision <= known.revision])
        if known is replica_set.ledger:
            replica_set.streams.enrol(watch)
        else:
            replica_set.park(watch, reign)
        try:
            await self._reply(reign)
        except BaseException:  # cancelled on its way back: nobody would ever read it
            watch.close()
            raise
        self.saw(known.revision)
        return watch

    def saw(self, revision: int) -> None:
        if revision > self._seen:
            self._seen = revision

    # There and back

    async def _request(self, work: float) -> Reign:
        """Find the primary and reach it; it needs so many seconds before it can answer."""
        replica_set, reign = self._set, self._set.reign
        if reign is None or not replica_set.ordinary(self._host, reign):
            reign = await self._select()
            if work >= physics.ANSWER_SECONDS:
                raise await self._silence(write=False)
        await self._runtime.sleep(physics.HOP_SECONDS * (0.5 + self._random()) + work)
        return reign

    async def _select(self) -> Reign:
        deadline = self._runtime.now() + physics.SELECT_SECONDS
        while (reign := self._set.primary_for(self._host, connected=self._connected)) is None:
            if self._runtime.now() >= deadline:
                raise Unavailable("no primary of the store can be reached")
            await self._runtime.sleep(LOOK_SECONDS)
        return reign

    async def _reply(self, reign: Reign, work: float = 0.0, *, write: bool = False) -> None:
        replica_set = self._set
        await self._runtime.sleep(physics.HOP_SECONDS * (0.5 + self._random()) + work)
        lost = write and replica_set.lost_answers and self._random() < replica_set.lost_answers
        ordinary = replica_set.ordinary(self._host, reign)
        if lost or not (ordinary or await self._returned(reign)):
            raise await self._silence(write=write)
        self._connected = True

    async def _returned(self, reign: Reign) -> bool:
        """Something is wrong somewhere: does the answer arrive, however late?"""
        extra = self._set.extra_seconds(self._host, self._random)
        if extra:
            await self._runtime.sleep(min(extra, physics.ANSWER_SECONDS))
        return extra < physics.ANSWER_SECONDS and self._set.tells(self._host, reign)

    async def _silence(self, *, write: bool, since: float | None = None) -> Exception:
        """Wait in vain; returns what to raise. What is sent next needs a new connection."""
        waited = 0.0 if since is None else self._runtime.now() - since
        await self._runtime.sleep(physics.ANSWER_SECONDS - waited)
        self._connected = False
        return UnknownOutcome("the store did not answer") if write else Unavailable("the store did not answer")

    # At a primary, when something is wrong

    async def _known(self, reign: Reign, since: int = 0, *, lag: bool = False) -> Ledger:
        """What is committed, as far as that primary or one of its secondaries knows; never behind what was seen."""
        replica_set = self._set
        if replica_set.hears(self._host, reign):
            known = reign.known
            if lag and replica_set.lag is not None and reign.state is State.LEADS:
                known = replica_set.lag.view(self, self._seen, replica_set.now())
            if known.revision >= max(self._seen, since):
                self.saw(known.revision)
                return known
        raise await self._silence(write=False)

    async def _confirmed(self, reign: Reign) -> Ledger:
        """All that is committed, once a majority confirms that this is the primary."""
        replica_set, since = self._set, self._runtime.now()
        while self._runtime.now() < since + physics.ANSWER_SECONDS and replica_set.hears(self._host, reign):
            if reign is replica_set.reign:
                replica_set.flush(reign)
                self.saw(replica_set.ledger.revision)
                return replica_set.ledger
            await self._runtime.sleep(LOOK_SECONDS)
        raise await self._silence(write=False, since=since)

    async def _too_slow(self, act: Act, work: float) -> Exception:
        """It will be done when its client has long given up; returns what to raise."""
        reign = await self._select()
        if not self._set.full:
            self._set.receive_late(reign, self._host, act, physics.HOP_SECONDS * (0.5 + self._random()), work)
        return await self._silence(write=True)

    async def _write(self, reign: Reign, act: Act, work: float) -> Any:
        """Apply it, and wait until a majority has it."""
        replica_set, since = self._set, self._runtime.now()
        if replica_set.full and replica_set.hears(self._host, reign):
            await self._reply(reign, write=True)
            raise Unavailable("the store's disk is full")
        entry = replica_set.receive(reign, self._host, act, work)
        while self._runtime.now() < since + physics.ANSWER_SECONDS and replica_set.hears(self._host, reign):
            if entry.over and reign is replica_set.reign:
                self.saw(replica_set.ledger.revision)
                if entry.conflict is not None:
                    raise entry.conflict
                return entry.answer
            await self._runtime.sleep(LOOK_SECONDS)
        raise await self._silence(write=True, since=since)


class EarlyStore(SimStore):
    """A client that commits with write concern 1: it is told so before a majority has the write. A bug to plant."""

    async def commit(self, *writes: Write) -> list[Any]:
        replica_set = self._set
        reign = await self._request(0.0)
        if not replica_set.hears(self._host, reign):
            raise await self._silence(write=True)
        try:
            answer = replica_set.accept(reign, partial(_commit, writes))
        except Conflict:
            await self._reply(reign, write=True)
            raise
        await self._reply(reign, write=True)
        return answer  # type: ignore[no-any-return]


def _commit(writes: Sequence[Write], ledger: Ledger, now: float) -> list[Any]:
    return ledger.commit(writes, now)


def _take(
    type: type[Any], where: Where, order: Sequence[str], limit: int, change: Change, ledger: Ledger, now: float
) -> list[Any]:
    return ledger.take(type, where, order, limit, change, now)
