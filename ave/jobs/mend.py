"""What stands still although nothing holds it: a fold, a wake-up or a turn that somebody owed and died before giving.

Each rule looks at documents alone and repairs by the same commits that should have been made, so it may be applied by anyone
at any time. The masters apply them at every sweep to what has not moved since the last one; the scheduled Job Recovery
applies them, and the ones that read more, to everything.
"""

from __future__ import annotations

from ave.errors import Unavailable, UnknownOutcome
from ave.jobs import locks, queue
from ave.jobs.crew import Crew
from ave.jobs.folding import MODIFIED, fold
from ave.jobs.verb import Found, Split, TaskKind, Verb
from ave.model.cluster import Lock
from ave.model.states import move
from ave.model.work import ENDED, Step, Work, WorkState
from ave.operations import Nothing
from ave.ports.store import Above, Conflict, Replace
from ave.ports.together import Ports

RECOVER = "jobs.recover"


class Mender:
    def __init__(self, ports: Ports, crew: Crew) -> None:
        self._ports, self._crew = ports, crew
        self._seen: dict[str, int] = {}  # work -> version at the last sweep

    async def sweep(self) -> None:
        """Mend what has not moved since the last sweep."""
        seen: dict[str, int] = {}
        for work in await standing(self._ports):
            seen[work.id] = work.version
            if self._seen.get(work.id) == work.version:
                await _mend(self._ports, self._crew, work)
        self._seen = seen


async def standing(ports: Ports) -> list[Work]:
    """What waits for somebody else."""
    waiting = await ports.store.find(Work, {"state": WorkState.WAITING})
    return waiting + await ports.store.find(Work, {"state": WorkState.QUEUED})


async def recover(ports: Ports, task: Work) -> None:
    """The whole look, once a minute."""
    crew = Crew(ports)
    for work in await standing(ports):
        await _mend(ports, crew, work)
    for lock in await ports.store.find(Lock, {"job": Above("")}, ("job",)):
        await _free(ports, lock)


async def _mend(ports: Ports, crew: Crew, work: Work) -> None:
    try:
        if work.state is WorkState.WAITING:
            await fold(ports, crew, work.id)
        elif work.waits:
            lock = await ports.store.get(Lock, work.waits)
            if lock is None or not lock.job:
                await ports.store.commit(
                    Replace(move(work, WorkState.READY, f"{work.waits} is free", waits=""), MODIFIED)
                )
        elif work.flag and (writes := await queue.mend(ports.store, work)):
            await ports.store.commit(*writes)
    except (Conflict, Unavailable, UnknownOutcome):
        pass  # it moved by itself, or the next sweep is the retry
    except Exception as bug:  # in one Job: no reason to leave the others, or to take this process down
        ports.runtime.log("work is beyond mending", work=work.id, why=f"{type(bug).__name__}: {bug}")


async def _free(ports: Ports, lock: Lock) -> None:
    """A lock whose Job has ended. No path of ours leaves one: locks are freed in the commit that ends their Job."""
    job = await ports.store.get(Work, lock.job)
    if job is not None and job.state not in ENDED:
        return
    try:
        await ports.store.commit(*await locks.release(ports.store, lock.job))
    except (Conflict, UnknownOutcome):
        return  # somebody else frees it, or the next run looks again
    ports.runtime.log("lock without a Job is freed", lock=lock.id, job=lock.job)


def _split(request: Nothing, found: Found) -> Split:
    return Split(steps={RECOVER: Step(function=RECOVER)})


RECOVER_VERB = Verb(
    operation=RECOVER,
    resources=lambda request: (),
    split=_split,
    tasks={RECOVER: TaskKind(function=recover, seconds=60.0, tries=1)},
)
