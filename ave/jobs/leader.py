"""The Leader task: once to begin a Job (lock, split, submit), once to end it (result, release, next in queue).

Everything it changes is one commit, so a Leader that dies leaves either nothing or all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ave.errors import Refused, Stale, UnknownOutcome
from ave.jobs import dag, locks, quota
from ave.jobs.alarms import poison
from ave.jobs.crew import Crew
from ave.jobs.folding import FINISHED, MODIFIED, next_tasks
from ave.jobs.queue import leave
from ave.jobs.release import unreserve
from ave.jobs.verb import Found, Resource, Split, Verb
from ave.model.cluster import Lock, lock_name
from ave.model.states import move
from ave.model.work import OnConflict, Result, Work, WorkState
from ave.operations import OPERATIONS
from ave.ports.store import Check, Conflict, In, Insert, Replace, Write
from ave.ports.together import Ports

TRIES = 20  # conflicts in a row before a Job gives its turn back …
FIRST_PAUSE_SECONDS = 0.005  # … with a pause after each, doubled up to …
LONGEST_PAUSE_SECONDS = 0.64
BEGUN = {"started": 0.0, "modified": 0.0}


class Leader:
    def __init__(self, ports: Ports, crew: Crew, verbs: Mapping[str, Verb]) -> None:
        self._ports, self._crew, self._verbs = ports, crew, verbs

    async def lead(self, job: Work) -> None:
        """Carry the Job one phase on. Raises Stale, Unavailable."""
        for number in range(TRIES):
            try:
                if job.plan is None:
                    await self._begin(job)
                else:
                    await self._end(job, job.plan.results)
                return
            except (Conflict, UnknownOutcome):
                await self._pause(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**number))
                job = await self.again(job)
        given_back = move(job, WorkState.READY, "too many conflicts in a row", handler="")
        await self._ports.store.commit(Replace(given_back, MODIFIED))

    async def again(self, job: Work) -> Work:
        """The Job as it is now, if it still is ours to lead."""
        now = await self._ports.store.get(Work, job.id)
        if (
            now is None
            or now.state is not WorkState.RUNNING
            or (now.handler, now.attempt) != (job.handler, job.attempt)
        ):
            raise Stale(job.id)
        return now

    async def give_up(self, job: Work, why: str) -> None:
        """End a Job that nobody can lead, so that it blocks nobody, and have somebody look at it."""
        alarm = await poison(self._ports.store, job, f"Job {job.id} ({job.operation}) was given up: {why}")
        results = job.plan.results if job.plan is not None else {}
        try:
            await self._end(job, {**results, "request": Result(False, why)}, [alarm])
        except Refused:  # even its end is too large to be stored
            await self._end(job, {"request": Result(False, why)}, [alarm])

    async def _begin(self, job: Work) -> None:
        verb = self._verbs.get(job.operation)
        if verb is None or job.operation not in OPERATIONS:
            await self.give_up(job, f"{self._ports.host} does not know the operation {job.operation}")
            return
        try:
            request = msgspec.convert(job.arguments, OPERATIONS[job.operation].request, strict=False)
        except msgspec.ValidationError as error:
            await self.give_up(job, f"its arguments are not those of {job.operation}: {error}")
            return
        resources: tuple[Resource, ...] = ()
        try:
            resources = verb.resources(request)
            if job.stop:
                raise Refused(dag.CANCELLED.why)
            if len(dict.fromkeys(resources)) != len(resources):
                raise Refused("a resource is named twice")
            await self._split(job, verb, request, resources)
        except Refused as refusal:
            held = await locks.read(self._ports.store, _names(resources))
            passed_on = await locks.pass_on(self._ports.store, held, job.id)
            await self._end(job, {"request": Result(False, str(refusal))}, passed_on)

    async def _split(self, job: Work, verb: Verb, request: Any, resources: Sequence[Resource]) -> None:
        store = self._ports.store
        docs = await self._read(resources)
        held = await locks.read(store, _names(resources))
        taken = locks.held_by_others(held, job.id)
        skipped: dict[str, Result] = {}
        if taken:
            if job.on_conflict is OnConflict.QUEUE:
                await self._park(job, held[next(iter(taken))], held)
                return
            skipped = {name.partition("/")[2]: Result(False, f"{name} is locked by {by}") for name, by in taken.items()}
            if job.on_conflict is OnConflict.FAIL:
                await self._end(job, skipped)
                return
        free = {name: lock for name, lock in held.items() if name not in taken}
        mine = {resource: doc for resource, doc in docs.items() if lock_name(*resource) not in taken}
        others = {(type, id): await store.get(type, id) for type, id in verb.also(request)}
        others |= {(kind, doc.id): doc for kind in verb.whole(request) for doc in await store.find(kind)}
        split = verb.split(request, Found({**mine, **others}))
        await self._submit(job, split, free, mine, skipped)

    async def _read(self, resources: Sequence[Resource]) -> dict[Resource, Any]:
        """The documents, kind by kind; in the order in which they were named."""
        docs: dict[Resource, Any] = dict.fromkeys(resources)
        for kind in dict.fromkeys(type for type, _ in resources):
            ids = tuple(id for type, id in resources if type is kind)
            docs |= {(kind, doc.id): doc for doc in await self._ports.store.find(kind, {"id": In(ids)})}
        return docs

    async def _submit(
        self,
        job: Work,
        split: Split,
        free: Mapping[str, Lock],
        mine: Mapping[Resource, Any],
        skipped: dict[str, Result],
    ) -> None:
        lock_writes, tokens = locks.take(free, job.id)
        writes = [owned(write, job.tenant) for write in split.writes]
        checks: list[Write] = [_unmoved(type, id, doc) for (type, id), doc in mine.items()]
        checks += await quota.room(self._ports.store, quota.growth(writes, mine))
        results = {**split.results, **skipped}
        plan = dag.plan(split.steps, results, tokens, split.groups, split.groups_need, split.pace)
        plan, tasks = await next_tasks(job, plan, self._crew)
        if not plan.steps:
            passed_on = await locks.pass_on(self._ports.store, free, job.id)
            await self._end(job, plan.results, [*checks, *writes, *passed_on])
            return
        begun = move(job, WorkState.WAITING, f"split into {plan.total} tasks", plan=plan, handler="", attempt=0)
        await self._ports.store.commit(Replace(begun, BEGUN), *lock_writes, *checks, *writes, *tasks)
        self._ports.runtime.log("job begins", job=job.id, tasks=plan.total)

    async def _park(self, job: Work, lock: Lock, held: Mapping[str, Lock]) -> None:
        """Wait behind the holder of this lock; those that are free are for who is next."""
        why = f"waiting for Job {lock.job}, which holds {lock.id}"
        parked = move(job, WorkState.QUEUED, why, waits=lock.id, handler="", attempt=0)
        passed_on = await locks.pass_on(self._ports.store, held, job.id)
        await self._ports.store.commit(Replace(parked, MODIFIED), locks.wait_for(lock, job.id), *passed_on)
        self._ports.runtime.log("job waits", job=job.id, lock=lock.id, holder=lock.job)

    async def _end(self, job: Work, results: Mapping[str, Result], also: Sequence[Write] = ()) -> None:
        """The result, the locks and the Job Queue's next, in one commit."""
        store = self._ports.store
        failed = {name: result.why for name, result in results.items() if not result.ok}
        state = WorkState.DONE if not failed else WorkState.CANCELLED if job.stop else WorkState.FAILED
        why = next(iter(failed.values())) if failed else "every task succeeded"
        ended = move(job, state, why, results=dict(results), handler="")
        if job.plan is not None:  # once is enough: the plan was as large as a document may be, perhaps
            ended = msgspec.structs.replace(ended, plan=msgspec.structs.replace(job.plan, results={}))
        writes: list[Write] = [Replace(ended, FINISHED), *also]
        if job.plan is not None:
            writes += await locks.release(store, job.id)
            writes += await unreserve(store, msgspec.structs.replace(job.plan, results=dict(results)), results)
        writes += await leave(store, job)
        await store.commit(*writes)
        self._ports.runtime.log("job ends", job=job.id, state=str(state), failed=len(failed), why=why)

    async def _pause(self, seconds: float) -> None:
        runtime = self._ports.runtime
        await runtime.sleep(seconds * (0.5 + runtime.random.random()))


def _names(resources: Sequence[Resource]) -> list[str]:
    return [lock_name(type, id) for type, id in resources]


def _unmoved(type: type[Any], name: str, doc: Any) -> Check:
    return Check(type, name, None if doc is None else {"version": doc.version})


def owned(write: Write, tenant: str) -> Write:
    """What a Job makes belongs to its tenant."""
    if not isinstance(write, Insert) or getattr(write.doc, "tenant", tenant) == tenant:
        return write
    return msgspec.structs.replace(write, doc=msgspec.structs.replace(write.doc, tenant=tenant))
