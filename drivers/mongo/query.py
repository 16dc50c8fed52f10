"""Conditions and orders in MongoDB's own words, and the declared index that each query is told to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from ave.ports.store import Above, Below, In, Index, Kind, Where
from drivers.mongo.codec import Raw
from drivers.query import is_by_id, served

Keys = list[tuple[str, int]]

BY_ID = "_id_"  # the name of the index that is always there


class Query(NamedTuple):
    filter: Raw
    sort: Keys
    hint: str  # the index: the planner does not try others, and cannot change its mind


class Queries:
    """Of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def query(self, where: Where, order: Sequence[str], after: tuple[Any, ...] | None = None) -> Query:
        """Raises Undeclared for a shape that no index serves."""
        if is_by_id(where, order, after):
            return Query(condition(where), [("_id", 1)], BY_ID)
        index = served(self._kind, where, tuple(order)).declared
        filter = condition(where)
        if after is not None:
            filter = {"$and": [filter, beyond(order, after)]}
        return Query(filter, sorting(order), name(index))


def keys(index: Index) -> Keys:
    """The fields of a declared index. The one on ids alone is always there.

    What narrows it is no key where no order needs it: a document that goes from one of these values to another stays where it
    is, which makes a claim cheaper, and who asks for one of them looks at a few more.
    """
    by = index.by[:-1] if index.only and not index.order else index.by
    return [*[(field, 1) for field in by], *sorting(index.order)]


def name(index: Index) -> str:
    """As MongoDB would call it; and what there is in it, if it is not all."""
    fields = "_".join(f"{field}_{way}" for field, way in keys(index))
    if fields == "_id_1":
        return BY_ID
    return f"{fields}_of_{'_'.join(map(str, index.only))}" if index.only else fields


def sorting(order: Sequence[str]) -> Keys:
    return [*[(field, 1) for field in order], ("_id", 1)]


def condition(where: Where) -> Raw:
    """A filter that holds for the same documents."""
    return {_name(field): _TESTS.get(type(value), _equal)(value) for field, value in where.items()}


def _equal(value: Any) -> Raw:
    return {"$eq": msgspec.to_builtins(value)}


_TESTS: dict[type[Any], Callable[[Any], Raw]] = {
    In: lambda wanted: {"$in": [msgspec.to_builtins(value) for value in dict.fromkeys(wanted.values)]},
    Below: lambda wanted: {"$lt": msgspec.to_builtins(wanted.value)},
    Above: lambda wanted: {"$gt": msgspec.to_builtins(wanted.value)},
}


def beyond(order: Sequence[str], after: tuple[Any, ...]) -> Raw:
    """Holds for what comes after (order values…, id). The bound on the first field alone is where an index can begin."""
    fields = [*order, "_id"]
    values = [msgspec.to_builtins(value) for value in after]
    cases = [
        {**dict(zip(fields[:n], values[:n], strict=True)), fields[n]: {"$gt": values[n]}} for n in range(len(fields))
    ]
    return {"$and": [{fields[0]: {"$gte": values[0]}}, {"$or": cases}]}


def _name(field: str) -> str:
    return "_id" if field == "id" else field
