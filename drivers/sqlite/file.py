"""The file: opened, created, checked, brought to what this program declares, or refused. All of it blocks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Literal
from urllib.parse import quote

import msgspec

from ave.errors import Refused, Unavailable
from drivers.sqlite.ledger import LOG
from drivers.sqlite.tables import Table
from drivers.sqlite.trouble import code, translated

Synchronous = Literal["FULL", "NORMAL"]

APPLICATION = 0x41564501  # "AVE", and the layout of what is not a kind's table: 1
RETRY_SECONDS = 0.01
WAL_BYTES = 64 * 2**20  # what a burst made of the log beside the file is given back to the disk


class File:
    """The file that was opened, and how connections to it are made."""

    def __init__(self, path: Path, synchronous: Synchronous, busy_seconds: float) -> None:
        self.path, self._synchronous, self._busy_seconds = path, synchronous, busy_seconds
        self._identity: tuple[int, int] | None = None

    def open(self, tables: Sequence[Table], schema: int) -> File:
        """Make the file, if it is not there, and make it what these tables need; its folder must be there.

        Refused, with nothing changed, if it is not a store or is of a newer schema; Unavailable if this cannot be done now.
        """
        try:
            with closing(self.connect(create=True)) as connection:
                self._prepare(connection, tables, schema)
                self._identity = _identity(self.path)
        except sqlite3.Error as error:
            if code(error) == sqlite3.SQLITE_NOTADB:
                raise Refused(f"{self.path} is not a database: name another file") from error
            raise translated(error, self.path) from error
        return self

    def connect(self, *, create: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            cached_statements=512,
        )
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def require_same(self) -> None:
        """Who writes to a file that was removed or replaced writes for nobody: Unavailable."""
        if self._identity is None or _identity(self.path) != self._identity:
            raise Unavailable(
                f"{self.path} was removed or replaced under this process: put it back, or restart AVE on this host"
            )

    def _prepare(self, connection: sqlite3.Connection, tables: Sequence[Table], schema: int) -> None:
        with _transaction(connection, "BEGIN"):
            _refuse(connection, self.path, schema)
        _journal(connection, self.path, self._busy_seconds)
        with _transaction(connection, "BEGIN IMMEDIATE"):
            _refuse(connection, self.path, schema)  # another process may have been faster
            known = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
            if "ave_log" not in known:
                connection.execute(LOG)
            for table in tables:
                if table.name not in known:
                    connection.execute(table.create)
                elif known[table.name] != table.create:
                    _rebuild(connection, self.path, table)
                _index(connection, table)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {schema}")


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refuse(connection: sqlite3.Connection, path: Path, schema: int) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (written,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and tables:
        raise Refused(f"{path} is a database, but not one of AVE (or of another layout): name another file")
    if written > schema:
        raise Refused(
            f"{path} was written with schema {written}, and this program knows {schema} at most:"
            " install the release that wrote it, or restore a backup that was made before"
        )


def _journal(connection: sqlite3.Connection, path: Path, busy_seconds: float) -> None:
    """SQLite does not wait by itself for whoever else is making the file, or turns it to WAL at this moment."""
    deadline = monotonic() + busy_seconds
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if code(error) != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(RETRY_SECONDS)
    if mode != "wal":
        raise Unavailable(f"{path} cannot be shared by processes: put it on a local file system")


def _rebuild(connection: sqlite3.Connection, path: Path, table: Table) -> None:
    """Fill a table that has other columns than are declared now from its documents, which hold everything."""
    old = f'"{table.name}_before"'
    connection.execute(f'ALTER TABLE "{table.name}" RENAME TO {old}')
    for name, _ in _indexes(connection, f"{table.name}_before"):
        connection.execute(f'DROP INDEX "{name}"')
    connection.execute(table.create)
    for id, doc in connection.execute(f"SELECT id, doc FROM {old}"):
        try:
            values = table.values(table.decode(doc))
        except msgspec.DecodeError as error:
            raise Refused(
                f"{path}: {table.name} {id} cannot be read by this program ({error}): install the one that wrote it"
            ) from error
        connection.execute(table.insert, values)
    connection.execute(f"DROP TABLE {old}")


def _index(connection: sqlite3.Connection, table: Table) -> None:
    """Make what is missing, and make anew what is different. Indexes that are somebody else's are left alone."""
    wanted = dict((*table.full, *table.partial))
    there = dict(_indexes(connection, table.name))
    for name, sql in there.items():
        if name.startswith(f"{table.name}(") and wanted.get(name) != sql:
            connection.execute(f'DROP INDEX "{name}"')
    for name, sql in table.full:
        if there.get(name) != sql:
            connection.execute(sql)
    for name, sql in table.partial:
        if name in there and there[name] != sql:
            connection.execute(sql)


def _indexes(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"
    return connection.execute(sql, (table,)).fetchall()
