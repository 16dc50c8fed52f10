"""Stores on files for the tests of the SQLite driver, and other processes on them.

Run as a program it is one of those processes: ``sqlite_process.py VERB PATH ARGUMENT``.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from ave.errors import UnknownOutcome
from ave.ports.store import Change, In, Insert, Replace
from drivers.sqlite.store import SqliteStore
from tests.contracts.store_machine import KINDS, Item, Note

SOON = 5.0  # seconds in which what must happen has happened
CLAIM = Item, {"lane": In(("x", "y")), "state": "ready"}, ("rank",)


def opened(path, kinds=KINDS, *, schema=1, busy_seconds=SOON, **settings):
    settings.setdefault("synchronous", "NORMAL")
    return SqliteStore.open(path, kinds, schema=schema, busy_seconds=busy_seconds, **settings)


def play(path, main, *arguments, **settings):
    """``await main(store, …)`` on a store that is closed afterwards."""

    async def go():
        async with await opened(path, **settings) as store:
            return await main(store, *arguments)

    return asyncio.run(asyncio.wait_for(go(), 60))


@contextmanager
def other(verb, path, *arguments, **environment):
    """Another process; what it prints can be read as it comes. It is killed at the end, if it still lives."""
    command = [sys.executable, "-u", __file__, verb, str(path), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def finished(process):
    """All that it printed, once it has ended well."""
    lines = process.communicate(timeout=60)[0].split()
    assert process.returncode == 0
    return lines


def connected(path):
    return closing(sqlite3.connect(path, isolation_level=None))


@contextmanager
def locked(path):
    """As if another process were in the middle of a transaction."""
    with connected(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


# What the other processes do


async def claim_all(store):
    while docs := await store.take(*CLAIM, set={"state": "running"}, limit=3):
        for doc in docs:
            await store.commit(Replace(msgspec.structs.replace(doc, state="done", number=doc.number + 1)))
            print(doc.id)


async def add_for_ever(store, id):
    """Two documents in each commit; the number is printed once the store has said that it is done."""
    number = 0
    while True:
        number += 1
        await store.commit(Change(Item, id, add={"number": 1}), Insert(Note(f"{id}-{number}", topic=id)))
        print(number)


async def make(store, number):
    await store.commit(Insert(Item(str(number))))


async def tell(store, count):
    print("ready")
    sys.stdin.readline()
    for n in range(int(count)):
        await store.commit(Insert(Item(f"told-{n:02}"), {"at": 0.0}))
        await asyncio.sleep(0.003)


async def burst(store, path):
    """Meet a limit of the file system in the middle of a commit."""
    await store.commit(Insert(Item("a")))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = os.stat(f"{path}-wal").st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, most))
    with pytest.raises(UnknownOutcome, match="could not be read or written: look at its disk"):
        await store.commit(Change(Item, "a", add={"number": 1}), Insert(Item("b", text="x" * 500_000)))
    print("UnknownOutcome")
    a, b = await store.get(Item, "a"), await store.get(Item, "b")
    print("whole" if (a.version, b is not None) in ((1, False), (2, True)) else "torn")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await store.commit(Insert(Item("c")))
    assert [doc.id for doc in await store.find(Item)][-1] == "c"
    print("again")


def main(verb, path, *arguments):
    synchronous = os.environ.get("SYNCHRONOUS", "NORMAL")
    match verb:
        case "claim":
            play(path, claim_all)
        case "add":
            play(path, add_for_ever, *arguments, synchronous=synchronous)
        case "make":
            for _ in range(5):
                print("ready")
                play(Path(sys.stdin.readline().strip()), make, *arguments)
        case "tell":
            play(path, tell, *arguments)
        case "burst":
            play(path, burst, path)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
