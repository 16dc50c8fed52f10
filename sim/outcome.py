"""All there is to say about one run: the same for the same seed and commit, byte for byte. No clock, no path, no host."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import msgspec

from sim.capacity import Utilisation
from sim.expect import Met
from sim.oracle import Event
from sim.scenario.model import Threshold

PASSED, THRESHOLD, VIOLATION, INVALID, INTERRUPTED = 0, 99, 98, 2, 130  # exit codes

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class Judged(msgspec.Struct, frozen=True):
    """A threshold and what became of it."""

    expr: str
    severity: str
    value: float
    passed: bool


class Broken(msgspec.Struct, frozen=True):
    """A violation, as it is reported."""

    invariant: str
    what: str
    at: float
    slice: tuple[Event, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = 1
    name: str
    description: str
    seed: int
    mode: str
    simulated_seconds: float
    partial: bool  # interrupted: everything here is what was known by then
    passed: bool  # no violation, every failing threshold kept, every VM where it is expected, everything armed that had to be
    metrics: dict[str, float]
    thresholds: tuple[Judged, ...] = ()
    expected: tuple[Met, ...] = ()
    armed: dict[str, int] = {}
    unarmed: tuple[str, ...] = ()  # invariants that the scenario promised to put at stake and did not
    violation: Broken | None = None
    capacity: Utilisation | None = None
    skipped_rows: int = 0  # of a trace

    @property
    def exit_code(self) -> int:
        if self.violation is not None:
            return VIOLATION
        if self.partial:
            return INTERRUPTED
        return PASSED if self.passed else THRESHOLD


def judge(threshold: Threshold, metrics: Mapping[str, float]) -> Judged:
    value = metrics[threshold.metric]
    return Judged(threshold.expr, threshold.severity, value, _COMPARE[threshold.op](value, threshold.value))


def kept(judged: tuple[Judged, ...]) -> bool:
    return all(j.passed or j.severity == "warn" for j in judged)
