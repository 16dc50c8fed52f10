"""Several writes at once, in batches.

At first every write is trusted: that the document it names is there in that version, or is not there. If the server
counts otherwise, or a write needs to see its document, a snapshot is read and every write is decided on it. The server
makes a transaction lose to whoever wrote one of its documents meanwhile; then it begins again. A check writes as well,
into a hidden field or a document that comes and goes within the transaction, or it would not be noticed by others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pymongo
from bson.errors import InvalidDocument
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ave.errors import Unavailable
from ave.ports.store import Change, Check, Conflict, Delete, Insert, Replace, Where, Write
from drivers.mongo.codec import GHOST, TOUCHED, decode, encode
from drivers.mongo.faults import DUPLICATE_KEY, TooLarge, is_too_large, reason, translated, unknown
from drivers.mongo.link import Collection, Link, Session
from drivers.mongo.query import condition
from drivers.mongo.settings import ANSWER_SECONDS
from drivers.writes import outcome, target

Key = tuple[type[Any], str]
Op = InsertOne[Any] | ReplaceOne[Any] | UpdateOne | DeleteOne

_SNAPSHOT = ReadConcern("snapshot")
_MAJORITY = WriteConcern(w="majority", j=True)
_WAIT_SECONDS = (0.001, 0.1)  # between two tries: the first, and the longest


class Again(Exception):
    """Nothing was written, and another try may succeed: mostly, somebody else was faster."""


class Mistrusted(Again):
    """A document was not what the caller said it was: look."""


class Unseen(NamedTuple):
    """A document that is only checked, and by the server."""

    where: Where


class Refusal(Exception):
    """A condition did not hold in the snapshot, which may not have been what a majority has."""

    def __init__(self, key: Key, seen: Any, conflict: Conflict, *, certain: bool) -> None:
        super().__init__(key)
        self.key, self.seen, self.conflict, self.certain = key, seen, conflict, certain


class Transactions:
    def __init__(self, link: Link, collections: dict[type[Any], Collection]) -> None:
        self._link, self._collections = link, collections

    async def commit(self, writes: Sequence[Write], get: Any) -> list[Any]:
        """Raises Conflict, Unavailable, UnknownOutcome or TooLarge. ``get`` is the store's linearizable one."""
        runtime = self._link.runtime
        deadline = runtime.now() + ANSWER_SECONDS
        wait, longest = _WAIT_SECONDS
        claimed = _claimed(writes)
        now = await self._link.read(self._link.time) if any(getattr(write, "stamp", None) for write in writes) else 0.0
        while True:
            try:
                with pymongo.timeout(max(deadline - runtime.now(), wait)):
                    return await self._try(writes, claimed, now, deadline)
            except Mistrusted:
                claimed = None
                continue
            except Refusal as refusal:
                if refusal.certain or await get(*refusal.key) == refusal.seen:
                    raise refusal.conflict from None
            except Again as error:
                claimed = None
                if runtime.now() + wait > deadline:
                    raise Unavailable(
                        f"{self._link.where}: {error}. Tried again and again; nothing was written"
                    ) from error
            await runtime.sleep(wait * (0.5 + runtime.random.random()))
            wait = min(2 * wait, longest)

    async def _try(
        self, writes: Sequence[Write], claimed: dict[Key, Any] | None, now: float, deadline: float
    ) -> list[Any]:
        async with self._link.client.start_session(causal_consistency=False) as session:
            try:
                await session.start_transaction(read_concern=_SNAPSHOT, write_concern=_MAJORITY)
                before = await self._snapshot(writes, session) if claimed is None else claimed
                answers = await self._write(writes, before, now, session)
            except InvalidDocument as error:
                raise TooLarge(str(error)) from error
            except PyMongoError as error:
                if is_too_large(error):
                    raise TooLarge(str(error)) from error
                if _lost_a_race(error):
                    raise Again(reason(error)) from error
                raise translated(error, self._link.where, None) from error
            await self._end(session, deadline)
            self._link.note(session)
            return answers

    async def _write(self, writes: Sequence[Write], before: dict[Key, Any], now: float, session: Session) -> list[Any]:
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
        for key, really in changed.items():
            _add(steps.setdefault(key[0], ([], [], [])), key[1], before[key], after[key], really)
        for type, (inserts, updates, deletes) in steps.items():
            done = await self._collections[type].bulk_write([*inserts, *updates, *deletes], session=session)
            if (done.matched_count, done.deleted_count) != (len(updates), len(deletes)):
                raise Mistrusted(f"{self._collections[type].name}: not all were as they were said to be")
        return answers

    async def _snapshot(self, writes: Sequence[Write], session: Session) -> dict[Key, Any]:
        """Every document that is concerned, or None."""
        before: dict[Key, Any] = {target(write): None for write in writes}
        for type in dict.fromkeys(type for type, _ in before):
            ids = [id for other, id in before if other is type]
            found = self._collections[type].find(
                {"_id": {"$in": ids}}, batch_size=len(ids) + 1, hint=[("_id", 1)], session=session
            )
            for raw in await found.to_list():
                before[type, raw["_id"]] = decode(type, raw)
        return before

    async def _end(self, session: Session, deadline: float) -> None:
        """Commit, and ask as long as there is time for what came of it."""
        while True:
            try:
                return await session.commit_transaction()
            except PyMongoError as error:
                if is_too_large(error):
                    raise TooLarge(str(error)) from error
                if error.has_error_label("TransientTransactionError"):
                    raise Again(reason(error)) from error
                late = self._link.runtime.now() + _WAIT_SECONDS[1] > deadline
                if late or not error.has_error_label("UnknownTransactionCommitResult"):
                    raise unknown(error, self._link.where) from error
            await self._link.runtime.sleep(_WAIT_SECONDS[1])


def _claimed(writes: Sequence[Write]) -> dict[Key, Any] | None:
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


def moved_on(write: Write, found: Any) -> bool:
    """Has a majority a later version than the one named? Then the condition never holds again, however old this look is."""
    return isinstance(write, Replace | Delete) and found is not None and bool(found.version > write.doc.version)


def _lost_a_race(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        return any(one.get("code") == DUPLICATE_KEY for one in error.details.get("writeErrors", ()))
    return error.has_error_label("TransientTransactionError")


def _add(steps: tuple[list[Op], list[Op], list[Op]], id: str, old: Any, new: Any, really: bool) -> None:
    """What must be written so that the document becomes ``new``; if it was only checked, so that it is watched over."""
    inserts, updates, deletes = steps
    if old is None and new is None:  # it came and went, or must not come
        inserts.append(InsertOne({"_id": id} if really else {"_id": id, GHOST: True}))
        deletes.append(DeleteOne({"_id": id}))
    elif old is None:
        inserts.append(InsertOne(encode(new)))
    elif new is None:
        deletes.append(DeleteOne({"_id": id, "version": old.version}))
    elif really:
        updates.append(ReplaceOne({"_id": id, "version": old.version}, encode(new)))
    else:
        where = condition(old.where) if isinstance(old, Unseen) else {}
        updates.append(UpdateOne({"$and": [{"_id": id}, where]}, {"$inc": {TOUCHED: 1}}))
