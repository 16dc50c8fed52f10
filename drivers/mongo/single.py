"""One write as one command, which is atomic by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from ave.ports.store import Change, Delete, Insert, Replace
from drivers.mongo.codec import Raw, alteration, decode, encode, whole
from drivers.mongo.link import Collection, Session
from drivers.mongo.query import condition

_AFTER = ReturnDocument.AFTER
_NO_VERSION = 0  # no stored document has it


class Lost(Exception):
    """The condition of the write did not hold, and nothing was written."""


async def write(collection: Collection, write: Any, session: Session) -> Any:
    """The new document. Raises Lost, and whatever pymongo raises."""
    return await _VERBS[type(write)](collection, write, session)


async def _insert(collection: Collection, write: Insert, session: Session) -> Any:
    doc = msgspec.structs.replace(write.doc, version=1)
    try:
        if write.stamp:
            never = {"_id": doc.id, "version": _NO_VERSION}
            return await _updated(collection, type(doc), never, whole(encode(doc), write.stamp), session, upsert=True)
        await collection.insert_one(encode(doc), session=session)
    except DuplicateKeyError:
        raise Lost from None
    return doc


async def _replace(collection: Collection, write: Replace, session: Session) -> Any:
    doc = msgspec.structs.replace(write.doc, version=write.doc.version + 1)
    old = {"_id": doc.id, "version": write.doc.version}
    if write.stamp:
        return await _updated(collection, type(doc), old, whole(encode(doc), write.stamp), session)
    if not (await collection.replace_one(old, encode(doc), session=session)).matched_count:
        raise Lost
    return doc


async def _delete(collection: Collection, write: Delete, session: Session) -> None:
    old = {"_id": write.doc.id, "version": write.doc.version}
    if not (await collection.delete_one(old, session=session)).deleted_count:
        raise Lost


async def _change(collection: Collection, write: Change, session: Session) -> Any:
    filter = {"$and": [{"_id": write.id}, condition(write.where)]} if write.where else {"_id": write.id}
    return await _updated(collection, write.type, filter, alteration(write), session)


async def _updated(
    collection: Collection, type: type[Any], filter: Raw, update: Any, session: Session, *, upsert: bool = False
) -> Any:
    new = await collection.find_one_and_update(filter, update, upsert=upsert, return_document=_AFTER, session=session)
    if new is None:
        raise Lost
    return decode(type, new)


_VERBS: dict[type[Any], Callable[[Collection, Any, Session], Awaitable[Any]]] = {
    Insert: _insert,
    Replace: _replace,
    Delete: _delete,
    Change: _change,
}
