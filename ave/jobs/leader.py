"""The Leader task: once to begin a Job (lock, split, submit), once to end it (result, release, next in queue).

Everything it changes is one commit, so a Leader that dies leaves either nothing or all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ave.errors import Refused, Stale, UnknownOutcome
from ave.jobs import dag, locks
from ave.jobs.crew import Crew
from ave.jobs.verb import Split, Verb
from ave.model.cluster import JobQueue, Lock
from ave.model.states import move
from ave.model.vm import VM
from ave.model.work import ENDED, OnConflict, Plan, Result, Work, WorkState
from ave.operations import OPERATIONS
from ave.ports.store import Change, Check, Conflict, In, Insert, Replace, Write
from ave.ports.together import Ports

TRIES = 20  # conflicts in a row before a Job gives its turn back


class Leader:
    def __init__(self, ports: Ports, crew: Crew, verbs: Mapping[str, Verb]) -> None:
        self._ports, self._crew, self._verbs = ports, crew, verbs

    async def lead(self, job: Work) -> None:
        """Carry the Job one phase on. Raises Stale, Unavailable."""
        for _ in range(TRIES):
            try:
                if job.plan is None:
                    await self._begin(job)
                else:
                    await self._end(job, job.plan.results)
                return
            except (Conflict, UnknownOutcome):
                job = await self.again(job)
        await self._ports.store.commit(Replace(move(job, WorkState.READY, "too many conflicts in a row")))

    async def again(self, job: Work) -> Work:
        """The Job as it is now, if it still is ours to lead."""
        now = await self._ports.store.get(Work, job.id)
        if now is None or now.state is not WorkState.RUNNING or now.handler != job.handler:
            raise Stale(job.id)
        return now

    async def _begin(self, job: Work) -> None:
        verb = self._verbs[job.operation]
        names: tuple[str, ...] = ()
        try:
            request = msgspec.convert(job.arguments, OPERATIONS[job.operation].request, strict=False)
            names = verb.resources(request)
            if len(dict.fromkeys(names)) != len(names):
                raise Refused("a resource is named twice")
            await self._split(job, verb, request, names)
        except (Refused, msgspec.ValidationError) as refusal:
            held = await locks.read(self._ports.store, _lock_names(verb, names))
            passed_on = await locks.pass_on(self._ports.store, held, job.id)
            await self._end(job, {"request": Result(False, str(refusal))}, passed_on)

    async def _split(self, job: Work, verb: Verb, request: Any, names: tuple[str, ...]) -> None:
        store = self._ports.store
        docs = {doc.id: doc for doc in await store.find(verb.kind, {"id": In(names)})}
        found: dict[str, Any] = {name: docs.get(name) for name in names}
        for type, name in verb.also(request):
            found[name] = await store.get(type, name)
        held = await locks.read(store, _lock_names(verb, names))
        taken = locks.held_by_others(held, job.id)
        skipped: dict[str, Result] = {}
        if taken:
            if job.on_conflict is OnConflict.QUEUE:
                await self._park(job, held[next(iter(taken))])
                return
            skipped = {name.partition("/")[2]: Result(False, f"{name} is locked by {by}") for name, by in taken.items()}
            if job.on_conflict is OnConflict.FAIL:
                await self._end(job, skipped)
                return
        free = {name: lock for name, lock in held.items() if name not in taken}
        split = verb.split(request, {name: doc for name, doc in found.items() if name not in skipped})
        checks: list[Write] = [_unmoved(verb.kind, name, docs.get(name)) for name in names if name not in skipped]
        await self._submit(job, split, free, checks, skipped)

    async def _submit(
        self, job: Work, split: Split, free: Mapping[str, Lock], checks: list[Write], skipped: dict[str, Result]
    ) -> None:
        results = {**split.results, **skipped}
        if not split.steps:
            passed_on = await locks.pass_on(self._ports.store, free, job.id)
            await self._end(job, results, [*checks, *split.writes, *passed_on])
            return
        lock_writes, tokens = locks.take(free, job.id)
        plan = dag.plan(split.steps, results, tokens)
        plan, tasks = await next_tasks(job, plan, self._crew)
        begun = move(job, WorkState.WAITING, f"split into {plan.total} tasks", plan=plan, handler="")
        await self._ports.store.commit(Replace(begun), *lock_writes, *checks, *split.writes, *tasks)
        self._ports.runtime.log("job begins", job=job.id, tasks=plan.total)

    async def _park(self, job: Work, lock: Lock) -> None:
        why = f"waiting for Job {lock.job}, which holds {lock.id}"
        parked = move(job, WorkState.QUEUED, why, waits=lock.id, handler="")
        await self._ports.store.commit(Replace(parked), locks.wait_for(lock, job.id))
        self._ports.runtime.log("job waits", job=job.id, lock=lock.id, holder=lock.job)

    async def _end(self, job: Work, results: Mapping[str, Result], also: list[Write] | None = None) -> None:
        """The result, the locks and the Job Queue's next, in one commit."""
        store = self._ports.store
        failed = {name: result.why for name, result in results.items() if not result.ok}
        state = WorkState.FAILED if failed else WorkState.DONE
        why = next(iter(failed.values())) if failed else "every task succeeded"
        ended = move(job, state, why, results=dict(results), handler="")
        writes: list[Write] = [Replace(ended, {"finished": 0.0}), *(also or ())]
        if job.plan is not None:
            writes += await locks.release(store, job.id)
            if failed:
                writes += await self._unreserve(job.plan, failed)
        if job.flag:
            writes += await self._next_in_queue(job)
        await store.commit(*writes)
        self._ports.runtime.log("job ends", job=job.id, state=str(state), failed=len(failed), why=why)

    async def _unreserve(self, plan: Plan, failed: Mapping[str, str]) -> list[Write]:
        """Give back the room that failed tasks left reserved."""
        vms = await self._ports.store.find(VM, {"id": In(tuple(failed))})
        return [Change(VM, vm.id, {"version": vm.version}, {"reserved": ""}) for vm in vms if vm.reserved]

    async def _next_in_queue(self, job: Work) -> list[Write]:
        store = self._ports.store
        queue = await store.get(JobQueue, job.flag)
        if queue is None or queue.running != job.id:
            return []
        waiting = await store.find(Work, {"flag": job.flag, "state": WorkState.QUEUED}, ("turn",), 1)
        next = [Replace(move(w, WorkState.READY, f"its turn in queue {job.flag}")) for w in waiting]
        running = waiting[0].id if waiting else ""
        return [Replace(msgspec.structs.replace(queue, running=running)), *next]


async def next_tasks(job: Work, plan: Plan, crew: Crew) -> tuple[Plan, list[Write]]:
    """The plan with its ready steps submitted, and the inserts that submit them."""
    names = dag.ready(plan)
    tasks: list[Write] = []
    for name in names:
        step = plan.steps[name]
        lane, bound = await crew.lane(step, plan.facts)
        task = Work(
            id=f"{job.id}/{name}",
            job=job.id,
            step=name,
            function=step.function,
            lane=lane,
            bound=bound,
            operation=job.operation,
            arguments=step.arguments,
            resource=step.resource,
            tokens=plan.tokens,
            rank=job.rank,
        )
        tasks.append(Insert(task, {"submitted": 0.0}))
    return msgspec.structs.replace(plan, submitted=(*plan.submitted, *names)), tasks


async def fold(ports: Ports, crew: Crew, job_id: str) -> None:
    """Take every ended task out of the Job's plan, submit what became ready, and hand an empty plan back to the Leader.

    Anyone may do this, at any time: a task that was folded before changes nothing.
    """
    for _ in range(TRIES):
        job = await ports.store.get(Work, job_id)
        if job is None or job.plan is None or job.state is not WorkState.WAITING:
            return
        tasks = await ports.store.find(Work, {"id": In(tuple(f"{job_id}/{step}" for step in job.plan.submitted))})
        ended = [task for task in tasks if task.state in ENDED]
        if not ended:
            return
        try:
            await ports.store.commit(*await folding(job, job.plan, ended, crew))
            return
        except (Conflict, UnknownOutcome):
            continue


async def folding(job: Work, plan: Plan, ended: list[Work], crew: Crew) -> list[Write]:
    """The writes that fold these ended tasks into the Job."""
    folded, tasks = await next_tasks(job, dag.fold(plan, ended), crew)
    if folded.steps:
        return [Replace(msgspec.structs.replace(job, plan=folded)), *tasks]
    return [Replace(move(job, WorkState.READY, "its last task ended", plan=folded))]


def _lock_names(verb: Verb, resources: tuple[str, ...]) -> list[str]:
    """What the locks of these resources are called: vm/web-1 for the VM web-1."""
    return [f"{verb.kind.__name__.lower()}/{name}" for name in resources]


def _unmoved(type: type[Any], name: str, doc: Any) -> Check:
    return Check(type, name, None if doc is None else {"version": doc.version})
