"""How to ask SQLite for what a query of the port wants, through the index that the kind declares for it.

The text of a statement depends on the query's shape only, and is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from ave.ports.store import Below, In, Index, Kind, Where
from drivers.query import RANGES, is_by_id, narrowed, served

ARMS_MAX = 16  # so many lists that are in order already are merged; more are sorted
IDS_MAX = 1000  # of one statement
STATEMENTS_MAX = 1000  # that are kept for one kind

AFTER = ""  # the name under which ``after`` is bound: no field's
Slot = tuple[str, int]  # which of the values that were given for a field


class Created(NamedTuple):
    """An index as it is, or shall be, in the file."""

    name: str
    sql: str


class Query(NamedTuple):
    """Statements whose rows, one after the other, are the answer: (document, …) each. The last parameter is the limit."""

    statements: tuple[tuple[str, tuple[Any, ...]], ...]
    needs: tuple[Created, ...] = ()  # indexes that may not have been made yet

    def counted(self) -> Query:
        return Query(tuple((f"SELECT count(*) FROM ({sql})", values) for sql, values in self.statements), self.needs)


class _Statement(NamedTuple):
    sql: str
    slots: tuple[Slot, ...]
    needs: tuple[Created, ...] = ()


class Queries:
    """Of one kind. ``members``: of each field that is an enum, its values as literals."""

    def __init__(
        self,
        kind: Kind,
        members: Mapping[str, Mapping[Any, str]],
        index: Callable[[Index, Mapping[str, str]], Created],
    ) -> None:
        self._kind, self._members, self._index = kind, members, index
        self._table = quoted(kind.name)
        self._decisive = {*members, *narrowed(kind)}  # fields of whose values another statement is made
        self._statements: dict[Any, _Statement] = {}

    def find(self, where: Where, order: Sequence[str], limit: int, after: tuple[Any, ...] | None) -> Query:
        """Undeclared if no index of the kind serves it."""
        if is_by_id(where, order, after):
            return self._by_ids(where["id"], limit)
        given: dict[str, tuple[Any, ...]] = {}
        shape: list[Any] = [*order, after is None]
        for field, value in where.items():
            kind = type(value)
            if kind in RANGES:
                given[field] = (value.value,)
                shape.append((field, kind))
            else:
                given[field] = values = tuple(dict.fromkeys(value.values)) if kind is In else (value,)
                shape.append((field, values if field in self._decisive else len(values)))
        if after is not None:
            given[AFTER] = after
        key = tuple(shape)
        statement = self._statements.get(key)
        if statement is None:
            ranges = {field: type(value) for field, value in where.items() if type(value) in RANGES}
            statement = self._statement(where, given, ranges, tuple(order))
            if len(self._statements) >= STATEMENTS_MAX:
                self._statements.clear()
            self._statements[key] = statement
        if not statement.sql:
            return Query(())
        values = (*[given[field][n] for field, n in statement.slots], limit or -1)
        return Query(((statement.sql, values),), statement.needs)

    def _by_ids(self, wanted: Any, limit: int) -> Query:
        ids = sorted(set(wanted.values)) if isinstance(wanted, In) else [wanted]
        statements = []
        for first in range(0, len(ids), IDS_MAX):
            some = ids[first : first + IDS_MAX]
            sql = f"SELECT doc FROM {self._table} WHERE id IN ({_places(len(some))}) ORDER BY id LIMIT ?"
            statements.append((sql, (*some, limit or -1)))
        return Query(tuple(statements))

    def _statement(
        self,
        where: Where,
        given: Mapping[str, tuple[Any, ...]],
        ranges: Mapping[str, type[Any]],
        order: tuple[str, ...],
    ) -> _Statement:
        index, ranged, resort, whole = served(self._kind, where, order)
        columns = ", ".join(map(quoted, ("id",) if resort else (*index.order, "id")))
        terms, slots = [], []
        if ranged:
            terms.append(f"{quoted(ranged)} {'<' if ranges[ranged] is Below else '>'} ?")
            slots.append((ranged, 0))
        if AFTER in given:
            last = 1 if resort else len(index.order) + 1
            terms.append(f"({columns}) > ({_places(last)})")
            slots += [(AFTER, n - last) for n in range(last)]
        named = not whole and bool(index.by or index.order)
        arms = [self._arm(index, chosen, terms, columns, named=named) for chosen in self._choices(index, given)]
        if not arms:
            return _Statement("", ())
        sql = " UNION ALL ".join(arm.sql for arm in arms) + f" ORDER BY {columns} LIMIT ?"
        needs = tuple(created for arm in arms for created in arm.needs)
        return _Statement(sql, tuple(slot for arm in arms for slot in (*arm.slots, *slots)), needs)

    def _choices(self, index: Index, given: Mapping[str, tuple[Any, ...]]) -> list[dict[str, tuple[Any, ...]]]:
        """For each arm and each field of ``by`` that is asked for: the literal of an enum's member, or the slots of which one
        must match."""
        by = [field for field in index.by if field in given]
        literals: dict[str, list[tuple[Any, ...]]] = {
            field: [(self._members[field][value],) for value in given[field] if value in self._members[field]]
            for field in by
            if field in self._members
        }
        slots = {field: [(field, n) for n in range(len(given[field]))] for field in by if field not in literals}
        fan_out = prod(len(of) for of in (*literals.values(), *slots.values())) <= ARMS_MAX
        options: dict[str, list[tuple[Any, ...]]] = {
            **literals,
            **{field: [(slot,) for slot in of] if fan_out else [tuple(of)] for field, of in slots.items()},
        }
        return [dict(zip(by, chosen, strict=True)) for chosen in product(*[options[field] for field in by])]

    def _arm(
        self, index: Index, chosen: Mapping[str, tuple[Any, ...]], terms: Sequence[str], columns: str, *, named: bool
    ) -> _Statement:
        """``named``: it is told which index to use; one that is narrowed by a literal always must be."""
        literals = {field: chosen[field][0] for field in chosen if field in self._members}
        conditions = [f"{quoted(field)} = {literal}" for field, literal in literals.items()]
        slots: list[Slot] = []
        for field, of in chosen.items():
            if field not in literals:
                conditions.append(f"{quoted(field)} IN ({_places(len(of))})")
                slots += of
        source, needs = self._table, tuple[Created, ...]()
        if named or literals:
            created = self._index(index, literals)
            source += f" INDEXED BY {quoted(created.name)}"
            needs = (created,) if literals else ()
        condition = " AND ".join((*conditions, *terms))
        sql = f"SELECT doc, {columns} FROM {source}{f' WHERE {condition}' if condition else ''}"
        return _Statement(sql, tuple(slots), needs)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _places(count: int) -> str:
    return ", ".join("?" * count)
