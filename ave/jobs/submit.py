"""Handing a Job to the Job Center. Once this returns, the Job is in the store and will end."""

from __future__ import annotations

from typing import Any

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.model.cluster import JobQueue
from ave.model.states import born
from ave.model.work import LEAD, OnConflict, Work, WorkState
from ave.operations import OPERATIONS
from ave.ports.store import Conflict, Insert, Replace
from ave.ports.together import Ports
from ave.runtime import Random

TRIES = 5
URGENT_SECONDS = 1e6  # high availability goes before everything that waits


def job_id(operation: str, random: Random) -> str:
    return f"{operation}-{int(random.random() * 2**48):012x}"


async def submit(
    ports: Ports,
    crew: Crew,
    operation: str,
    request: Any,
    *,
    flag: str = "",
    on_conflict: OnConflict = OnConflict.QUEUE,
    urgent: bool = False,
    lane: str = "",
    id: str = "",
) -> str:
    """Insert the Job and return its id; ``lane`` names the host that shall lead it, any idle one if empty.

    Refused for an unknown operation; Unavailable when nothing was submitted; UnknownOutcome when that cannot be told. Who
    asks again with the same ``id`` (see ``job_id``) gets the same Job, never a second one.
    """
    if operation not in OPERATIONS:
        raise Refused(f"unknown operation {operation}")
    id = id or job_id(operation, ports.runtime.random)
    job = Work(
        id=id,
        job=id,
        function=LEAD,
        lane=lane or await crew.pick(),
        operation=operation,
        arguments=msgspec.to_builtins(request),
        flag=flag,
        on_conflict=on_conflict,
    )
    stamp = {"submitted": 0.0, "rank": -URGENT_SECONDS if urgent else 0.0}
    for _ in range(TRIES):
        try:
            if flag:
                await _enqueue(ports, job, stamp)
            else:
                await ports.store.commit(Insert(job, stamp))
            return id
        except Conflict as conflict:
            if conflict.id == id:
                return id  # an earlier try of ours got through
        except UnknownOutcome as unknown:
            try:
                if await ports.store.get(Work, id) is not None:
                    return id
            except Unavailable:
                raise unknown from None
    raise Refused(f"{operation} could not be queued: too many Jobs are being submitted to {flag}")


async def _enqueue(ports: Ports, job: Work, stamp: dict[str, float]) -> None:
    """One commit on the queue and the Job: the order of commits is the order of execution."""
    queue = await ports.store.get(JobQueue, job.flag)
    first = queue is None or not queue.running
    turn = queue.last + 1 if queue is not None else 1
    entry = msgspec.structs.replace(job if first else born(job, WorkState.QUEUED), turn=turn)
    if queue is None:
        await ports.store.commit(Insert(JobQueue(id=job.flag, running=job.id, last=turn)), Insert(entry, stamp))
    else:
        running = job.id if first else queue.running
        await ports.store.commit(
            Replace(msgspec.structs.replace(queue, running=running, last=turn)), Insert(entry, stamp)
        )
