"""A Follower task: one function, done at least once, and its end folded into the Job."""

from __future__ import annotations

from collections.abc import Mapping

from ave.errors import NoFit, Refused, Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.leader import fold, folding
from ave.jobs.verb import SECONDS_PER_TASK, Function
from ave.model.states import move
from ave.model.work import ENDED, Result, Work, WorkState
from ave.ports.store import Conflict, Replace
from ave.ports.together import Ports

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5  # doubled after every attempt, with jitter
RETRY_SECONDS = 2.0


class Follower:
    def __init__(self, ports: Ports, crew: Crew, functions: Mapping[str, Function]) -> None:
        self._ports, self._crew, self._functions = ports, crew, functions

    async def follow(self, task: Work) -> None:
        """Perform the task and record how it ended. Raises Stale if it was given to somebody else meanwhile."""
        ended = await self._perform(task)
        while True:
            try:
                await self._record(task, ended)
                return
            except Unavailable:
                await self._pause(RETRY_SECONDS)
            except UnknownOutcome:
                now = await self._recorded(task)
                if now.state in ENDED:
                    return  # a sweep will fold it if nobody has

    async def _perform(self, task: Work) -> Work:
        function = self._functions[task.function]
        why = ""
        for attempt in range(ATTEMPTS):
            try:
                async with self._ports.runtime.timeout(SECONDS_PER_TASK):
                    facts = await function(self._ports, task)
                return move(task, WorkState.DONE, "did it", facts=facts or {}, handler="")
            except (Refused, NoFit) as refusal:
                why = str(refusal)
                break
            except (Unavailable, UnknownOutcome, Conflict, TimeoutError) as trouble:
                why = f"{type(trouble).__name__}: {trouble}"
                self._ports.runtime.log("task retries", task=task.id, attempt=attempt + 1, why=why)
                await self._pause(FIRST_PAUSE_SECONDS * 2**attempt)
        return move(task, WorkState.FAILED, why, results={task.step: Result(False, why)}, handler="")

    async def _record(self, task: Work, ended: Work) -> None:
        """One commit for the task and the Job when no sibling is at work; else the task alone, then a fold."""
        store = self._ports.store
        job = await store.get(Work, task.job)
        alone = job is not None and job.plan is not None and job.plan.submitted == (task.step,)
        try:
            if alone and job is not None and job.plan is not None:
                await store.commit(Replace(ended, _FINISHED), *await folding(job, job.plan, [ended], self._crew))
                return
            await store.commit(Replace(ended, _FINISHED))
        except Conflict as conflict:
            if conflict.id == task.id:
                raise Stale(task.id) from conflict
            await store.commit(Replace(ended, _FINISHED))
        await fold(self._ports, self._crew, task.job)

    async def _recorded(self, task: Work) -> Work:
        while True:
            try:
                now = await self._ports.store.get(Work, task.id)
            except Unavailable:
                await self._pause(RETRY_SECONDS)
                continue
            if now is None or (now.state is WorkState.RUNNING and now.handler != task.handler):
                raise Stale(task.id)
            return now

    async def _pause(self, seconds: float) -> None:
        runtime = self._ports.runtime
        await runtime.sleep(seconds * (0.5 + runtime.random.random()))


_FINISHED = {"finished": 0.0}
