"""Job Queues: Jobs of one flag run strictly one after the other, in the order of the commits that submitted them."""

from __future__ import annotations

import msgspec

from ave.errors import Refused
from ave.model.cluster import JobQueue
from ave.model.states import born, move
from ave.model.work import ENDED, Work, WorkState
from ave.ports.store import Insert, Replace, Store, Write

LENGTH_MAX = 10_000  # Jobs of one flag that have not ended


async def enter(store: Store, job: Work, stamp: dict[str, float]) -> list[Write]:
    """The writes that submit the Job at the end of its queue."""
    known = await store.get(JobQueue, job.flag)
    queue = known or JobQueue(id=job.flag)
    if queue.length >= LENGTH_MAX:
        raise Refused(f"{LENGTH_MAX} Jobs wait in the Job Queue {job.flag}: try again later")
    first = not queue.running
    turn = queue.last + 1
    entry = msgspec.structs.replace(job if first else born(job, WorkState.QUEUED), turn=turn)
    running = job.id if first else queue.running
    longer = msgspec.structs.replace(queue, running=running, last=turn, length=queue.length + 1)
    return [Insert(longer) if known is None else Replace(longer), Insert(entry, stamp)]


async def leave(store: Store, job: Work) -> list[Write]:
    """The writes for a Job that ends: if it was its turn, the next one's."""
    queue = await store.get(JobQueue, job.flag) if job.flag else None
    if queue is None:
        return []
    shorter = msgspec.structs.replace(queue, length=max(0, queue.length - 1))
    if queue.running != job.id:
        return [Replace(shorter)]
    return await _turn(store, shorter, job)


async def mend(store: Store, job: Work) -> list[Write]:
    """The writes that give a Job its turn, if it is first and the one whose turn it was has ended."""
    queue = await store.get(JobQueue, job.flag)
    if queue is None:
        return []
    running = await store.get(Work, queue.running) if queue.running else None
    if running is not None and running.state not in ENDED:
        return []
    return await _turn(store, queue, None)


async def _turn(store: Store, queue: JobQueue, leaves: Work | None) -> list[Write]:
    waiting = [
        job
        for job in await store.find(Work, {"flag": queue.id, "state": WorkState.QUEUED}, ("turn",), 2)
        if leaves is None or job.id != leaves.id
    ][:1]
    running = waiting[0].id if waiting else ""
    turn = msgspec.structs.replace(queue, running=running)
    return [Replace(turn), *(Replace(move(job, WorkState.READY, f"its turn in {queue.id}")) for job in waiting)]
