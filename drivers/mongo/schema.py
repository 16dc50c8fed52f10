"""Collections, indexes and the schema's version: made where they are missing, never changed behind anybody's back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid, DuplicateKeyError

from ave.errors import Refused
from ave.ports.store import Index, Kind
from drivers.mongo.codec import Raw
from drivers.mongo.query import keys, name

SCHEMA = "schema"  # the collection of one document, which says how to read the others
_ID = "ave"

Database = AsyncDatabase[dict[str, Any]]


async def prepare(database: Database, kinds: Sequence[Kind], schema: int) -> None:
    """Make what these kinds need. Raises Refused, and changes nothing, if the data is not ours to use."""
    await check_version(database, schema)
    there = {one["name"]: one.get("options", {}) async for one in await database.list_collections()}
    if SCHEMA not in there:
        await _create(database, SCHEMA)
    for kind in kinds:
        if kind.name not in there:
            await _create(database, kind.name, changeStreamPreAndPostImages={"enabled": True})
        elif not there[kind.name].get("changeStreamPreAndPostImages", {}).get("enabled"):
            await database.command({"collMod": kind.name, "changeStreamPreAndPostImages": {"enabled": True}})
        await _index(database, kind)
    try:
        await database[SCHEMA].update_one({"_id": _ID}, {"$max": {"version": schema}}, upsert=True)
    except DuplicateKeyError:
        pass  # another process wrote it at the same moment
    await check_version(database, schema)


async def check_version(database: Database, schema: int) -> None:
    """Refused if a newer AVE wrote it. Nothing is changed."""
    stored = await database[SCHEMA].find_one({"_id": _ID})
    if stored is not None and stored["version"] > schema:
        raise Refused(
            f"database {database.name} has schema {stored['version']}, and this AVE knows {schema}: "
            "install the AVE that wrote it, or a newer one. Nothing was changed"
        )


async def _create(database: Database, name: str, **options: Any) -> None:
    try:
        await database.create_collection(name, check_exists=False, **options)
    except CollectionInvalid:
        pass
    except Exception as error:
        if getattr(error, "code", None) != 48:  # NamespaceExists: another process was faster
            raise


async def _index(database: Database, kind: Kind) -> None:
    found = {index["name"]: index async for index in await database[kind.name].list_indexes()}
    for index in kind.indexes:
        wanted, called, part = keys(index), name(index), _part(index)
        if called not in found:
            await database[kind.name].create_index(wanted, name=called, **part)
        elif list(found[called]["key"].items()) != wanted or _options(found[called]) != part:
            raise Refused(
                f"index {called} of {database.name}.{kind.name} is not the one AVE made: "
                f'drop it with db.{kind.name}.dropIndex("{called}"), and AVE makes it again at its next start'
            )


def _part(index: Index) -> Raw:
    """What to say so that it holds only what is ever asked for: each index in which a document moves makes a write slower."""
    if not index.only:
        return {}
    return {"partialFilterExpression": {index.by[-1]: {"$in": [msgspec.to_builtins(value) for value in index.only]}}}


def _options(found: Mapping[str, Any]) -> Raw:
    return {option: value for option, value in found.items() if option not in ("v", "key", "name", "ns")}
