"""One promise per file, each checked against the simulated world and the store's majority log, never by asking the
control plane. ``TABLE`` is all of them; a new one is one file and one line.

An invariant is a class with an ``id``, a ``phrase``, methods for the facts it listens to, and ``armed``: how often its
premise was true, because a promise that was never at stake was not tested.
"""

from __future__ import annotations

from sim.invariants.d1_as_wanted import AsWanted
from sim.invariants.d2_no_orphans import NoOrphans
from sim.invariants.d3_decided_on_what_holds import DecidedOnWhatHolds
from sim.invariants.d5_shown_soon import ShownSoon
from sim.invariants.d9_silence_is_no_absence import SilenceIsNoAbsence
from sim.invariants.h1_rescued_in_time import RescuedInTime
from sim.invariants.h2_static_stability import StaticStability
from sim.invariants.h3_storm_brake import StormBrake
from sim.invariants.h4_rejoins_empty import RejoinsEmpty
from sim.invariants.h5_paused_no_longer import PausedNoLonger
from sim.invariants.h6_never_given_up import NeverGivenUp
from sim.invariants.h7_flapping_hosts import FlappingHosts
from sim.invariants.h8_recovers_its_pace import RecoversItsPace
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
from sim.invariants.p5_rescues_most import RescuesMost
from sim.invariants.p6_prefer_only_ranks import PreferOnlyRanks
from sim.invariants.s1_one_writer import OneWriter
from sim.invariants.s2_one_runner import OneRunner
from sim.invariants.s3_epochs_grow import EpochsGrow
from sim.invariants.s4_fenced_first import FencedFirst
from sim.invariants.s5_acknowledged_stays import AcknowledgedStays
from sim.invariants.s10_nothing_in_use_deleted import NothingInUseDeleted
from sim.invariants.s12_attached_where_it_runs import AttachedWhereItRuns
from sim.invariants.shape import Invariant, Stage
from sim.invariants.t1_stopped_in_time import StoppedInTime

__all__ = ["TABLE", "Invariant", "Stage"]

TABLE: tuple[type[Invariant], ...] = (
    OneWriter,
    OneRunner,
    EpochsGrow,
    FencedFirst,
    StoppedInTime,
    AcknowledgedStays,
    NothingInUseDeleted,
    AttachedWhereItRuns,
    PlacedByRule,
    MemoryFits,
    PinsNotShared,
    OldTermsDecideNothing,
    RescuesMost,
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
    AsWanted,
    NoOrphans,
    DecidedOnWhatHolds,
    ShownSoon,
    SilenceIsNoAbsence,
    RescuedInTime,
    StaticStability,
    StormBrake,
    RejoinsEmpty,
    PausedNoLonger,
    NeverGivenUp,
    FlappingHosts,
    RecoversItsPace,
)
