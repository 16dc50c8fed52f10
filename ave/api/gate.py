"""The gate: who is it? A token becomes a caller, or nothing."""

from __future__ import annotations

from typing import Protocol

from ave.model.access import ROOT, Caller


class Gate(Protocol):
    async def caller(self, token: str) -> Caller:
        """Whoever has that token; "": none was sent. Raises Unauthenticated, TooMany."""
        ...


class Open:
    """Everybody is root: for clusters that exist in this process alone, and are reached from this machine alone."""

    async def caller(self, token: str) -> Caller:
        return ROOT
