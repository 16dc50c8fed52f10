"""One promise per file, each checked against the simulated world and the store's majority log, never by asking the
control plane. ``TABLE`` is all of them; a new one is one file and one line.

An invariant is a class with an ``id``, a ``phrase``, methods for the facts it listens to, and ``armed``: how often its
premise was true, because a promise that was never at stake was not tested.
"""

from __future__ import annotations

from sim.invariants.h1_rescued_in_time import RescuedInTime
from sim.invariants.h2_static_stability import StaticStability
from sim.invariants.j1_no_lost_job import NoLostJob
from sim.invariants.j2_job_states import JobStates
from sim.invariants.j4_locks import Locks
from sim.invariants.p1_placed_by_rule import PlacedByRule
from sim.invariants.p2_memory_fits import MemoryFits
from sim.invariants.s1_one_writer import OneWriter
from sim.invariants.s2_one_runner import OneRunner
from sim.invariants.s3_epochs_grow import EpochsGrow
from sim.invariants.s4_fenced_first import FencedFirst
from sim.invariants.shape import Invariant, Stage

__all__ = ["TABLE", "Invariant", "Stage"]

TABLE: tuple[type[Invariant], ...] = (
    OneWriter,
    OneRunner,
    EpochsGrow,
    FencedFirst,
    PlacedByRule,
    MemoryFits,
    NoLostJob,
    JobStates,
    Locks,
    RescuedInTime,
    StaticStability,
)
