"""Collections, indexes and the schema's version: made where they are missing, never changed behind anybody's back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid, DuplicateKeyError

from ave.errors import Refused
from ave.ports.store import Kind
from drivers.mongo.query import Keys, keys

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
        wanted = keys(index)
        name = _name(wanted)
        if name not in found:
            await database[kind.name].create_index(wanted, name=name)
        elif list(found[name]["key"].items()) != wanted or set(found[name]) - {"v", "key", "name", "ns"}:
            raise Refused(
                f"index {name} of {database.name}.{kind.name} is not the one AVE made: "
                f'drop it with db.{kind.name}.dropIndex("{name}"), and AVE makes it again at its next start'
            )


def _name(wanted: Keys) -> str:
    """As MongoDB would call it."""
    return "_".join(f"{field}_{way}" for field, way in wanted)
