"""What is said of a placement: types alone, so that whoever only shows them needs nothing that decides."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ave.placement.purpose import Purpose

CHOSEN: Final = "chosen"
PASSED_OVER: Final = "passed over"
TURNED_AWAY: Final = "turned away"


class Choice(msgspec.Struct, frozen=True, gc=False):  # there is one for each VM of a batch
    host: str
    score: float  # for people; the decision was made in integers
    fitting: int  # hosts that passed every filter
    rejected: dict[str, int]  # filter -> hosts it was the first to turn away
    passed_over: dict[str, int] = {}  # preference -> hosts that fit, and were passed over for it
    unpinned: bool = False  # a rescue that has to do without CPUs of its own


class Change(msgspec.Struct, frozen=True):
    """The least that would let the VM in."""

    host: str
    filters: tuple[str, ...]  # that the host fails
    words: str


class Verdict(msgspec.Struct, frozen=True):
    filter: str
    passed: bool
    says: str


class Penalty(msgspec.Struct, frozen=True):
    preference: str
    penalty: int  # lower is better
    says: str


class Score(msgspec.Struct, frozen=True):
    """Floats of the exact fractions; score = (cpu + memory) / 2, lower is better."""

    cpu: float
    memory: float
    score: float


class HostRecord(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    outcome: Literal["chosen", "passed over", "turned away"]
    by: str  # the first filter that it failed, the preference it was passed over for, "score" or "tie"
    why: str
    verdicts: tuple[Verdict, ...]
    penalties: tuple[Penalty, ...]
    score: Score
    free_mib: int
    vms: int  # on it; of equal hosts the one with fewer goes first, then the name


class Fate(msgspec.Struct, frozen=True):
    """Hosts that share a fate."""

    by: str
    hosts: int
    says: str  # "have too little free memory (…)"


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    vm: str
    vcpus: int
    memory_mib: int
    purpose: Purpose
    plan: Literal["spread", "compact"]  # the host with the lowest score, or the fullest that has room
    choice: Choice | None
    rejected: dict[str, int]
    fates: tuple[Fate, ...]  # of hosts that were turned away or passed over; the largest first
    change: Change | None  # if no host fits
    hosts: tuple[HostRecord, ...]  # the chosen one, then the next best, then those turned away by filter
