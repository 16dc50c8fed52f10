"""Clocks. A host's wall clock is not among them: nothing in the control plane reads one. Store time is the store's."""

from __future__ import annotations

from collections.abc import Sequence

from sim.cluster import SimCluster
from sim.faults.fault import Fault, lasting
from sim.scenario.catalogue import FaultKind, Parameter


def _drift(cluster: SimCluster, host: str, rate: float | None) -> None:
    cluster.machines[host].clock.drift(rate or 1.0)


def _furthest(rates: Sequence[float]) -> float:
    return max(rates, key=lambda rate: abs(rate - 1.0))


ROWS = (
    Fault(
        kind=FaultKind(
            "clock-drift",
            "the host's monotonic clock ticks at this rate",
            "host",
            (Parameter("rate", "ratio", 1.001, 0.999, 1.001, "its seconds per true second"),),
            True,
        ),
        covers=("F37",),
        begin=lasting("rate", lambda given: float(given["rate"]), _drift, worst=_furthest),
    ),
)
