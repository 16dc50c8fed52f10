"""One line of the benchmark's table."""

from __future__ import annotations

from typing import Literal

import msgspec


class Row(msgspec.Struct, frozen=True):
    id: str  # "P1"
    what: str
    measured: float
    unit: str
    goal: float | None  # None: reported, not judged
    better: Literal["more", "less"]
    due: bool = True  # a goal that is due later is measured, and told, and fails nothing

    @property
    def ok(self) -> bool:
        """Is the goal met, if there is one?"""
        if self.goal is None:
            return True
        return self.measured >= self.goal if self.better == "more" else self.measured <= self.goal
