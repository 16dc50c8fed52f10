"""The transactions of one connection: what a call does to the tables, and the log of commits beside them.

The log has a row for each change. A commit's revision is the number of its last row, so revisions grow, and have gaps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from time import time
from typing import Any

from ave.ports.store import Change, Check, Commit, TooOld, Write
from drivers.sqlite.queries import Created, Query
from drivers.sqlite.tables import Table
from drivers.writes import changed, outcome, target

TRIM_EVERY = 256  # rows: what is no longer kept is thrown away in heaps
LOG = (
    "CREATE TABLE ave_log (seq INTEGER PRIMARY KEY, revision INTEGER NOT NULL, at REAL NOT NULL,"
    " kind TEXT NOT NULL, id TEXT NOT NULL, doc TEXT)"
)
_LAST = "SELECT seq, at FROM ave_log ORDER BY seq DESC LIMIT 1"
_ADD = "INSERT INTO ave_log VALUES (?, ?, ?, ?, ?, ?)"
_TRIM = "DELETE FROM ave_log WHERE seq <= ?"
_SINCE = "SELECT revision, at, kind, id, doc FROM ave_log WHERE seq > ? ORDER BY seq"

Reads = list[tuple[Any, ...]]


class _Effect:
    """What a write comes to. Refused when the new document is too large."""

    __slots__ = ("doc", "id", "new", "old", "table")

    def __init__(self, table: Table, id: str, old: Any, new: Any) -> None:
        self.table, self.id, self.old, self.new = table, id, old, new
        self.doc = None if new is None else table.encode(new)


class Ledger:
    """One connection. ``begin``, then calls, then ``end`` or ``undo``; ``get``, ``rows`` and ``since`` also without."""

    def __init__(self, connection: sqlite3.Connection, tables: Sequence[Table], kept: int) -> None:
        self.connection, self._execute = connection, connection.execute
        self.tables = {table.kind.type: table for table in tables}
        self._by_name = {table.name: table for table in tables}
        self._kept = kept
        self.first = self.last = 0  # revisions: before this transaction, and now
        self.now = 0.0  # store time of this transaction
        self.commits: list[Commit] = []  # what it did so far

    # A transaction

    def begin(self) -> None:
        self._execute("BEGIN IMMEDIATE")
        self.first, at = self.newest()
        self.last = self.first
        self.now = max(time(), at)  # a clock that was set back makes the store's stand still, not go back
        self.commits = []

    def end(self) -> None:
        if self.last // TRIM_EVERY != self.first // TRIM_EVERY:
            self._execute(_TRIM, (self.last - self._kept,))
        self._execute("COMMIT")

    def undo(self) -> None:
        if self.connection.in_transaction:
            self._execute("ROLLBACK")

    # Calls that write. Each finds out first what it would change, so that a refusal leaves nothing behind

    def commit(self, writes: Sequence[Write]) -> list[Any]:
        """All or nothing; raises Conflict for the first write whose condition does not hold."""
        before: dict[tuple[Table, str], Any] = {}
        after: dict[tuple[Table, str], Any] = {}
        answers: list[Any] = []
        for write in writes:
            type_, id = target(write)
            table = self.tables[type_]
            key = table, id
            if key not in before:
                before[key] = self.get(table, id)
            new = outcome(write, after[key] if key in after else before[key], table.name, self.now)
            if type(write) is Check:
                answers.append(None)
            else:
                after[key] = new
                answers.append(new)
        if after:
            self._apply([_Effect(table, id, before[table, id], new) for (table, id), new in after.items()])
        return answers

    def take(self, table: Table, query: Query, change: Change) -> list[Any]:
        """Change what the query finds, each document in a commit of its own."""
        effects = [_Effect(table, old.id, old, changed(old, change, self.now)) for old in self.find(table, query)]
        for effect in effects:
            self._apply([effect])
        return [effect.new for effect in effects]

    def make(self, index: Created) -> None:
        if not self._execute("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", (index.name,)).fetchone():
            self._execute(index.sql)

    def _apply(self, effects: Sequence[_Effect]) -> None:
        revision = self.last + len(effects)
        for effect in effects:
            table, id, old, new, doc = effect.table, effect.id, effect.old, effect.new, effect.doc
            if new is None:
                if old is not None:  # inserted and deleted in one commit, it never was there
                    self._execute(table.delete, (id,))
            elif old is None:
                self._execute(table.insert, (id, *table.row(new), doc))
            else:
                was, is_now = table.row(old), table.row(new)
                moved = [n for n in range(len(was)) if was[n] != is_now[n]]
                sql = table.update(tuple([table.columns[n] for n in moved]))
                self._execute(sql, (doc, *[is_now[n] for n in moved], id))
            self.last += 1
            self._execute(_ADD, (self.last, revision, self.now, table.name, id, doc))
        told = tuple([(effect.table.name, effect.id, effect.new) for effect in effects])
        self.commits.append(Commit(revision, self.now, told))

    # Reads

    def get(self, table: Table, id: str) -> Any:
        row = self._execute(table.select, (id,)).fetchone()
        return None if row is None else table.decode(row[0])

    def find(self, table: Table, query: Query) -> list[Any]:
        return [table.decode(row[0]) for row in self.rows(query)]

    def rows(self, query: Query) -> Reads:
        if len(query.statements) == 1:
            return self._execute(*query.statements[0]).fetchall()
        return self._whole(query) if query.statements else []

    def _whole(self, query: Query) -> Reads:
        """Several statements, at one instant."""
        outside = not self.connection.in_transaction
        if outside:
            self._execute("BEGIN")
        try:
            rows: Reads = []
            for sql, values in query.statements:
                limit = values[-1]
                left = limit if limit < 0 else limit - len(rows)
                rows += self._execute(sql, (*values[:-1], left)).fetchall()
            return rows
        finally:
            if outside:
                self._execute("COMMIT")

    def newest(self) -> tuple[int, float]:
        """The newest revision, and its store time."""
        return self._execute(_LAST).fetchone() or (0, 0.0)

    def since(self, revision: int) -> tuple[int, list[Commit]]:
        """The newest revision, and every commit after that one; TooOld if the log begins later."""
        self._execute("BEGIN")
        try:
            newest, _ = self.newest()
            if revision > newest:
                raise TooOld(f"revision {revision} is not in this file, which ends with {newest}")
            if newest - revision > self._kept:
                raise TooOld(f"revision {revision} is no longer kept: the oldest is {newest - self._kept}")
            rows = self._execute(_SINCE, (revision,)).fetchall() if newest > revision else []
        finally:
            self.undo()
        commits: dict[int, tuple[float, list[tuple[str, str, Any]]]] = {}
        for number, at, kind, id, doc in rows:
            table = self._by_name.get(kind)  # None: a kind that only newer programs know
            if table is not None:
                change = kind, id, None if doc is None else table.decode(doc)
                commits.setdefault(number, (at, []))[1].append(change)
        return newest, [Commit(number, at, tuple(changes)) for number, (at, changes) in commits.items()]
