"""What the oracle says when a promise was broken: which, where, and the events that led there."""

from __future__ import annotations


class Violation(BaseException):
    """Passes through every ``except Exception`` of the code under test, and ends the world."""

    def __init__(self, invariant: str, what: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(invariant, what, keys)
        self.invariant, self.what, self.keys = invariant, what, keys

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"
