"""One primary's time in office, and the writes that it has applied and its majority has not."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from itertools import takewhile
from typing import Any

from ave.ports.store import Conflict
from drivers.sim.ledger import Ledger
from drivers.sim.streams import SimWatch

Act = Callable[[Ledger, float], Any]  # (what it is done to, store time) -> the answer, or Conflict


class State(Enum):
    LEADS = "leads"  # with a majority
    ALONE = "alone"  # cut off from the majority, and not aware of it yet
    OVER = "over"


class Entry:
    """A write in a primary's log that is not committed."""

    __slots__ = ("act", "answer", "arrived", "at", "conflict", "over", "work")

    def __init__(self, act: Act, at: float, arrived: float, work: float) -> None:
        self.act, self.at, self.arrived, self.work = act, at, arrived, work
        self.over = False
        self.answer: Any = None
        self.conflict: Conflict | None = None

    def again(self) -> Entry:
        """The same write, to be tried out on a copy."""
        return Entry(self.act, self.at, self.arrived, self.work)

    def settle(self, ledger: Ledger) -> None:
        """Do it, now that a majority has it."""
        try:
            self.answer = self.act(ledger, self.at)
        except Conflict as conflict:
            self.conflict = conflict
        self.over = True


class Reign:
    """``known``: what it knows to be committed; its own copy once it is alone. ``lost_at``: when its majority left it.

    ``share``: drawn at that moment; a write whose way to the majority was done to more than this share is in the next
    primary's log too, and survives.
    """

    def __init__(self, host: str, term: int, known: Ledger) -> None:
        self.host, self.term, self.known = host, term, known
        self.state = State.LEADS
        self.lost_at = 0.0
        self.share = 0.0
        self.tail: list[Entry] = []
        self.watches: dict[SimWatch, None] = {}  # that hear nothing, while it is alone
        self._applied: Ledger | None = None

    def append(self, entry: Entry) -> None:
        self.tail.append(entry)
        self._applied = None

    def answer_at_once(self, entry: Entry) -> Any:
        """Apply it here and say what came of it, whether or not a majority will ever have it."""
        if self._applied is None:
            self._applied = self.known.copied()
            for earlier in self.tail:
                earlier.again().settle(self._applied)
        answer = entry.act(self._applied, entry.at)
        self.tail.append(entry)
        return answer

    def settle(self, entries: list[Entry], ledger: Ledger) -> None:
        """These are committed, in this order; the rest of the tail never will be."""
        self.tail, self._applied = [], None
        for entry in entries:
            entry.settle(ledger)

    def survivors(self, successor: str) -> list[Entry]:
        """What the next primary has of the tail: all, if it is the same host; else the front of the log, as far as it
        had been sent."""
        tail = sorted(self.tail, key=lambda entry: entry.arrived)
        if successor == self.host:
            return tail
        return list(takewhile(lambda entry: self.lost_at - entry.arrived > self.share * entry.work, tail))

    def rolled_back(self, survivors: list[Entry]) -> list[tuple[str, str]]:
        """Kind and id of what the other writes of the tail had changed here."""
        changed: list[tuple[str, str]] = []
        copy = self.known.copied()
        for entry in self.tail:
            copy.listeners = (
                [] if entry in survivors else [lambda c: changed.extend(change[:2] for change in c.changes)]
            )
            entry.again().settle(copy)
        return changed
