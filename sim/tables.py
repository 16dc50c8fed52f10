"""The catalogue a scenario is checked against: every table of the simulator, brought together."""

from __future__ import annotations

from sim.actions import ACTIONS
from sim.faults import FAULTS
from sim.invariants import TABLE
from sim.metrics import METRICS
from sim.profiles import PROFILES
from sim.scenario.catalogue import Catalogue

CAPACITY_METRICS = {
    "capacity.placed": "count",
    "capacity.refused": "count",
    "capacity.refused_ratio": "ratio",
    "capacity.cpu.peak": "ratio",
    "capacity.memory.peak": "ratio",
    "capacity.empty_hosts.min": "count",
}

CATALOGUE = Catalogue(
    faults=tuple(fault.kind for fault in FAULTS.values()),
    actions=tuple(action.kind for action in ACTIONS.values()),
    metrics={"cluster": METRICS, "capacity": CAPACITY_METRICS},
    invariants={invariant.id: invariant.phrase for invariant in TABLE},
    profiles=tuple(PROFILES),
)
