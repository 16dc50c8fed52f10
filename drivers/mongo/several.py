"""Several writes at once, in batches, in one transaction.

At first every write is trusted: that the document it names is there in that version, or is not there. Where there are
many, their versions are looked at first, and each is then written by its id alone, for which the server needs no plan.
If it counts otherwise, or a write needs to see its document, a snapshot is read and every write is decided on it. A check
writes as well, into a hidden field or a document that comes and goes within the transaction, or it would not be noticed
by others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

from ave.errors import Unavailable
from ave.ports.store import Change, Check, Conflict, Delete, Insert, Replace, Where, Write
from drivers.mongo.codec import AT, GHOST, NOW, TOUCHED, Raw, decode, encode
from drivers.mongo.link import Collection, Link, Session
from drivers.mongo.query import BY_ID, condition
from drivers.mongo.settings import ANSWER_SECONDS
from drivers.mongo.transaction import Again, attempt
from drivers.writes import outcome, target

Key = tuple[type[Any], str]
Op = InsertOne[Any] | ReplaceOne[Any] | UpdateOne | DeleteOne

LOOKED_AT_FROM = 8  # so many documents: what the server saves with each is more than it takes to look at them
_WAIT_SECONDS = (0.001, 0.1)  # between two tries: the first, and the longest


class Mistrusted(Again):
    """A document was not what the caller said it was: look."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"{kind}: not all were as they were said to be")


class Unseen(NamedTuple):
    """A document that is only checked, and by the server."""

    where: Where


class Refusal(Exception):
    """A condition did not hold in the snapshot, which may not have been what a majority has."""

    def __init__(self, key: Key, seen: Any, conflict: Conflict, *, certain: bool) -> None:
        super().__init__(key)
        self.key, self.seen, self.conflict, self.certain = key, seen, conflict, certain


class Several:
    def __init__(self, link: Link, collections: dict[type[Any], Collection]) -> None:
        self._link, self._collections = link, collections

    async def commit(self, writes: Sequence[Write], get: Any) -> list[Any]:
        """Raises Conflict, Unavailable, UnknownOutcome or TooLarge. ``get`` is the store's linearizable one."""
        runtime = self._link.runtime
        deadline = runtime.now() + ANSWER_SECONDS
        wait, longest = _WAIT_SECONDS
        said = _said(writes)
        while True:
            try:
                return await self._try(writes, said, max(deadline - runtime.now(), wait))
            except Mistrusted:
                said = None
                continue
            except Refusal as refusal:
                if refusal.certain or await get(*refusal.key) == refusal.seen:
                    raise refusal.conflict from None
            except Again as error:
                said = None
                if runtime.now() + wait > deadline:
                    raise Unavailable(
                        f"{self._link.where}: {error}. Tried again and again; nothing was written"
                    ) from error
            await runtime.sleep(wait * (0.5 + runtime.random.random()))
            wait = min(2 * wait, longest)

    async def _try(self, writes: Sequence[Write], said: dict[Key, Any] | None, seconds: float) -> list[Any]:
        versions = {} if said is None else _versions(said)
        many = len(versions) >= LOOKED_AT_FROM
        stamped = any(getattr(write, "stamp", None) for write in writes)
        time = await self._link.read(self._link.time) if stamped and not many else 0.0

        async def call(session: Session) -> list[Any]:
            before = await self._snapshot(writes, session) if said is None else said
            now = await self._look(versions, session) if many else time
            return await self._write(writes, before, now, session, seen=many or said is None)

        return await attempt(self._link, call, seconds)

    async def _write(
        self, writes: Sequence[Write], before: dict[Key, Any], now: float, session: Session, *, seen: bool
    ) -> list[Any]:
        """``seen``: the transaction has looked at what is there, so that nobody can change it unnoticed."""
        after = dict(before)
        changed: dict[Key, bool] = {}  # False: only checked
        answers = []
        for write in writes:
            key = target(write)
            try:
                old = after[key]
                new = old if isinstance(old, Unseen) else outcome(write, old, self._collections[key[0]].name, now)
            except Conflict as conflict:
                certain = moved_on(write, before[key])
                raise Refusal(key, before[key], conflict, certain=certain) from None
            is_check = isinstance(write, Check)
            after[key] = new
            changed[key] = changed.get(key, False) or not is_check
            answers.append(None if is_check else new)
        steps: dict[type[Any], tuple[list[Op], list[Op], list[Op]]] = {}
        for (type, id), really in changed.items():
            old, new = before[type, id], after[type, id]
            _add(steps.setdefault(type, ([], [], [])), id, old, new, really=really, seen=seen)
        for type, (inserts, updates, deletes) in steps.items():
            done = await self._collections[type].bulk_write([*inserts, *updates, *deletes], session=session)
            if (done.matched_count, done.deleted_count) != (len(updates), len(deletes)):
                raise Mistrusted(self._collections[type].name)
        return answers

    async def _look(self, versions: Mapping[Key, int], session: Session) -> float:
        """The store's time, if all are in the version that they are said to be in; else Mistrusted."""
        now = 0.0
        for type in dict.fromkeys(type for type, _ in versions):
            wanted = {id: version for (other, id), version in versions.items() if other is type}
            stages: list[Raw] = [{"$match": {"_id": {"$in": list(wanted)}}}, {"$project": {"version": 1, AT: NOW}}]
            found = await self._collections[type].aggregate(
                stages, batchSize=len(wanted) + 1, hint=BY_ID, session=session
            )
            raws = await found.to_list()
            if {raw["_id"]: raw["version"] for raw in raws} != wanted:
                raise Mistrusted(self._collections[type].name)
            now = raws[0][AT]
        return now

    async def _snapshot(self, writes: Sequence[Write], session: Session) -> dict[Key, Any]:
        """Every document that is concerned, or None."""
        before: dict[Key, Any] = {target(write): None for write in writes}
        for type in dict.fromkeys(type for type, _ in before):
            ids = [id for other, id in before if other is type]
            found = self._collections[type].find(
                {"_id": {"$in": ids}}, batch_size=len(ids) + 1, hint=BY_ID, session=session
            )
            for raw in await found.to_list():
                before[type, raw["_id"]] = decode(type, raw)
        return before


def _said(writes: Sequence[Write]) -> dict[Key, Any] | None:
    """What the caller says of each document; None if that is not enough to write it, or not said once for each."""
    before: dict[Key, Any] = {}
    for write in writes:
        key = target(write)
        if key in before or isinstance(write, Change):
            return None
        if isinstance(write, Check):
            before[key] = None if write.where is None else Unseen(write.where)
        else:
            before[key] = None if isinstance(write, Insert) else write.doc
    return before


def _versions(said: Mapping[Key, Any]) -> dict[Key, int]:
    return {key: doc.version for key, doc in said.items() if doc is not None and not isinstance(doc, Unseen)}


def moved_on(write: Write, found: Any) -> bool:
    """Has a majority a later version than the one named? Then the condition never holds again, however old this look is."""
    return isinstance(write, Replace | Delete) and found is not None and bool(found.version > write.doc.version)


def _add(steps: tuple[list[Op], list[Op], list[Op]], id: str, old: Any, new: Any, *, really: bool, seen: bool) -> None:
    """What must be written so that the document becomes ``new``; if it was only checked, so that it is watched over."""
    inserts, updates, deletes = steps
    if old is None and new is None:  # it came and went, or must not come
        inserts.append(InsertOne({"_id": id} if really else {"_id": id, GHOST: True}))
        deletes.append(DeleteOne({"_id": id}))
    elif old is None:
        inserts.append(InsertOne(encode(new)))
    elif not really:
        where = condition(old.where) if isinstance(old, Unseen) else {}
        updates.append(UpdateOne({"$and": [{"_id": id}, where]} if where else {"_id": id}, {"$inc": {TOUCHED: 1}}))
    else:
        same = {"_id": id} if seen else {"_id": id, "version": old.version}
        if new is None:
            deletes.append(DeleteOne(same))
        else:
            updates.append(ReplaceOne(same, encode(new)))
