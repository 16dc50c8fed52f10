"""What a majority of the store's members agree on: documents, revisions, and the log of commits. No time, no network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from ave.ports.store import Change, Check, Commit, Kind, TooOld, Where, Write
from drivers.sim import physics
from drivers.sim.shelf import Shelf
from drivers.writes import changed, outcome, target


class Ledger:
    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.shelves = {kind.type: Shelf(kind) for kind in kinds}
        self.shelves_by_name = {shelf.kind.name: shelf for shelf in self.shelves.values()}
        self.revision = 0
        self.log: deque[Commit] = deque(maxlen=physics.CHANGES_KEPT)
        self.listeners: list[Callable[[Commit], None]] = []
        self.writes: Sequence[Write] = ()  # of the commit that listeners are told of: what it was conditional on

    def copied(self) -> Ledger:
        """The same documents at the same revision, with a log and listeners of its own, which are empty."""
        copy = Ledger(())
        copy.shelves = {type: shelf.copied() for type, shelf in self.shelves.items()}
        copy.shelves_by_name = {shelf.name: shelf for shelf in copy.shelves.values()}
        copy.revision = self.revision
        return copy

    def repeat(self, commit: Commit) -> None:
        """Apply what was committed elsewhere, as the next revision."""
        for kind, id, doc in commit.changes:
            self.shelves_by_name[kind].put(id, doc)
        self.revision = commit.revision

    def get(self, type: type[Any], id: str) -> Any:
        return self.shelves[type].docs.get(id)

    def all(self, type: type[Any]) -> list[Any]:
        """Every document of that kind, as they came."""
        return list(self.shelves[type].docs.values())

    def find(
        self, type: type[Any], where: Where, order: Sequence[str], limit: int, after: tuple[Any, ...] | None
    ) -> list[Any]:
        found = self.shelves[type].find(where, order, after)
        return list(islice(found, limit)) if limit else list(found)

    def commit(self, writes: Sequence[Write], now: float) -> list[Any]:
        """All or nothing; raises Conflict for the first write whose condition does not hold."""
        self.writes = writes
        if len(writes) == 1:
            write = writes[0]
            shelf, id = self._target(write)
            new = outcome(write, shelf.docs.get(id), shelf.name, now)
            if type(write) is Check:
                return [None]
            self._apply([(shelf, id, new)], now)
            return [new]
        staged: dict[tuple[str, str], tuple[Shelf, str, Any]] = {}
        answers: list[Any] = []
        for write in writes:
            shelf, id = self._target(write)
            key = shelf.name, id
            old = staged[key][2] if key in staged else shelf.docs.get(id)
            new = outcome(write, old, shelf.name, now)
            if type(write) is Check:
                answers.append(None)
            else:
                staged[key] = shelf, id, new
                answers.append(new)
        if staged:
            self._apply(list(staged.values()), now)
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
        self.writes = ()
        taken = []
        for old in self.find(type, where, order, limit, None):
            new = changed(old, change, now)
            self._apply([(shelf, old.id, new)], now)
            taken.append(new)
        return taken

    def since(self, revision: int) -> list[Commit]:
        """Every commit after that revision, or TooOld."""
        behind = self.revision - revision
        if behind > len(self.log):
            raise TooOld(f"revision {revision} is no longer kept: the oldest is {self.revision - len(self.log)}")
        return [self.log[i] for i in range(len(self.log) - behind, len(self.log))]

    def _target(self, write: Write) -> tuple[Shelf, str]:
        type, id = target(write)
        return self.shelves[type], id

    def _apply(self, changes: Sequence[tuple[Shelf, str, Any]], now: float) -> None:
        for shelf, id, new in changes:
            shelf.put(id, new)
        self.revision += 1
        commit = Commit(self.revision, now, tuple([(shelf.name, id, new) for shelf, id, new in changes]))
        self.log.append(commit)
        for listener in self.listeners:
            listener(commit)
