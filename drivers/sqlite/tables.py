"""Kinds as SQL: a table for each, a row for each document, and the declared indexes.

The document is JSON; what is indexed is a column beside it. Writing costs as much as there are indexes to move a row in, so
an index over an enum is split into partial ones, each with one value as a literal in its condition (SQLite's planner looks
at no bound one). A partial index is made when its value is first asked for: nobody asks for most of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from itertools import product
from operator import attrgetter
from typing import Any

import msgspec

from ave.errors import Refused
from ave.ports.store import Index, Kind
from drivers.limits import DOCUMENT_BYTES_MAX
from drivers.sqlite.queries import Created, Queries, quoted

_AFFINITIES = ((str, "TEXT"), (int, "INTEGER"), (float, "REAL"))  # bool is an int


class Table:
    """One kind. Knows SQL, and no connection."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.name = kind, kind.name
        types = {field.name: field.type for field in msgspec.structs.fields(kind.type)}
        indexed = dict.fromkeys(field for index in kind.indexes for field in (*index.by, *index.order))
        self.columns = tuple(field for field in indexed if field != "id")
        self.row: Callable[[Any], tuple[Any, ...]] = _getter(self.columns)
        self.decode: Callable[[str | bytes], Any] = msgspec.json.Decoder(kind.type).decode
        self._members = {
            field: {member.value: _literal(member.value) for member in types[field]}
            for field in self.columns
            if isinstance(types[field], type) and issubclass(types[field], Enum)
        }
        name = quoted(self.name)
        columns = "".join(f", {quoted(field)} {self._affinity(field, types[field])} NOT NULL" for field in self.columns)
        self.create = f"CREATE TABLE {name} (id TEXT PRIMARY KEY NOT NULL{columns}, doc TEXT NOT NULL)"
        places = ", ?" * (len(self.columns) + 1)
        self.insert = f"INSERT INTO {name} VALUES (?{places})"
        self.select = f"SELECT doc FROM {name} WHERE id = ?"
        self.delete = f"DELETE FROM {name} WHERE id = ?"
        # Indexes that are there from the start, and those that are made when asked for.
        self.full = tuple(dict.fromkeys(self._created(index, {}) for index in kind.indexes if self._is_full(index)))
        self.partial = tuple(
            dict.fromkeys(
                self._created(index, dict(zip(split, values, strict=True)))
                for index in kind.indexes
                if (split := [field for field in index.by if field in self._members])
                for values in product(*[self._members[field].values() for field in split])
            )
        )
        self.update = lru_cache(maxsize=None)(self._update)
        self.find = Queries(kind, self._members, self._created).find

    def encode(self, doc: Any) -> str:
        """The document as it is stored. Refused when it is too large; what could not be read back is a bug."""
        encoded = _encode(doc)
        if len(encoded) > DOCUMENT_BYTES_MAX:
            raise Refused(
                f"{self.name} {doc.id} has {len(encoded):,} bytes, and a document may have {DOCUMENT_BYTES_MAX:,}:"
                " store less in it"
            )
        try:
            self.decode(encoded)
        except msgspec.DecodeError as error:
            raise ValueError(f"{self.name} {doc.id} could not be read back: {error}") from error
        return encoded.decode()

    def values(self, doc: Any) -> tuple[Any, ...]:
        """What ``insert`` takes."""
        return doc.id, *self.row(doc), self.encode(doc)

    def _is_full(self, index: Index) -> bool:
        return bool(index.by or index.order) and not any(field in self._members for field in index.by)

    def _created(self, index: Index, literals: Mapping[str, str]) -> Created:
        columns = [quoted(field) for field in (*index.by, *index.order, "id") if field not in literals]
        condition = " AND ".join(f"{quoted(field)} = {literal}" for field, literal in literals.items())
        name = f"{self.name}({', '.join(columns)}){f' where {condition}' if condition else ''}".replace('"', "")
        where = f" WHERE {condition}" if condition else ""
        return Created(name, f"CREATE INDEX {quoted(name)} ON {quoted(self.name)} ({', '.join(columns)}){where}")

    def _update(self, columns: tuple[str, ...]) -> str:
        """SQLite moves a row in every index that has a column of SET, changed or not: so name those that did change."""
        sets = "".join(f", {quoted(field)} = ?" for field in columns)
        return f"UPDATE {quoted(self.name)} SET doc = ?{sets} WHERE id = ?"

    def _affinity(self, field: str, type_: Any) -> str:
        for base, affinity in _AFFINITIES:
            if isinstance(type_, type) and issubclass(type_, base):
                return affinity
        raise TypeError(
            f"{self.name}.{field} is indexed, so it must be of one type: str, int, float, or an enum of them"
        )


_encode = msgspec.json.Encoder().encode


def _getter(columns: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(columns) > 1:
        return attrgetter(*columns)
    return (lambda doc: (getattr(doc, columns[0]),)) if columns else lambda doc: ()


def _literal(value: str | int | float) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
