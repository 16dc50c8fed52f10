"""What a majority of the store's members agree on: documents, revisions, and the log of commits. No time, no network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ave.ports.store import Change, Check, Commit, Conflict, Delete, Insert, Kind, Replace, TooOld, Where, Write
from drivers.sim import physics
from drivers.sim.shelf import Shelf, holds

_replace = msgspec.structs.replace


class Ledger:
    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.shelves = {kind.type: Shelf(kind) for kind in kinds}
        self.shelves_by_name = {shelf.kind.name: shelf for shelf in self.shelves.values()}
        self.revision = 0
        self.log: deque[Commit] = deque(maxlen=physics.CHANGES_KEPT)
        self.listeners: list[Callable[[Commit], None]] = []

    def get(self, type: type[Any], id: str) -> Any:
        return self.shelves[type].docs.get(id)

    def find(
        self, type: type[Any], where: Where, order: Sequence[str], limit: int, after: tuple[Any, ...] | None
    ) -> list[Any]:
        found = self.shelves[type].find(where, order, after)
        return list(found) if not limit else [doc for doc, _ in zip(found, range(limit), strict=False)]

    def commit(self, writes: Sequence[Write], now: float) -> list[Any]:
        """All or nothing; raises Conflict for the first write whose condition does not hold."""
        if len(writes) == 1:
            write = writes[0]
            shelf = self.shelves[_type_of(write)]
            new = _outcome(write, shelf.docs.get(_id_of(write)), shelf.kind.name, now)
            if not isinstance(write, Check):
                self._apply([(shelf, _id_of(write), new)], now)
            return [None if isinstance(write, Check) else new]
        staged: dict[tuple[type[Any], str], Any] = {}
        answers: list[Any] = []
        for write in writes:
            type, id = _type_of(write), _id_of(write)
            shelf = self.shelves[type]
            old = staged[type, id] if (type, id) in staged else shelf.docs.get(id)
            new = _outcome(write, old, shelf.kind.name, now)
            if isinstance(write, Check):
                answers.append(None)
            else:
                staged[type, id] = new
                answers.append(new)
        if staged:
            self._apply([(self.shelves[type], id, new) for (type, id), new in staged.items()], now)
        return answers

    def take(
        self,
        type: type[Any],
        where: Where,
        order: Sequence[str],
        limit: int,
        change: Change,
        now: float,
    ) -> list[Any]:
        """Claim up to ``limit`` documents, each a commit of its own."""
        shelf = self.shelves[type]
        taken = []
        for old in self.find(type, where, order, limit, None):
            new = _changed(old, change, now)
            self._apply([(shelf, old.id, new)], now)
            taken.append(new)
        return taken

    def since(self, revision: int) -> list[Commit]:
        """Every commit after that revision, or TooOld."""
        behind = self.revision - revision
        if behind > len(self.log):
            raise TooOld(f"revision {revision} is no longer kept: the oldest is {self.revision - len(self.log)}")
        return [self.log[i] for i in range(len(self.log) - behind, len(self.log))]

    def _apply(self, changes: list[tuple[Shelf, str, Any]], now: float) -> None:
        for shelf, id, new in changes:
            shelf.put(id, new)
        self.revision += 1
        commit = Commit(self.revision, now, tuple([(shelf.kind.name, id, new) for shelf, id, new in changes]))
        self.log.append(commit)
        for listener in self.listeners:
            listener(commit)


def _type_of(write: Write) -> type[Any]:
    return write.type if isinstance(write, Change | Check) else type(write.doc)


def _id_of(write: Write) -> str:
    return write.id if isinstance(write, Change | Check) else write.doc.id


def _outcome(write: Write, old: Any, kind: str, now: float) -> Any:
    """What the write makes of the document ``old`` (None: absent), or Conflict."""
    match write:
        case Insert(doc, stamp):
            if old is not None:
                raise Conflict(kind, doc.id, old)
            return _replace(doc, version=1, **_stamped(stamp, now))
        case Replace(doc, stamp):
            if old is None or old.version != doc.version:
                raise Conflict(kind, doc.id, old)
            return _replace(doc, version=doc.version + 1, **_stamped(stamp, now))
        case Change(_, id, where):
            if old is None or not holds(old, where):
                raise Conflict(kind, id, old)
            return _changed(old, write, now)
        case Delete(doc):
            if old is None or old.version != doc.version:
                raise Conflict(kind, doc.id, old)
            return None
        case Check(_, id, where):
            if (old is not None) if where is None else (old is None or not holds(old, where)):
                raise Conflict(kind, id, old)
            return old


def _changed(old: Any, change: Change, now: float) -> Any:
    flat = dict(change.set)
    flat.update(_stamped(change.stamp, now))
    for path, by in change.add.items():
        flat[path] = _at(old, path) + by
    if any("." in path for path in flat):
        new = old
        for path, value in flat.items():
            new = _with(new, path.split("."), value)
        return _replace(new, version=old.version + 1)
    return _replace(old, version=old.version + 1, **flat)


def _stamped(stamp: Mapping[str, float], now: float) -> dict[str, float]:
    return {field: now + plus for field, plus in stamp.items()} if stamp else {}


def _at(thing: Any, path: str) -> Any:
    for name in path.split("."):
        thing = thing[name] if isinstance(thing, dict) else getattr(thing, name)
    return thing


def _with(thing: Any, path: list[str], value: Any) -> Any:
    """The thing with the value at the end of the path; what lies beside the path is shared, not copied."""
    name, *rest = path
    if isinstance(thing, dict):
        return {**thing, name: _with(thing[name], rest, value) if rest else value}
    return _replace(thing, **{name: _with(getattr(thing, name), rest, value) if rest else value})
