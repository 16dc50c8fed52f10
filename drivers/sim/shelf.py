"""Documents of one kind in memory, and the declared indexes that find them."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from ave.ports.store import Above, Below, In, Index, Kind, Where
from drivers.query import Served, is_by_id, narrowed, served

FEW = 20  # that are sorted in one by one

Place = tuple[Any, ...]  # (order values…, id) of a document in an index


class _Bucket:
    """The places of the documents with one value of ``by``. What is put there is sorted in when somebody looks: most of it,
    such as work that is done, nobody ever looks for."""

    __slots__ = ("_fresh", "_sorted")

    def __init__(self, places: list[Place]) -> None:
        self._sorted = sorted(places)
        self._fresh: dict[Place, None] = {}

    def put(self, place: Place) -> None:
        self._fresh[place] = None

    def remove(self, place: Place) -> None:
        if self._fresh.pop(place, self) is self:
            del self._sorted[bisect_left(self._sorted, place)]

    def places(self) -> list[Place]:
        if len(self._fresh) > FEW:
            self._sorted += self._fresh
            self._sorted.sort()
        else:
            for place in self._fresh:
                insort(self._sorted, place)
        self._fresh.clear()
        return self._sorted


class _Ordered:
    """One index: for each value of ``by``, its documents.

    It is made when it is first asked for: a run uses few of the declared ones, and each costs at every write.
    """

    __slots__ = ("buckets", "by", "fields", "index")

    def __init__(self, index: Index) -> None:
        self.index = index
        self.by = len(index.by)
        names = (*index.by, *index.order, "id")
        self.fields: Callable[[Any], tuple[Any, ...]] = attrgetter(*names) if len(names) > 1 else lambda doc: (doc.id,)
        self.buckets: dict[tuple[Any, ...], _Bucket] | None = None

    def _fields_of(self, doc: Any) -> tuple[Any, ...] | None:
        """Nothing, if nobody asks for it here."""
        if doc is None:
            return None
        fields = self.fields(doc)
        only = self.index.only
        return fields if not only or fields[self.by - 1] in only else None

    def made(self, docs: Iterable[Any]) -> dict[tuple[Any, ...], _Bucket]:
        if self.buckets is None:
            places: dict[tuple[Any, ...], list[Place]] = {}
            for doc in docs:
                if (fields := self._fields_of(doc)) is not None:
                    places.setdefault(fields[: self.by], []).append(fields[self.by :])
            self.buckets = {key: _Bucket(found) for key, found in places.items()}
        return self.buckets

    def move(self, old: Any, new: Any) -> None:
        buckets, by = self.buckets, self.by
        assert buckets is not None, "made before"
        before, after = self._fields_of(old), self._fields_of(new)
        if before == after:
            return
        if before is not None:
            buckets[before[:by]].remove(before[by:])
        if after is not None:
            bucket = buckets.get(key := after[:by])
            if bucket is None:
                bucket = buckets[key] = _Bucket([])
            bucket.put(after[by:])


class Shelf:
    def __init__(self, kind: Kind) -> None:
        self.kind, self.name = kind, kind.name
        self.docs: dict[str, Any] = {}
        self._indexes = [_Ordered(index) for index in kind.indexes]
        self._movable = [o for o in self._indexes if o.index.by or o.index.order]  # ids never change
        self._narrowed = narrowed(kind)
        self._serving: dict[Any, tuple[_Ordered, Served]] = {}  # what ``_choose`` said before

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
        if "id" in where and is_by_id(where, order, after):
            wanted = where["id"]
            ids = wanted.values if isinstance(wanted, In) else (wanted,)
            return iter([docs[i] for i in sorted(dict.fromkeys(ids)) if i in docs])
        shape = (*where, *map(type, where.values()), *order, *map(where.get, self._narrowed))
        serving = self._serving.get(shape)
        if serving is None:
            serving = self._serving[shape] = self._choose(where, tuple(order))
        ordered, (index, ranged, by_id, whole) = serving
        buckets = ordered.made(docs.values())
        runs = [
            _run(places, where[ranged] if ranged else None, None if by_id else after)
            for key in (_narrowed_to(where, index, buckets) if whole else _keys(where, index.by))
            if (bucket := buckets.get(key)) and (places := bucket.places())
        ]
        if not runs:
            return iter(())
        merged = runs[0] if len(runs) == 1 else heapq.merge(*runs)
        if by_id:
            found = sorted(place[-1] for place in merged)
            return (docs[id] for id in (found if after is None else found[bisect_right(found, after[-1]) :]))
        return (docs[place[-1]] for place in merged)

    def _choose(self, where: Where, order: tuple[str, ...]) -> tuple[_Ordered, Served]:
        found = served(self.kind, where, order)
        return next(ordered for ordered in self._indexes if ordered.index is found.declared), found


def _narrowed_to(where: Where, index: Index, buckets: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Every bucket with what the index is narrowed to, if that is all that is asked for."""
    value = where[index.by[-1]]
    values = value.values if type(value) is In else (value,)
    return [key for key in buckets if key[-1] in values]


def _keys(where: Where, by: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Every bucket the query asks for: In fans out."""
    keys: list[tuple[Any, ...]] = [()]
    for field in by:
        value = where[field]
        if type(value) is In:
            keys = [(*key, one) for key in keys for one in dict.fromkeys(value.values)]
        else:
            keys = [(*key, value) for key in keys]
    return keys


def _run(places: list[Place], ranged: Any, after: tuple[Any, ...] | None) -> Iterator[Place]:
    first = bisect_right(places, after) if after is not None else 0
    last = len(places)
    if isinstance(ranged, Below):
        last = bisect_left(places, (ranged.value,))
    elif isinstance(ranged, Above):
        first = max(first, bisect_right(places, ranged.value, key=lambda place: place[0]))
    return map(places.__getitem__, range(first, last))  # lazy: a claim looks at one of thousands
