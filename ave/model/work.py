"""Jobs and tasks: one kind of work item, because one queue and one claim serve both.

A Job is the work item whose function is ``lead``: its Leader task runs once to split it and once to close it. Its
Follower tasks are work items of their own, submitted as the Job's DAG allows. A resource group of a Job is a work item
too: it is executed by nobody and only carries a DAG.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from ave.model.access import DEFAULT_TENANT
from ave.model.states import Table

LEAD = "lead"
GROUP = "group"


class WorkState(StrEnum):
    QUEUED = "queued"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


W = WorkState
ENDED = (W.DONE, W.FAILED, W.CANCELLED)
OPEN = tuple(state for state in W if state not in ENDED)
JOB = Table(
    noun="Job",
    start=(W.QUEUED, W.READY),
    phrases={
        W.QUEUED: "waits for its turn in its Job Queue, or for a lock",
        W.READY: "waits for a worker to lead it",
        W.RUNNING: "its Leader task is being executed",
        W.WAITING: "its Follower tasks are at work",
        W.DONE: "every task of it succeeded",
        W.FAILED: "at least one task of it failed",
        W.CANCELLED: "was withdrawn; what had begun was ended or undone",
    },
    moves={
        W.QUEUED: (W.READY, W.CANCELLED),
        W.READY: (W.RUNNING, W.CANCELLED),
        W.RUNNING: (W.WAITING, W.QUEUED, W.READY, W.DONE, W.FAILED, W.CANCELLED),
        W.WAITING: (W.READY,),
        W.DONE: (),
        W.FAILED: (),
        W.CANCELLED: (),
    },
)
TASK = Table(
    noun="task",
    start=(W.READY,),
    phrases={
        W.READY: "waits for a worker of its host or role",
        W.RUNNING: "a worker executes it",
        W.DONE: "its effect is in place",
        W.FAILED: "gave up; its dependants are failed with it",
        W.CANCELLED: "was withdrawn before it began, or stopped",
    },
    moves={
        W.READY: (W.RUNNING, W.FAILED, W.CANCELLED),
        W.RUNNING: (W.READY, W.DONE, W.FAILED, W.CANCELLED),
        W.DONE: (),
        W.FAILED: (),
        W.CANCELLED: (),
    },
)


GROUPS = Table(
    noun="resource group",
    start=(W.WAITING,),
    phrases={
        W.WAITING: "its Follower tasks are at work",
        W.DONE: "every task of it succeeded",
        W.FAILED: "at least one task of it failed",
        W.CANCELLED: "was withdrawn with its Job",
    },
    moves={W.WAITING: (W.DONE, W.FAILED, W.CANCELLED), W.DONE: (), W.FAILED: (), W.CANCELLED: ()},
)


class Urgency(StrEnum):
    """What goes before what. The first two are let into the reserved execution units of every host."""

    RESCUE = "rescue"
    STOP = "stop"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


# Work is claimed by rank, lowest first: the store's time at submission plus this. A high one goes before what was submitted
# in the hour before it and a low one after what is submitted in the hour after it, so that nothing waits for ever.
RANK_SECONDS = {
    Urgency.RESCUE: -2e12,
    Urgency.STOP: -1e12,
    Urgency.HIGH: -3600.0,
    Urgency.NORMAL: 0.0,
    Urgency.LOW: 3600.0,
}
URGENT_BELOW = -5e11


class OnConflict(StrEnum):
    """What a Job does when one of its resources is locked by another."""

    QUEUE = "queue"  # waits behind the holder
    FAIL = "fail"  # fails at once and names the holder
    SKIP = "skip"  # leaves that resource out and does the rest


class Fact(msgspec.Struct, frozen=True):
    """What an earlier task found out for a later one: a host, or why there is none."""

    host: str = ""
    refusal: str = ""
    note: str = ""  # what whoever asked should know of this resource, though all is done


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A Follower task to come: one function, where it must run, and which steps must have succeeded before."""

    function: str
    resource: str = ""  # the id of the VM or volume whose result it counts for
    host: str = ""  # bound to this host …
    role: str = ""  # … or to whoever holds this role …
    fact: str = ""  # … or to the host that an earlier step found; none of the three: any idle host
    arguments: dict[str, Any] = {}
    needs: tuple[str, ...] = ()  # names of steps
    heritable: bool = False  # bound to a host, it waits for that; once the host is judged dead, any other does it
    undo: str = ""  # the function that takes back what it may have done, should it fail or be stopped
    owed: bool = False  # the undo is owed even if it never begins: the commit that began its Job has begun its work
    order: int = 0  # in a paced plan: while a step of a lower order waits for its turn, this one does


class Pace(msgspec.Struct, frozen=True):
    """How many steps that go where a fact says may be under way at once."""

    total: int
    each: int  # of these, on one host


class Result(msgspec.Struct, frozen=True):
    """How the Job ended for one resource."""

    ok: bool
    why: str = ""
    left: bool = False  # what was done and should be undone may still be there


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a Job's DAG that is not over, and what is known so far."""

    steps: dict[str, Step]  # by name; a step leaves when its task ends
    submitted: tuple[str, ...]  # those whose tasks exist
    facts: dict[str, Fact] = {}
    results: dict[str, Result] = {}
    tokens: dict[str, int] = {}
    total: int = 0  # steps there were, those of groups too
    ended: int = 0  # of those, how many are over
    groups: dict[str, dict[str, Step]] = {}  # steps of the groups that have not begun
    pace: Pace | None = None

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.ended / self.total if self.total else 1.0


class Work(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    job: str  # the Job's id; of a Job its own
    parent: str = ""  # the Job or group in whose plan this is a step
    function: str
    lane: str  # the host or role whose workers may claim it
    bound: bool = False  # only that host can do it: it fails with its host instead of moving to another
    heritable: bool = False  # it waits for its host, until that is judged dead: then any other does it
    state: WorkState = WorkState.READY
    story: tuple[str, ...] = ()
    rank: float = 0.0  # order within the lane: lower first
    handler: str = ""  # the worker start that claimed it
    attempt: int = 0  # how often it was claimed; of a Job, in this phase of its life
    stop: bool = False  # its user cancels it
    arguments: dict[str, Any] = {}
    operation: str = ""  # Jobs only, as all below: what the user asked for
    flag: str = ""  # the Job Queue it belongs to …
    turn: int = 0  # … and its place in it
    waits: str = ""  # the lock it waits for
    on_conflict: OnConflict = OnConflict.QUEUE
    plan: Plan | None = None
    facts: dict[str, Fact] = {}
    results: dict[str, Result] = {}
    resource: str = ""  # a task's resource
    step: str = ""  # a task's name within its Job
    user: str = ""  # who asked for it; "": the cluster itself
    tenant: str = DEFAULT_TENANT  # to which belongs what the Job makes
    tokens: dict[str, int] = {}
    submitted: float = 0.0  # store time, for people and retention, as all below
    assigned: float = 0.0
    started: float = 0.0
    modified: float = 0.0
    finished: float = 0.0

    @property
    def table(self) -> Table:
        return _TABLES.get(self.function, TASK)


_TABLES = {LEAD: JOB, GROUP: GROUPS}
