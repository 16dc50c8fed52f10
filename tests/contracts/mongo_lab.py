"""What the tests of the MongoDB store share: stores in databases of their own, and replica sets that can be struck."""

from __future__ import annotations

import asyncio
import gc
import traceback
from contextlib import asynccontextmanager
from secrets import token_hex

import pytest

from ave.errors import Refused
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.mongo.settings import MongoSettings
from drivers.mongo.store import MongoStore
from tests.contracts.store_machine import KINDS
from tests.mongod import three_nodes

SECRET = "hunter2-is-not-to-be-seen"
LATE = 20.0  # seconds in which what must happen has happened


@pytest.fixture(autouse=True)
def collected():
    """Here, and not in somebody else's test."""
    yield
    gc.collect()


@asynccontextmanager
async def opened(uri, database="", kinds=KINDS, *, schema=1, **settings):
    """A store in a database of its own, or in the one named."""
    name = database or f"ave-test-{token_hex(4)}"
    store = await MongoStore.open(
        AsyncioRuntime("process"), MongoSettings(uri=uri, database=name, **settings), kinds, schema=schema
    )
    try:
        yield store
    finally:
        await store.close()


def play(main, limit=60.0):
    return asyncio.run(asyncio.wait_for(main, limit))


def refusal(uri, kinds=KINDS, error=Refused, **settings):
    """What is said to whoever opens this."""

    async def main():
        async with opened(uri, kinds=kinds, select_seconds=1.0, **settings):
            raise AssertionError("it was opened")

    with pytest.raises(error) as caught:
        play(main())
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.fixture
def cluster():
    with three_nodes() as cluster:
        yield cluster
