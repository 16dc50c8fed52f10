"""Clocks. A host's wall clock is not among them: nothing in the control plane reads one. Store time is the store's."""

from __future__ import annotations

from sim.faults.fault import Fault, each
from sim.scenario.catalogue import FaultKind, Parameter

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
        begin=each(lambda machine, given: machine.clock.drift(float(given["rate"]))),
        end=each(lambda machine, given: machine.clock.drift(1.0)),
    ),
)
