"""Which declared index serves a query, and for which documents a condition holds: one rule for every store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ave.ports.store import Above, Below, In, Index, Kind, Undeclared, Where

RANGES = (Below, Above)


class Served(NamedTuple):
    declared: Index
    ranged: str  # the field on which the range stands, or nothing
    resort: bool  # ids are asked for in their own order, and the index has another
    whole: bool  # only what it is narrowed to is asked for: all of it is looked through


def is_by_id(where: Where, order: Sequence[str], after: tuple[Any, ...] | None) -> bool:
    """Are documents asked for by their ids alone? That needs no index."""
    wanted = where.get("id")
    return len(where) == 1 and wanted is not None and not (order or after or isinstance(wanted, RANGES))


def served(kind: Kind, where: Where, order: tuple[str, ...]) -> Served:
    """The index that serves a query like this in this order, or Undeclared."""
    ranges = tuple([field for field, value in where.items() if type(value) in RANGES])
    by = sorted(field for field in where if field not in ranges)
    same = [index for index in kind.indexes if sorted(index.by) == by and _keeps(index, where)]
    found = None if ranges and not order else next((index for index in same if index.order == order), None)
    if found is None and not order:
        found = next((index for index in same if index.order[: len(ranges[:1])] == ranges[:1]), None)
    whole = found is None and not order and len(by) == len(where) == 1
    if whole:
        fit = [index for index in kind.indexes if index.only and index.by[-1:] == (*by,) and _keeps(index, where)]
        found = min(fit, key=lambda index: len(index.only), default=None)
    if found is None or (ranges and (len(ranges) > 1 or found.order[:1] != ranges)):
        telling = narrowed(kind)
        asked = [f"{field} {where[field]}" if field in telling else field for field in sorted(where)]
        raise Undeclared(f"{kind.name}: no index serves where {asked} order {list(order)}")
    resort = whole or (not order and bool(found.order))
    return Served(found, ranges[0] if ranges else "", resort, whole)


def narrowed(kind: Kind) -> tuple[str, ...]:
    """Fields whose values decide, beside the shape, which index serves a query."""
    return tuple(dict.fromkeys(index.by[-1] for index in kind.indexes if index.only))


def _keeps(index: Index, where: Where) -> bool:
    """Has it all documents that may be asked for here?"""
    if not index.only:
        return True
    wanted = where[index.by[-1]]
    return all(value in index.only for value in (wanted.values if type(wanted) is In else (wanted,)))


def holds(doc: Any, where: Where) -> bool:
    for field, wanted in where.items():
        value, test = getattr(doc, field), _TESTS.get(type(wanted))
        if value != wanted if test is None else not test(value, wanted):
            return False
    return True


_TESTS: dict[type[Any], Callable[[Any, Any], bool]] = {
    In: lambda value, wanted: value in wanted.values,
    Below: lambda value, wanted: value < wanted.value,
    Above: lambda value, wanted: value > wanted.value,
}
