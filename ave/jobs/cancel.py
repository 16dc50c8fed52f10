"""Cancelling a Job: what has not begun never will; what runs is stopped where that is safe, else it ends by itself; what was
stopped half way is undone. The Job then ends as cancelled, or as done if there was nothing left to cancel.
"""

from __future__ import annotations

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs import locks, queue
from ave.jobs.crew import Crew
from ave.jobs.dag import CANCELLED, UNDO
from ave.jobs.folding import FINISHED, fold
from ave.model.states import move
from ave.model.work import ENDED, GROUP, LEAD, Result, Work, WorkState
from ave.ports.store import Change, Conflict, In, Replace, Write
from ave.ports.together import Ports

TRIES = 20
_OPEN = In((WorkState.READY, WorkState.RUNNING, WorkState.WAITING))


async def cancel(ports: Ports, crew: Crew, job_id: str) -> None:
    """Returns when the wish is in the store. Cancelling twice is cancelling once; Refused when the Job has ended.

    Unavailable when nothing was changed; UnknownOutcome when that cannot be told.
    """
    unknown: UnknownOutcome | None = None
    for _ in range(TRIES):
        try:
            job = await ports.store.get(Work, job_id)
        except Unavailable:
            if unknown is not None:
                raise unknown from None
            raise
        if job is None or job.function != LEAD:
            raise Refused(f"there is no Job {job_id}")
        if job.stop:
            return
        if job.state in ENDED:
            raise Refused(f"Job {job_id} is {job.state} already")
        try:
            if job.state is WorkState.QUEUED and job.plan is None:
                await _withdraw(ports, job)
                return
            children = await _stop(ports, job)
        except Conflict:
            continue
        except UnknownOutcome as lost:
            unknown = lost
            continue
        except Unavailable:
            if unknown is not None:
                raise unknown from None
            raise
        await _fold(ports, crew, job, children)
        return
    raise Unavailable(f"Job {job_id} changes too fast to be cancelled: try again")


async def _withdraw(ports: Ports, job: Work) -> None:
    results = {"request": CANCELLED}
    withdrawn = move(job, WorkState.CANCELLED, CANCELLED.why, results=results, stop=True, waits="")
    also = await locks.leave(ports.store, job.waits, job.id) if job.waits else []
    await ports.store.commit(Replace(withdrawn, FINISHED), *also, *await queue.leave(ports.store, job))
    ports.runtime.log("job ends", job=job.id, state=str(WorkState.CANCELLED), failed=1, why=CANCELLED.why)


async def _stop(ports: Ports, job: Work) -> list[Work]:
    """The wish goes to the Job, its groups and its tasks in one commit, so that none of them misses it. What undoes is
    spared."""
    work = await ports.store.find(Work, {"job": job.id, "state": _OPEN})
    children = [each for each in work if each.id != job.id and not each.step.startswith(UNDO)]
    writes: list[Write] = [Change(Work, job.id, {"version": job.version}, {"stop": True})]
    for child in children:
        if child.state is WorkState.READY:
            why = Result(False, CANCELLED.why)
            gone = move(child, WorkState.CANCELLED, CANCELLED.why, results={child.step: why}, stop=True)
            writes.append(Replace(gone, FINISHED))
        else:
            writes.append(Change(Work, child.id, {"version": child.version}, {"stop": True}))
    await ports.store.commit(*writes)
    ports.runtime.log("job is cancelled", job=job.id, tasks=len(children))
    return children


async def _fold(ports: Ports, crew: Crew, job: Work, children: list[Work]) -> None:
    """What was waiting goes at once; if the store is away, when somebody looks after the Job."""
    try:
        for child in children:
            if child.function == GROUP:
                await fold(ports, crew, child.id)
        await fold(ports, crew, job.id)
    except Unavailable:
        return
