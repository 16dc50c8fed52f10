"""The Store port on MongoDB. One write is one command, several are one transaction; both journalled by a majority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from ave.errors import Refused, Unavailable
from ave.ports.store import Change, Check, Document, Insert, Kind, Replace, Where, Write
from ave.runtime import Runtime
from drivers.mongo import single
from drivers.mongo.codec import Raw, check_size, decode
from drivers.mongo.faults import TooLarge, explained, refused
from drivers.mongo.link import Collection, Link, Session
from drivers.mongo.query import Queries
from drivers.mongo.schema import prepare
from drivers.mongo.settings import MongoSettings
from drivers.mongo.several import Several, moved_on
from drivers.mongo.take import take
from drivers.mongo.watch import MongoWatch
from drivers.writes import outcome, target

D = TypeVar("D", bound=Document)
TRIES = 20  # how often a write that lost to a document which then proves it right begins again
PAGE = 1000  # documents per answer of the server
_LINEARIZABLE = ReadConcern("linearizable")


class MongoStore:
    """``await MongoStore.open(…)``, and ``await close()`` at the end."""

    def __init__(self, link: Link, kinds: Sequence[Kind]) -> None:
        self._link = link
        self._kinds = {kind.type: kind for kind in kinds}
        self._collections: dict[type[Any], Collection] = {kind.type: link.database[kind.name] for kind in kinds}
        self._certain = {type: c.with_options(read_concern=_LINEARIZABLE) for type, c in self._collections.items()}
        self._queries = {kind.type: Queries(kind) for kind in kinds}
        self._several = Several(link, self._collections)
        self._watches: dict[MongoWatch, None] = {}

    @classmethod
    async def open(
        cls, runtime: Runtime, settings: MongoSettings, kinds: Sequence[Kind], *, schema: int = 1
    ) -> MongoStore:
        """Connect, and make what is missing. Raises Refused if somebody must change something first, else Unavailable."""
        link = Link(runtime, settings)
        try:
            said = await link.client.admin.command("hello")
            address = "{}:{}".format(*(await link.client.address or ("", "")))
            if refusal := refused(said, address, settings.place()[1]):
                raise refusal
            await prepare(link.database, kinds, schema)
        except PyMongoError as error:
            await link.client.close()
            raise await explained(error, settings) from error
        except BaseException:
            await link.client.close()
            raise
        return cls(link, kinds)

    async def close(self) -> None:
        for watch in list(self._watches):
            await watch.ended()
        await self._link.client.close()

    async def get(self, type: type[D], id: str) -> D | None:
        async def call(session: Session) -> Raw | None:
            return await self._certain[type].find_one({"_id": id}, session=session)

        raw = await self._link.read(call)
        return None if raw is None else decode(type, raw)

    async def find(
        self,
        type: type[D],
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int = 0,
        after: tuple[Any, ...] | None = None,
    ) -> list[D]:
        query = self._queries[type].query(where or {}, order, after)

        async def call(session: Session) -> list[Raw]:
            found = self._collections[type].find(
                query.filter,
                sort=query.sort,
                hint=query.hint,
                limit=limit,
                batch_size=limit + 1 if limit else PAGE,
                session=session,
            )
            return await found.to_list()

        return [decode(type, raw) for raw in await self._link.read(call, causal=True)]

    async def count(self, type: type[Any], where: Where | None = None) -> int:
        query = self._queries[type].query(where or {}, ())

        async def call(session: Session) -> int:
            return await self._collections[type].count_documents(query.filter, session=session, hint=query.hint)

        return await self._link.read(call, causal=True)

    async def commit(self, *writes: Write) -> list[Any]:
        if not writes:
            return []
        try:
            if len(writes) == 1:
                return [await self._commit_one(writes[0])]
            return await self._several.commit(writes, self.get)
        except TooLarge as error:
            for write in writes:
                if isinstance(write, Insert | Replace):
                    check_size(self._collections[type(write.doc)].name, write.doc)
            ids = ", ".join(f"{self._collections[type].name} {id}" for type, id in map(target, writes))
            raise Refused(f"{self._link.where} does not take so much in {ids}: {error}. Nothing was changed") from error

    async def _commit_one(self, write: Write) -> Any:
        """A write that loses is told what it lost to; if that no longer holds against it, it begins again."""
        type, id = target(write)
        collection = self._collections[type]
        for _ in range(TRIES):
            if not isinstance(write, Check):
                try:
                    return await self._link.write(lambda session: single.write(collection, write, session))
                except single.Lost:
                    pass
            found = None if isinstance(write, Check) else await self.find(type, {"id": id})
            seen = found[0] if found else None
            outcome(write, seen if moved_on(write, seen) else await self.get(type, id), collection.name, 0.0)
            if isinstance(write, Check):
                return None
        raise Unavailable(
            f"{self._link.where}: others were always faster at {collection.name} {id}. Nothing was written"
        )

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
        query = self._queries[type].query(where, order)
        change = Change(type, "", {}, set, add or {}, stamp or {})
        collection = self._collections[type]
        try:
            return await take(self._link, collection, query, order, change, limit)
        except TooLarge as error:
            raise Refused(f"a {collection.name} would grow too large to be stored: {error}") from error

    async def now(self) -> float:
        return await self._link.read(self._link.time)

    async def watch(
        self, types: Sequence[type[Any]], since: int | None = None, where: Where | None = None
    ) -> MongoWatch:
        watch = MongoWatch(self._link, [self._kinds[type] for type in types], where or {}, self._forget)
        await watch.open(since)
        self._watches[watch] = None
        return watch

    def _forget(self, watch: MongoWatch) -> None:
        self._watches.pop(watch, None)
