"""The queue's claim: one document in one command, or many in three, each of them atomic by itself."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter
from typing import Any

from pymongo import ReplaceOne, ReturnDocument

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.store import Change
from drivers.mongo.codec import NOW, TAKEN, Raw, alteration, decode, encode
from drivers.mongo.link import Collection, Link, Session
from drivers.mongo.query import Query
from drivers.writes import changed

_AT = "_at"  # when it was looked at


async def take_one(link: Link, collection: Collection, query: Query, change: Change) -> list[Any]:
    async def call(session: Session) -> Raw | None:
        return await collection.find_one_and_update(
            query.filter,
            alteration(change),
            sort=query.sort,
            hint=query.hint,
            return_document=ReturnDocument.AFTER,
            session=session,
        )

    raw = await link.write(call)
    return [] if raw is None else [decode(change.type, raw)]


async def take_many(
    link: Link, collection: Collection, query: Query, order: Sequence[str], change: Change, limit: int
) -> list[Any]:
    """Look at the first ones, and replace those that nobody was faster with; if somebody was, look for others."""
    place = attrgetter(*order, "id")
    taken: dict[str, tuple[Any, Any]] = {}  # id -> its place, what it is now
    while len(taken) < limit:
        others = query._replace(filter={"$and": [query.filter, {"_id": {"$nin": list(taken)}}]}) if taken else query
        try:
            now, olds = await _first(link, collection, others, change, limit - len(taken))
            news = {old.id: changed(old, change, now) for old in olds}
            ours = await _replaced(link, collection, olds, news) if olds else ()
            taken.update({old.id: (place(old), news[old.id]) for old in ours})
            if len(ours) == len(olds):
                break
            if not ours:  # too many want the same: this always finds one, if there is one
                taken.update({new.id: (place(new), new) for new in await take_one(link, collection, others, change)})
        except Unavailable:
            if taken:
                break  # fewer than asked for, but these are ours
            raise
    return [new for _, new in sorted(taken.values(), key=itemgetter(0))]


async def _first(
    link: Link, collection: Collection, query: Query, change: Change, limit: int
) -> tuple[float, list[Any]]:
    """The store's time, and the first documents."""
    stages: list[Raw] = [{"$match": query.filter}, {"$sort": dict(query.sort)}, {"$limit": limit}, {"$set": {_AT: NOW}}]

    async def call(session: Session) -> list[Raw]:
        found = await collection.aggregate(stages, hint=query.hint, batchSize=limit + 1, session=session)
        return await found.to_list()

    raws = await link.read(call, causal=True)
    return raws[0][_AT] if raws else 0.0, [decode(change.type, raw) for raw in raws]


async def _replaced(link: Link, collection: Collection, olds: Sequence[Any], news: dict[str, Any]) -> Sequence[Any]:
    """Those that still were as they were seen, and now are what they shall be."""
    mark = link.runtime.random.getrandbits(63)
    writes = [
        ReplaceOne({"_id": old.id, "version": old.version}, {**encode(news[old.id]), TAKEN: mark}) for old in olds
    ]

    async def call(session: Session) -> int:
        return (await collection.bulk_write(writes, ordered=False, session=session)).matched_count

    count = await link.write(call)
    if count in (0, len(olds)):
        return olds if count else ()
    marked = {"_id": {"$in": [old.id for old in olds]}, TAKEN: mark}

    async def look(session: Session) -> list[Raw]:
        return await collection.find(marked, {"_id": 1}, session=session).to_list()

    try:
        ours = {raw["_id"] for raw in await link.read(look, causal=True)}
    except Unavailable as error:
        raise UnknownOutcome(f"{count} documents were taken, but which? {error}") from error
    if len(ours) < count:  # what others have replaced since then carries no mark
        raise UnknownOutcome(f"{link.where}: {count} documents were taken, and only {len(ours)} are known")
    return [old for old in olds if old.id in ours]
