"""Is the host that leads fit to? What it cannot see for the whole cluster is likelier its own fault than everybody's.

A leader without the store can have nobody rescued, and one whose answers come too late lets everybody's lease end: both go
on leading, because the storage's own members are content with them. So such a host steps aside, once in a while: if the
fault is everybody's, its successors do the same, and then it leads until it may again.
"""

from __future__ import annotations

from ave.ha.verdict import Silence

UNFIT_SECONDS = 30.0  # before any lease has ended: then its successor is there in time
ASIDE_SECONDS = 300.0


class Fitness:
    """By this host's clock. Whoever begins to lead has the same time as anybody to show that it can, and so has one that was
    not looking for a while."""

    def __init__(self, host: str, gap: float) -> None:
        """``gap``: a longer pause between two looks is not watching."""
        self._host, self._gap = host, gap
        self._term = 0
        self._looked = float("-inf")
        self._began = self._answered = 0.0
        self._aside_until = float("-inf")

    def answered(self, now: float) -> None:
        """The store did what it was asked, for somebody who holds the role."""
        self._answered = now

    def aside(self, now: float) -> None:
        self._aside_until = now + ASIDE_SECONDS

    def look(self, now: float, term: int, leases: Silence) -> str:
        """Why it should step aside; empty if it should not."""
        if term != self._term or now - self._looked > self._gap:
            self._term, self._began = term, now
        self._looked = now
        if now < self._aside_until:
            return ""
        without = now - max(self._began, self._answered)
        if without >= UNFIT_SECONDS:
            return f"the store does not answer it for {without:.0f} s"
        revoked = dict.fromkeys(leases.revoked())
        silent = [host for host in leases.still(UNFIT_SECONDS) if host != self._host and host not in revoked]
        if len(silent) > 1 and len(silent) >= leases.valid - 1:
            return f"none of {len(silent)} hosts has renewed its lease for {UNFIT_SECONDS:g} s"
        return ""
