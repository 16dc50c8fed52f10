"""Secondaries that are behind, and what a client reads from them."""

from __future__ import annotations

from collections import deque
from itertools import islice

from ave.ports.store import Commit
from drivers.sim.ledger import Ledger


class Laggards:
    """From now on members apply each commit so many seconds late. Each client is served by one that is as far behind as
    the client allows: it knows what this client has seen, and of later commits only what is old enough."""

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self.seconds = seconds
        self._ledger = ledger
        self._slowest = ledger.copied()
        self._unapplied: deque[Commit] = deque()  # by the slowest; their revisions follow on its own
        self._ahead: dict[object, Ledger] = {}  # client -> a member that had to catch up for it
        ledger.listeners.append(self._unapplied.append)

    def close(self) -> None:
        self._ledger.listeners.remove(self._unapplied.append)

    def view(self, client: object, seen: int, now: float) -> Ledger:
        slowest, unapplied = self._slowest, self._unapplied
        while unapplied and unapplied[0].at <= now - self.seconds:
            slowest.repeat(unapplied.popleft())
        if seen <= slowest.revision:
            self._ahead.pop(client, None)
            return slowest
        member = self._ahead.get(client)
        if member is None or member.revision < slowest.revision:
            member = self._ahead[client] = slowest.copied()
        for commit in list(islice(unapplied, member.revision - slowest.revision, seen - slowest.revision)):
            member.repeat(commit)
        return member
