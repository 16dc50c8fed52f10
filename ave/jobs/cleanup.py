"""Clean-up: Jobs, their tasks, alarms and idempotency keys are forgotten after their retention."""

from __future__ import annotations

from typing import Any

from ave.jobs.verb import Found, Split, TaskKind, Verb
from ave.model.alarm import Alarm
from ave.model.cluster import Key
from ave.model.work import ENDED, Step, Work
from ave.operations import OPERATIONS, JobType, Nothing
from ave.ports.store import Below, Conflict, Delete, In
from ave.ports.together import Ports

CLEAN_UP = "jobs.clean-up"
HOUR, DAY = 3600.0, 86400.0
JOB_SECONDS = {JobType.RESOURCE: 7 * DAY, JobType.ONE_TIME: 7 * DAY, JobType.SCHEDULED: HOUR}
KEY_SECONDS = DAY
ALARM_SECONDS = 30 * DAY
AT_ONCE = 200  # documents per look: a transaction that stays small
LOOKS_MAX = 500  # per run: what is left is the next run's


async def clean_up(ports: Ports, task: Work) -> None:
    now = await ports.store.now()
    for state in ENDED:
        await _forget_work(ports, state, now)
    await _forget(ports, Key, "made", now - KEY_SECONDS)
    await _forget(ports, Alarm, "raised", now - ALARM_SECONDS)


async def _forget_work(ports: Ports, state: Any, now: float) -> None:
    """Oldest first. A task is kept for as long as its Job would be."""
    after: tuple[Any, ...] | None = None
    for _ in range(LOOKS_MAX):
        where = {"state": state, "finished": Below(now - min(JOB_SECONDS.values()))}
        items = await ports.store.find(Work, where, ("finished",), AT_ONCE, after)
        if not items:
            return
        after = (items[-1].finished, items[-1].id)
        ids = dict.fromkeys(item.job for item in items)
        jobs = {job.id: job for job in await ports.store.find(Work, {"id": In(tuple(ids))})}
        await _delete(ports, [item for item in items if _forgotten(item, jobs.get(item.job), now)])


def _forgotten(item: Work, job: Work | None, now: float) -> bool:
    if job is None:
        return True
    operation = OPERATIONS.get(job.operation)
    keep = JOB_SECONDS[operation.type] if operation is not None else max(JOB_SECONDS.values())
    return job.state in ENDED and job.finished < now - keep


async def _forget(ports: Ports, type: type[Any], field: str, before: float) -> None:
    for _ in range(LOOKS_MAX):
        items = await ports.store.find(type, {field: Below(before)}, (field,), AT_ONCE)
        if not items:
            return
        await _delete(ports, items)


async def _delete(ports: Ports, items: list[Any]) -> None:
    if not items:
        return
    try:
        await ports.store.commit(*(Delete(item) for item in items))
    except Conflict:
        pass  # somebody else cleans up too


def _split(request: Nothing, found: Found) -> Split:
    return Split(steps={CLEAN_UP: Step(function=CLEAN_UP)})


CLEAN_UP_VERB = Verb(
    operation=CLEAN_UP,
    resources=lambda request: (),
    split=_split,
    tasks={CLEAN_UP: TaskKind(function=clean_up, seconds=600.0, tries=1)},
)
