"""The Store port on one SQLite file.

A process has two connections: one writes; the other reads, and is never kept waiting by a lock or by a disk's flush. Calls
that wait for the writer at the same time share a transaction; to everybody who watches each is a commit of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import time
from typing import Any, Self, TypeVar

from ave.ports.store import Change, Commit, Document, Kind, Where, Write
from drivers.sqlite.clerk import Clerk
from drivers.sqlite.desk import Reader, Writer
from drivers.sqlite.file import File, Synchronous
from drivers.sqlite.ledger import Ledger
from drivers.sqlite.queries import Created, Query
from drivers.sqlite.tables import Table
from drivers.sqlite.watch import Feed, SqliteWatch
from drivers.watching import interest_in

D = TypeVar("D", bound=Document)

KEPT = 50_000  # changes that a watch can resume over
BUSY_SECONDS = 30.0  # how long one waits for another process's transaction
LOOK_SECONDS = 0.03  # how late one hears of another process's commits, while one watches


class SqliteStore:
    """One process's client of the file. ``open`` makes one; it lives on the loop on which it was opened."""

    def __init__(self, tables: Sequence[Table], writer: Writer, reader: Reader, feed: Feed) -> None:
        self._tables = {table.kind.type: table for table in tables}
        self._feed = feed
        self._made: dict[Created, None] = {}  # partial indexes that are known to be there
        self._writes = Clerk("store writes", writer.serve, writer.close)
        self._reads = Clerk("store reads", reader.serve, reader.close, reader.look)
        feed.catch_up, feed.watched = self._catch_up, self._watched

    @classmethod
    async def open(
        cls,
        path: Path,
        kinds: Sequence[Kind],
        *,
        schema: int,
        synchronous: Synchronous = "FULL",
        kept: int = KEPT,
        busy_seconds: float = BUSY_SECONDS,
    ) -> Self:
        """Open the file, or make it; its folder must be there.

        With NORMAL, a loss of power loses the last commits, though it tears none; with FULL it loses none. Refused: the
        file is of a newer schema, or not a store. Unavailable: it cannot be opened now.
        """
        tables = tuple(Table(kind) for kind in kinds)
        file = await asyncio.to_thread(File(path, synchronous, busy_seconds).open, tables, schema)
        feed = Feed()
        return cls(tables, Writer(file, tables, kept, feed), Reader(file, tables, kept, feed), feed)

    async def close(self) -> None:
        """End what was begun, and let go of the file."""
        self._feed.lose()
        await self._writes.close()
        await self._reads.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, type: type[D], id: str) -> D | None:
        table = self._tables[type]
        return await self._reads.ask(lambda ledger: ledger.get(table, id))  # type: ignore[no-any-return]

    async def find(
        self,
        type: type[D],
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int = 0,
        after: tuple[Any, ...] | None = None,
    ) -> list[D]:
        table = self._tables[type]
        query = table.find(where or {}, order, limit, after)
        await self._make(query)
        return await self._reads.ask(lambda ledger: ledger.find(table, query))  # type: ignore[no-any-return]

    async def count(self, type: type[Any], where: Where | None = None) -> int:
        query = self._tables[type].find(where or {}, (), 0, None).counted()
        await self._make(query)
        return await self._reads.ask(lambda ledger: sum(count for (count,) in ledger.rows(query)))  # type: ignore[no-any-return]

    async def commit(self, *writes: Write) -> list[Any]:
        if not writes:
            return []
        return await self._writes.ask(lambda ledger: ledger.commit(writes))  # type: ignore[no-any-return]

    async def take(
        self,
        type: type[D],
        where: Where,
        order: Sequence[str],
        *,
        set: Mapping[str, Any],
        add: Mapping[str, float] | None = None,
        stamp: Mapping[str, float] | None = None,
        limit: int = 1,
    ) -> list[D]:
        table = self._tables[type]
        query = table.find(where, order, limit, None)
        change = Change(type, "", {}, set, add or {}, stamp or {})
        await self._make(query)
        return await self._writes.ask(lambda ledger: ledger.take(table, query, change))  # type: ignore[no-any-return]

    async def now(self) -> float:
        return await self._reads.ask(lambda ledger: max(time(), ledger.newest()[1]))  # type: ignore[no-any-return]

    async def watch(
        self, types: Sequence[type[Any]], since: int | None = None, where: Where | None = None
    ) -> SqliteWatch:
        watch = SqliteWatch(self._feed, interest_in([self._tables[type].name for type in types], where), since)
        try:
            newest, commits = await self._reads.ask(partial(_missed, since))
        except BaseException:  # cancelled on its way back, say: nobody would ever read it
            watch.close()
            raise
        self._feed.fill(watch, newest, commits)
        return watch

    async def _make(self, query: Query) -> None:
        """Make the partial indexes that the query needs. Once made, they are in the file for good."""
        missing = [created for created in query.needs if created not in self._made]
        if missing:
            await self._writes.ask(lambda ledger: [ledger.make(created) for created in missing])
            self._made.update(dict.fromkeys(missing))

    def _watched(self, watched: bool) -> None:
        self._reads.idle_seconds = LOOK_SECONDS if watched else 0.0

    def _catch_up(self) -> None:
        seen = self._feed.seen
        caught = self._reads.send(lambda ledger: (seen, *ledger.since(seen)))
        caught.add_done_callback(self._caught_up)

    def _caught_up(self, caught: asyncio.Future[tuple[int, int, list[Commit]]]) -> None:
        if caught.exception() is None:
            self._feed.advance(*caught.result())
        else:
            self._feed.lose()


def _missed(since: int | None, ledger: Ledger) -> tuple[int, list[Commit]]:
    return (ledger.newest()[0], []) if since is None else ledger.since(since)
