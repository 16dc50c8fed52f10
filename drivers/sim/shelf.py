"""Documents of one kind in memory, and the declared indexes that find them."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from operator import attrgetter
from typing import Any

from ave.ports.store import Above, Below, In, Index, Kind, Undeclared, Where


class _Ordered:
    """One index: for each value of ``by``, the sorted (order values…, id) of its documents."""

    __slots__ = ("bucket_of", "buckets", "index", "place_of")

    def __init__(self, index: Index) -> None:
        self.index = index
        self.buckets: dict[Any, list[tuple[Any, ...]]] = {}
        self.bucket_of: Callable[[Any], Any] = attrgetter(*index.by) if index.by else lambda doc: ()
        fields = attrgetter(*index.order, "id")
        self.place_of: Callable[[Any], tuple[Any, ...]] = fields if index.order else lambda doc: (doc.id,)

    def move(self, old: Any, new: Any) -> None:
        if old is not None and new is not None:
            before, after = self.bucket_of(old), self.bucket_of(new)
            if before == after and self.place_of(old) == self.place_of(new):
                return
        if old is not None:
            bucket = self.buckets[self.bucket_of(old)]
            del bucket[bisect_left(bucket, self.place_of(old))]
        if new is not None:
            insort(self.buckets.setdefault(self.bucket_of(new), []), self.place_of(new))


class Shelf:
    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.docs: dict[str, Any] = {}
        self._indexes = [_Ordered(index) for index in kind.indexes]
        self._shapes = {(tuple(sorted(o.index.by)), o.index.order): o for o in reversed(self._indexes)}

    def put(self, id: str, new: Any) -> None:
        """Store the document under its id; None removes it."""
        old = self.docs.get(id)
        if new is None:
            self.docs.pop(id, None)  # inserted and deleted in one commit, it never was there
        else:
            self.docs[id] = new
        for ordered in self._indexes:
            ordered.move(old, new)

    def find(self, where: Where, order: Sequence[str], after: tuple[Any, ...] | None) -> Iterator[Any]:
        """Documents for which ``where`` holds, in order; an undeclared shape is an error."""
        docs = self.docs
        wanted = where.get("id")
        if len(where) == 1 and wanted is not None and not (order or after or isinstance(wanted, Below | Above)):
            ids = wanted.values if isinstance(wanted, In) else (wanted,)
            return iter([docs[i] for i in sorted(dict.fromkeys(ids)) if i in docs])
        ordered, ranged = self._serving(where, tuple(order))
        by_id = not order and bool(ordered.index.order)  # an index of another order serves it: put into that of ids
        runs = [
            _run(bucket, ranged, None if by_id else after)
            for key in _keys(where, ordered.index.by)
            if (bucket := ordered.buckets.get(key))
        ]
        places = runs[0] if len(runs) == 1 else heapq.merge(*runs)
        if by_id:
            found = sorted(place[-1] for place in places)
            return (docs[id] for id in (found if after is None else found[bisect_right(found, after[-1]) :]))
        return (docs[place[-1]] for place in places)

    def _serving(self, where: Where, order: tuple[str, ...]) -> tuple[_Ordered, Any]:
        ranges = [f for f, v in where.items() if isinstance(v, Below | Above)]
        by = tuple(sorted(f for f in where if f not in ranges))
        ordered = None if ranges and not order else self._shapes.get((by, order))
        if ordered is None and not order:
            first = tuple(ranges[:1])
            same = (
                o for o in self._indexes if tuple(sorted(o.index.by)) == by and o.index.order[: len(first)] == first
            )
            ordered = next(same, None)
        if ordered is None or (ranges and (len(ranges) > 1 or ordered.index.order[:1] != (ranges[0],))):
            raise Undeclared(f"{self.kind.name}: no index serves where {sorted(where)} order {list(order)}")
        return ordered, where[ranges[0]] if ranges else None


def _keys(where: Where, by: tuple[str, ...]) -> Iterator[Any]:
    """Every bucket the query asks for: In fans out."""
    choices = [tuple(dict.fromkeys(value.values)) if isinstance(value := where[f], In) else (value,) for f in by]
    for key in product(*choices):
        yield key[0] if len(key) == 1 else key


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
        value = getattr(doc, field)
        if isinstance(wanted, In):
            if value not in wanted.values:
                return False
        elif isinstance(wanted, Below):
            if not value < wanted.value:
                return False
        elif isinstance(wanted, Above):
            if not value > wanted.value:
                return False
        elif value != wanted:
            return False
    return True
