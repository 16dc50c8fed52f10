"""Where calls are served: one connection each, used on one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from ave.errors import Refused
from ave.ports.store import Commit, Conflict
from drivers.sqlite.clerk import Call, OnLoop
from drivers.sqlite.file import File
from drivers.sqlite.ledger import Ledger
from drivers.sqlite.tables import Table
from drivers.sqlite.trouble import translated
from drivers.sqlite.watch import Feed


class Desk:
    """A connection to the file. One that broke is replaced; a file that is no longer the same is not written or read."""

    def __init__(self, file: File, tables: Sequence[Table], kept: int, feed: Feed) -> None:
        self._file, self._tables, self._kept, self._feed = file, tables, kept, feed
        self._opened: Ledger | None = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.connection.close()
            self._opened = None

    def _ledger(self) -> Ledger:
        self._file.require_same()
        if self._opened is None:
            self._opened = Ledger(self._file.connect(), self._tables, self._kept)
        return self._opened

    def _undo(self) -> None:
        try:
            if self._opened is not None:
                self._opened.undo()
        except sqlite3.Error:
            self.close()

    def _fail(self, calls: Sequence[Call], error: Exception, *, committing: bool = False) -> None:
        self._undo()
        for call in calls:
            call.error = translated(error, self._file.path, committing=committing)


class Writer(Desk):
    """Serves calls in one transaction: they share its lock and its flush, and are one after the other all the same."""

    def serve(self, calls: Sequence[Call]) -> OnLoop:
        news: list[tuple[int, int, Sequence[Commit]]] = []
        self._transact(calls, news)
        return partial(self._tell, news) if news else None

    def _transact(self, calls: Sequence[Call], news: list[tuple[int, int, Sequence[Commit]]]) -> None:
        try:
            ledger = self._ledger()
            ledger.begin()
        except Exception as error:
            return self._fail(calls, error)
        for call in calls:
            if call.future.cancelled():
                continue
            try:
                call.answer = call.body(ledger)
            except (Conflict, Refused) as refusal:
                call.error = refusal
            except Exception as error:
                self._fail(calls, error)
                if len(calls) > 1:  # one has spoilt it for all: each by itself
                    for each in calls:
                        each.error = None
                        self._transact([each], news)
                return None
        try:
            ledger.end()
        except Exception as error:
            return self._fail(calls, error, committing=True)
        if ledger.last > ledger.first:
            news.append((ledger.first, ledger.last, ledger.commits))
        return None

    def _tell(self, news: Sequence[tuple[int, int, Sequence[Commit]]]) -> None:
        for since, newest, commits in news:
            self._feed.advance(since, newest, commits)


class Reader(Desk):
    """Serves each call by itself, and looks whether others have written."""

    _version = -1  # changes when another connection has committed

    def serve(self, calls: Sequence[Call]) -> OnLoop:
        for call in calls:
            try:
                call.answer = call.body(self._ledger())
            except Exception as error:
                self._fail((call,), error)
        return None

    def look(self) -> OnLoop:
        seen = self._feed.seen
        if seen is None:
            return None
        try:
            ledger = self._ledger()
            (version,) = ledger.connection.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return None
            self._version = version
            newest, commits = ledger.since(seen)
        except Exception:  # who then watches again from where he was is told what is wrong
            self._undo()
            return self._feed.lose
        return partial(self._feed.advance, seen, newest, commits) if newest > seen else None
