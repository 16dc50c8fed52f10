"""The store of a cluster, by its URL: for a node, and for whoever only asks. It imports no more than that, so that a command is
quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ave.errors import Refused
from ave.kinds import KINDS, SCHEMA
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import StoreConfig
from drivers.decoding import make_ready
from drivers.urls import SQLITE, require_store


async def open_store(config: StoreConfig, runtime: AsyncioRuntime) -> Any:
    """The store that the URL names. Refused if it names none, or needs what is not installed."""
    if config.url.startswith(SQLITE):
        from drivers.sqlite.store import SqliteStore

        make_ready()
        path = Path(config.url.removeprefix(SQLITE))
        return await SqliteStore.open(path, KINDS, schema=SCHEMA, synchronous=config.synchronous)
    require_store(config.url)
    try:
        from drivers.mongo.settings import MongoSettings
        from drivers.mongo.store import MongoStore
    except ImportError as missing:
        raise Refused(f"store.url names MongoDB, and {missing.name} is not there: pip install ave[mongo]") from None
    make_ready()
    settings = MongoSettings(
        uri=config.url, database=config.database, user=config.user, password_file=config.password_file
    )
    return await MongoStore.open(runtime, settings, KINDS, schema=SCHEMA)
