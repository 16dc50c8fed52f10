"""What is shown of a Job: a tree, without what only the Job Center needs. Of all else the documents are shown as they are."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ave.model.tenant import Tenant, Use
from ave.model.work import ENDED, GROUP, LEAD, Plan, Result, Work, WorkState
from ave.placement.explanation import Explanation


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A Follower task. ``seconds`` are of the store's clock, for people; 0: not yet."""

    id: str
    step: str  # its name within the Job
    function: str
    resource: str  # the id of what it works on
    state: WorkState
    host: str  # whose worker does it, or the role that does
    why: str  # the last line of its story
    attempt: int
    submitted: float
    started: float
    finished: float
    group: str  # the resource group in whose DAG it is, if any


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """``results`` has one entry for each thing that was asked for, once that is known."""

    id: str
    version: int
    operation: str
    state: WorkState
    why: str
    progress: float  # from 0 to 1
    host: str  # that leads it
    waits: str  # the lock it waits for
    queue: str  # the Job Queue it is in
    stop: bool  # somebody has cancelled it
    user: str  # who asked for it; "": the cluster itself
    tenant: str
    results: dict[str, Result]
    submitted: float
    started: float
    finished: float
    tasks: tuple[Task, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """``at``: seconds of the store's clock; 0: when, nobody has kept. ``step``: "" of the Job itself."""

    at: float
    step: str
    what: str


class JobLog(msgspec.Struct, frozen=True, kw_only=True):
    """Step by step, in the order in which they were submitted: what became of each, its last moves (no more are kept)."""

    items: tuple[Line, ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a VM would go: a host; or "", and why nowhere."""

    host: str = ""
    why: str = ""


class Explained(Explanation, frozen=True, kw_only=True):
    """Where a VM would go, and why; with the answer in a sentence."""

    says: str


class TenantShare(Tenant, frozen=True, kw_only=True):
    """What a tenant may have, and what it has."""

    used: Use


def is_job(work: Work) -> bool:
    return work.function == LEAD


def job(work: Work, parts: Iterable[Work] = ()) -> Job:
    """Without ``parts`` it is a line of a list. Their order is the one in which they were submitted."""
    parts = list(parts)
    tasks = [part for part in parts if part.function not in (LEAD, GROUP)]
    plan = work.plan
    return Job(
        id=work.id,
        version=work.version,
        operation=work.operation,
        state=work.state,
        why=work.story[-1] if work.story else "",
        progress=_progress(work, [part.plan for part in parts if part.function == GROUP]),
        host=work.lane,
        waits=work.waits,
        queue=work.flag,
        stop=work.stop,
        user=work.user,
        tenant=work.tenant,
        results={**(plan.results if plan is not None else {}), **work.results},
        submitted=work.submitted,
        started=work.started,
        finished=work.finished,
        tasks=tuple(task(part) for part in sorted(tasks, key=lambda part: (part.submitted, part.id))),
    )


def log(work: Work, parts: Iterable[Work]) -> JobLog:
    steps = sorted((part for part in parts if part.function != LEAD), key=lambda part: (part.submitted, part.id))
    return JobLog(items=tuple(line for each in (work, *steps) for line in _lines(each)))


def _lines(work: Work) -> Iterable[Line]:
    what = work.operation or f"{work.function} {work.resource}".rstrip()
    yield Line(at=work.submitted, step=work.step, what=f"{what}, for {work.lane}")
    last = len(work.story) - 1
    for number, what in enumerate(work.story):
        at = (work.finished or work.modified) if number == last else 0.0
        yield Line(at=at, step=work.step, what=what)


def _progress(work: Work, groups: Iterable[Plan | None]) -> float:
    if work.state in ENDED:
        return 1.0
    plans = [plan for plan in (work.plan, *groups) if plan is not None]
    total = sum(plan.total for plan in plans)
    return round(sum(plan.ended for plan in plans) / total, 4) if total else 0.0


def task(work: Work) -> Task:
    return Task(
        id=work.id,
        step=work.step,
        function=work.function,
        resource=work.resource,
        state=work.state,
        host=work.lane,
        why=work.story[-1] if work.story else "",
        attempt=work.attempt,
        submitted=work.submitted,
        started=work.started,
        finished=work.finished,
        group=work.parent if work.parent != work.job else "",
    )
