"""Documents of one kind in memory, and the declared indexes that find them."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from operator import attrgetter
from typing import Any

from ave.ports.store import Above, Below, In, Index, Kind, Where
from drivers.query import Fields, fields_of, is_by_id, served


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
        assert buckets is not None, "made before"
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
        self._serving: dict[Any, tuple[_Ordered, str, bool]] = {}  # what ``_choose`` said before

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
            if ordered.buckets is not None:
                ordered.move(old, new)

    def find(self, where: Where, order: Sequence[str], after: tuple[Any, ...] | None) -> Iterator[Any]:
        """Documents for which ``where`` holds, in order; an undeclared shape is an error."""
        docs = self.docs
        if is_by_id(where, order, after):
            wanted = where["id"]
            ids = wanted.values if isinstance(wanted, In) else (wanted,)
            return iter([docs[i] for i in sorted(dict.fromkeys(ids)) if i in docs])
        shape = fields_of(where), tuple(order)
        if shape not in self._serving:
            self._serving[shape] = self._choose(*shape)
        ordered, ranged, by_id = self._serving[shape]
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

    def _choose(self, fields: Fields, order: tuple[str, ...]) -> tuple[_Ordered, str, bool]:
        found = served(self.kind, fields, order)
        ordered = next(ordered for ordered in self._indexes if ordered.index is found.declared)
        return ordered, found.ranged, found.resort


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
