"""Threshold expressions: ``ha.recovery_time.p99 < 120s``, a metric, an operator and a value in the metric's unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sim.scenario import units
from sim.scenario.problem import quote
from sim.scenario.reader import WRONG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.reader import Reader

_EXPR = re.compile(r"\s*([^\s<>=!]+)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")
_READERS = {"seconds": units.seconds, "ratio": units.ratio, "bytes": units.size}


def check_thresholds(reader: Reader, thresholds: list[Any], metrics: Mapping[str, str]) -> None:
    """``metrics``: those of the scenario's mode, by unit."""
    for index, threshold in enumerate(thresholds):
        if threshold is WRONG or threshold["expr"] is WRONG:
            continue
        path = f"spec.thresholds[{index}].expr"
        try:
            metric, _, value = split(threshold["expr"])
            if metric not in metrics:
                # A threshold on a metric nobody measures would pass for ever.
                reader.unknown(path, "metric", metric, tuple(metrics))
            else:
                value_in(metrics[metric], value)
        except ValueError as error:
            reader.report(path, f"{error}, not {quote(threshold['expr'])}")


def split(expr: str) -> tuple[str, str, str]:
    """Metric, operator and value as they are written. Raises ValueError."""
    if found := _EXPR.fullmatch(expr):
        return found[1], found[2], found[3]
    raise ValueError('must be a metric, one of < <= > >= == !=, and a value, such as "ha.recovery_time.p99 < 120s"')


def value_in(unit: str, text: str) -> float:
    """The value in the metric's unit. Raises ValueError."""
    return _READERS.get(unit, units.number)(text)
