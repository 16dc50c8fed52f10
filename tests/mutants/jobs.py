"""Bugs put into the Job Center."""

from __future__ import annotations

from typing import Any

import msgspec

import sim.user
from ave.jobs import leader, locks, mend, worker
from ave.jobs.crew import Crew
from ave.jobs.ends import Ends
from ave.jobs.folding import FINISHED, fold
from ave.jobs.follower import Follower
from ave.jobs.handover import HandOvers
from ave.jobs.leader import Leader
from ave.jobs.recovery import Recovery
from ave.jobs.submit import submit
from ave.jobs.verb import TaskKind
from ave.jobs.worker import Worker
from ave.model.states import move
from ave.model.work import Work, WorkState
from ave.ports.hypervisor import Stamp
from ave.ports.store import Change, In, Replace, Where, Write
from ave.ports.together import Ports
from drivers.sim.runtime import SimRuntime
from drivers.sim.store import EarlyStore
from sim.cluster import SimCluster
from tests.mutants.mutant import Mutant
from tests.mutants.patch import edit, swap

sound_submit = Leader._submit


async def one_by_one(
    self: Leader, job: Work, split: Any, free: dict[str, Any], mine: dict[Any, Any], skipped: dict[str, Any]
) -> None:
    if split.steps or split.groups:
        for name, lock in free.items():
            marked = locks._write(msgspec.structs.replace(lock, job=job.id))
            (free[name],) = await self._ports.store.commit(marked)
    await sound_submit(self, job, split, free, mine, skipped)


async def mend_only(self: Recovery) -> None:
    await self._mender.sweep()


async def read_then_update(self: Worker, wanted: int, whose: Where) -> list[Work]:
    store, set = self._ports.store, {"state": WorkState.RUNNING, "handler": self.uuid}
    where = {"lane": In((self._ports.host, *self._roles())), "state": WorkState.READY, **whose}
    found = await store.find(Work, where, ("rank",), wanted)
    return [(await store.commit(Change(Work, item.id, {}, set, {"attempt": 1})))[0] for item in found]


def hasty(cluster: SimCluster, host: str, runtime: SimRuntime) -> tuple[Ports, Crew]:
    """The primary that is alone acknowledges a Job, and rolls it back when it hears of its successor."""
    store = EarlyStore(cluster.store, runtime, host)
    ports = Ports(host, runtime, store, None, None, None)  # type: ignore[arg-type]
    return ports, Crew(ports)


async def fold_nothing(self: HandOvers, carrier: str) -> bool:
    return True


async def nobody(ports: Ports) -> list[Work]:
    return []


async def by_count(self: Ends, ended: Work, *also: Write) -> None:
    store = self._ports.store
    others = await store.find(Work, {"job": ended.job, "state": In((WorkState.READY, WorkState.RUNNING))})
    await store.commit(Replace(ended, FINISHED), *also)
    if not any(other.parent == ended.parent and other.id != ended.id for other in others):
        await fold(self._ports, self._crew, ended.parent)


async def whatever_it_is(self: Leader, job: Work) -> Work:
    now = await self._ports.store.get(Work, job.id)
    assert now is not None
    return now


def anywhere(thing: Work, to: WorkState, why: str, **changes: Any) -> Work:
    return msgspec.structs.replace(thing, state=to, story=(*thing.story, why), **changes)


async def forgetful(*args: Any, key: str = "", **options: Any) -> str:
    return await submit(*args, **options)


async def silent(self: Follower, task: Work, kind: TaskKind) -> Work:
    while True:
        try:
            facts = await kind.function(self._ports, task)
            return move(task, WorkState.DONE, "did it", facts=facts or {}, handler="")
        except Exception:
            await self._pause(5.0)


def planted(known: Any, job: str) -> dict[str, str]:
    raise ZeroDivisionError("planted")


ROWS = (
    Mutant(
        number=1,
        name="skips-locks",
        broken="a Job skips the locks of others",
        caught_by=("J4",),
        scenarios=("jobs/failover-during-create.yaml",),
        patches=(swap(locks, "held_by_others", lambda known, job: {}),),
    ),
    Mutant(
        number=2,
        name="locks-one-by-one",
        broken="locks are marked one by one, without undo",
        caught_by=("J5",),
        scenarios=("jobs/failover-during-create.yaml",),
        patches=(swap(Leader, "_submit", one_by_one),),
        says="of its",
    ),
    Mutant(
        number=3,
        name="nobody-sweeps",
        broken="nobody sweeps up the locks of the dead",
        caught_by=("J5",),
        scenarios=("jobs/busy-host-stalls.yaml",),
        patches=(swap(Recovery, "sweep", mend_only),),
        says="which was lost",
    ),
    Mutant(
        number=11,
        name="claim-by-read",
        broken="work is claimed by reading and then updating, so two may have it",
        caught_by=("J3",),
        scenarios=("jobs/busy-host-stalls.yaml",),
        patches=(swap(Worker, "_take", read_then_update),),
        blind=("J2",),  # it sees Jobs that run again after their end, and knows nothing of tasks
    ),
    Mutant(
        number=12,
        name="token-ignored",
        broken="whoever holds an outdated token is obeyed",
        caught_by=("J3", "J10"),
        scenarios=("jobs/busy-host-stalls.yaml",),
        patches=(swap(Stamp, "outdated_by", lambda self, newest: False),),
        says="was accepted after attempt",
    ),
    Mutant(
        number=14,
        name="early-acknowledgement",
        broken="a Job is acknowledged before a majority of the store has it (w:1)",
        caught_by=("J1",),
        scenarios=("jobs/store-stale-primary.yaml",),
        patches=(swap(SimCluster, "client", hasty),),
        says="was acknowledged and is not in the store",
    ),
    Mutant(
        number=25,
        name="last-child-by-count",
        broken="the last child is found by counting those that are not over",
        caught_by=("J6",),
        scenarios=("jobs/tight-memory.yaml",),
        patches=(swap(Ends, "record", by_count),),
        nets=(swap(HandOvers, "_fold", fold_nothing), swap(mend, "standing", nobody)),
    ),
    Mutant(
        number=26,
        name="end-not-idempotent",
        broken="a Job that has ended is ended again",
        caught_by=("J2",),
        scenarios=("jobs/queue-one-by-one.yaml",),
        patches=(swap(Leader, "again", whatever_it_is), swap(leader, "move", anywhere)),
    ),
    Mutant(
        number=31,
        name="no-idempotency-key",
        broken="a request that is repeated under its key becomes another Job",
        caught_by=("J8",),
        scenarios=("jobs/queue-one-by-one.yaml",),
        patches=(swap(sim.user, "submit", forgetful),),
    ),
    Mutant(
        number=32,
        name="no-reserved-units",
        broken="rescues share every execution unit with what users ask for",
        caught_by=("J9",),
        scenarios=("jobs/busy-host.yaml",),
        patches=(swap(worker, "_DOORS", ((0, {}),)),),
    ),
    Mutant(
        number=37,
        name="swallowed-error",
        broken="a follower swallows every error and tries for ever",
        caught_by=("J7",),
        scenarios=("jobs/queue-one-by-one.yaml",),
        patches=(swap(Follower, "_try", silent),),
        says="nothing has moved",
    ),
    Mutant(
        number=38,
        name="retries-without-limit",
        broken="a task that fails is tried again for ever, and never more patiently",
        caught_by=("J7", "H8", "J9"),
        scenarios=("jobs/hung-vm.yaml",),
        patches=(
            edit(
                Follower._try,
                {"range(kind.tries)": "range(10**9)", "FIRST_PAUSE_SECONDS * 2**number": "FIRST_PAUSE_SECONDS"},
            ),
        ),
    ),
    Mutant(
        name="unhandled-error",
        broken="an error that nobody handles",
        caught_by=("crash",),
        scenarios=("jobs/tight-memory.yaml",),
        patches=(swap(locks, "held_by_others", planted),),
        says="ZeroDivisionError: planted",
    ),
)
