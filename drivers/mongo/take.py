"""The queue's claim: one document in one command, or many in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter
from typing import Any

from pymongo import ReplaceOne, ReturnDocument

from ave.errors import Unavailable
from ave.ports.store import Change
from drivers.mongo.codec import AT, NOW, Raw, alteration, decode, encode
from drivers.mongo.faults import TooLarge
from drivers.mongo.link import Collection, Link, Session
from drivers.mongo.query import Query
from drivers.mongo.settings import ANSWER_SECONDS
from drivers.mongo.transaction import Again, attempt
from drivers.writes import changed

Pairs = list[tuple[Any, Any]]  # what a document was, and what it is now


async def take(
    link: Link, collection: Collection, query: Query, order: Sequence[str], change: Change, limit: int
) -> list[Any]:
    """The first ones together; where others want the same, fewer at a time, and in the end one by one."""
    place = attrgetter(*order, "id")
    taken: dict[str, tuple[Any, Any]] = {}  # id -> its place, what it is now
    together = limit
    while len(taken) < limit:
        others = query._replace(filter={"$and": [query.filter, {"_id": {"$nin": list(taken)}}]}) if taken else query
        wanted = min(together, limit - len(taken))
        try:
            pairs = await _many(link, collection, others, change, wanted) if wanted > 1 else None
            if pairs is None:
                together, wanted = max(wanted // 2, 1), 1
                pairs = await _one(link, collection, others, change)
        except Unavailable:
            if taken:
                break  # fewer than asked for, but these are ours
            raise
        taken.update({old.id: (place(old), new) for old, new in pairs})
        if len(pairs) < wanted:
            break
    return [new for _, new in sorted(taken.values(), key=itemgetter(0))]


async def _one(link: Link, collection: Collection, query: Query, change: Change) -> Pairs:
    """The first that nobody else is taking: always one, if there is one. What it was is not known."""

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
    if raw is None:
        return []
    new = decode(change.type, raw)
    return [(new, new)]


async def _many(link: Link, collection: Collection, query: Query, change: Change, limit: int) -> Pairs | None:
    """The first ones, or None if somebody was faster with one of them, or they are too large together."""
    stages: list[Raw] = [{"$match": query.filter}, {"$sort": dict(query.sort)}, {"$limit": limit}, {"$set": {AT: NOW}}]

    async def call(session: Session) -> Pairs:
        found = await collection.aggregate(stages, hint=query.hint, batchSize=limit + 1, session=session)
        raws = await found.to_list()
        olds = [decode(change.type, raw) for raw in raws]
        pairs = [(old, changed(old, change, raw[AT])) for old, raw in zip(olds, raws, strict=True)]
        if pairs:  # which nobody can change unnoticed: the id says enough, and the server needs no plan for it
            news = [ReplaceOne({"_id": new.id}, encode(new)) for _, new in pairs]
            await collection.bulk_write(news, session=session)
        return pairs

    try:
        return await attempt(link, call, ANSWER_SECONDS, causal=True)
    except (Again, TooLarge):
        return None
