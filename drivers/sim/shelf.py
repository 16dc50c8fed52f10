"""Documents of one kind in memory, and the declared indexes that find them."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from operator import attrgetter
from typing import Any

from ave.ports.store import Above, Below, In, Index, Kind, Undeclared, Where

_RANGES = (Below, Above)


class _Ordered:
    """One index: for each value of ``by``, the sorted (order values…, id) of its documents.

    It is made when it is first asked for: a run uses few of the declared ones, and each costs at every write.
    """

    __slots__ = ("buckets", "by", "fields", "index")

    def __init__(self, index: Index) -> None:
        self.index = index
        self.by = len(index.by)
        names = (*index.by, *index.order, "id")
        self.fields: Callable[[Any], tuple[Any, ...]] = attrgetter(*names) if len(names) > 1 else lambda doc: (doc.id,)
        self.buckets: dict[tuple[Any, ...], list[tuple[Any, ...]]] | None = None

    def made(self, docs: Iterable[Any]) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
        if self.buckets is None:
            self.buckets = {}
            for doc in docs:
                fields = self.fields(doc)
                self.buckets.setdefault(fields[: self.by], []).append(fields[self.by :])
            for bucket in self.buckets.values():
                bucket.sort()
        return self.buckets

    def move(self, old: Any, new: Any) -> None:
        buckets, by = self.buckets, self.by
        if buckets is None:
            return
        before = None if old is None else self.fields(old)
        after = None if new is None else self.fields(new)
        if before == after:
            return
        if before is not None:
            bucket = buckets[before[:by]]
            del bucket[bisect_left(bucket, before[by:])]
        if after is not None:
            insort(buckets.setdefault(after[:by], []), after[by:])


class Shelf:
    def __init__(self, kind: Kind) -> None:
        self.kind, self.name = kind, kind.name
        self.docs: dict[str, Any] = {}
        self._indexes = [_Ordered(index) for index in kind.indexes]
        self._movable = [o for o in self._indexes if o.index.by or o.index.order]  # ids never change
        self._shapes = {(tuple(sorted(o.index.by)), o.index.order): o for o in reversed(self._indexes)}
        self._serving: dict[Any, tuple[_Ordered, str]] = {}  # what ``_choose`` said before

    def copied(self) -> Shelf:
        copy = Shelf(self.kind)
        copy.docs = dict(self.docs)
        return copy

    def put(self, id: str, new: Any) -> None:
        """Store the document under its id; None removes it."""
        old = self.docs.get(id)
        if new is None:
            self.docs.pop(id, None)  # inserted and deleted in one commit, it never was there
        else:
            self.docs[id] = new
        for ordered in self._indexes if old is None or new is None else self._movable:
            ordered.move(old, new)

    def find(self, where: Where, order: Sequence[str], after: tuple[Any, ...] | None) -> Iterator[Any]:
        """Documents for which ``where`` holds, in order; an undeclared shape is an error."""
        docs = self.docs
        wanted = where.get("id")
        if len(where) == 1 and wanted is not None and not (order or after or isinstance(wanted, _RANGES)):
            ids = wanted.values if isinstance(wanted, In) else (wanted,)
            return iter([docs[i] for i in sorted(dict.fromkeys(ids)) if i in docs])
        shape = tuple([(field, type(value) in _RANGES) for field, value in where.items()]), tuple(order)
        if shape not in self._serving:
            self._serving[shape] = self._choose(*shape)
        ordered, ranged = self._serving[shape]
        by_id = not order and bool(ordered.index.order)  # an index of another order serves it: put into that of ids
        buckets = ordered.made(docs.values())
        runs = [
            _run(bucket, where[ranged] if ranged else None, None if by_id else after)
            for key in _keys(where, ordered.index.by)
            if (bucket := buckets.get(key))
        ]
        if not runs:
            return iter(())
        places = runs[0] if len(runs) == 1 else heapq.merge(*runs)
        if by_id:
            found = sorted(place[-1] for place in places)
            return (docs[id] for id in (found if after is None else found[bisect_right(found, after[-1]) :]))
        return (docs[place[-1]] for place in places)

    def _choose(self, fields: tuple[tuple[str, bool], ...], order: tuple[str, ...]) -> tuple[_Ordered, str]:
        """The index that serves a query on these fields (is it a range?), and the field of its range or nothing."""
        ranges = tuple(field for field, is_range in fields if is_range)
        by = tuple(sorted(field for field, is_range in fields if not is_range))
        ordered = None if ranges and not order else self._shapes.get((by, order))
        if ordered is None and not order:
            same = (
                o
                for o in self._indexes
                if tuple(sorted(o.index.by)) == by and o.index.order[: len(ranges[:1])] == ranges[:1]
            )
            ordered = next(same, None)
        if ordered is None or (ranges and (len(ranges) > 1 or ordered.index.order[:1] != ranges)):
            where = sorted(field for field, _ in fields)
            raise Undeclared(f"{self.name}: no index serves where {where} order {list(order)}")
        return ordered, ranges[0] if ranges else ""


def _keys(where: Where, by: tuple[str, ...]) -> Iterable[tuple[Any, ...]]:
    """Every bucket the query asks for: In fans out."""
    return product(*[dict.fromkeys(value.values) if isinstance(value := where[f], In) else (value,) for f in by])


def _run(bucket: list[tuple[Any, ...]], ranged: Any, after: tuple[Any, ...] | None) -> Iterator[tuple[Any, ...]]:
    first = bisect_right(bucket, after) if after is not None else 0
    last = len(bucket)
    if isinstance(ranged, Below):
        last = bisect_left(bucket, (ranged.value,))
    elif isinstance(ranged, Above):
        first = max(first, bisect_right(bucket, ranged.value, key=lambda place: place[0]))
    return map(bucket.__getitem__, range(first, last))  # lazy: a claim looks at one of thousands


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
