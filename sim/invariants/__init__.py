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
from sim.invariants.j3_effectively_once import EffectivelyOnce
from sim.invariants.j4_locks import Locks
from sim.invariants.j5_lock_life import LockLife
from sim.invariants.j6_no_lost_wakeup import NoLostWakeup
from sim.invariants.j7_every_job_ends import EveryJobEnds
from sim.invariants.j8_one_job_per_key import OneJobPerKey
from sim.invariants.j9_room_for_the_urgent import RoomForTheUrgent
from sim.invariants.j10_no_late_effect import NoLateEffect
from sim.invariants.j11_every_cycle_once import EveryCycleOnce
from sim.invariants.p1_placed_by_rule import PlacedByRule
from sim.invariants.p2_memory_fits import MemoryFits
from sim.invariants.p3_pins_not_shared import PinsNotShared
from sim.invariants.p4_old_terms_decide_nothing import OldTermsDecideNothing
from sim.invariants.p6_prefer_only_ranks import PreferOnlyRanks
from sim.invariants.s1_one_writer import OneWriter
from sim.invariants.s2_one_runner import OneRunner
from sim.invariants.s3_epochs_grow import EpochsGrow
from sim.invariants.s4_fenced_first import FencedFirst
from sim.invariants.shape import Invariant, Stage
from sim.invariants.t1_stopped_in_time import StoppedInTime

__all__ = ["TABLE", "Invariant", "Stage"]

TABLE: tuple[type[Invariant], ...] = (
    OneWriter,
    OneRunner,
    EpochsGrow,
    FencedFirst,
    StoppedInTime,
    PlacedByRule,
    MemoryFits,
    PinsNotShared,
    OldTermsDecideNothing,
    PreferOnlyRanks,
    NoLostJob,
    JobStates,
    EffectivelyOnce,
    Locks,
    LockLife,
    NoLostWakeup,
    EveryJobEnds,
    OneJobPerKey,
    RoomForTheUrgent,
    NoLateEffect,
    EveryCycleOnce,
    RescuedInTime,
    StaticStability,
)
