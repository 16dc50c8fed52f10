"""A Follower task: one function, done at least once, and its end folded into the Job."""

from __future__ import annotations

from collections.abc import Mapping

from ave.errors import NoFit, Refused, Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.ends import Ends
from ave.jobs.verb import TaskKind
from ave.model.alarm import Alarm
from ave.model.states import move
from ave.model.work import ENDED, Result, Work, WorkState
from ave.ports.store import Conflict, Insert, Write
from ave.ports.together import Ports
from ave.runtime import Cancelled

FIRST_PAUSE_SECONDS = 0.5  # doubled after every try, with jitter …
LONGEST_PAUSE_SECONDS = 60.0  # … up to this
RETRY_SECONDS = 2.0


class Follower:
    def __init__(self, ports: Ports, crew: Crew, kinds: Mapping[str, TaskKind]) -> None:
        self._ports, self._kinds = ports, kinds
        self._ends = Ends(ports, crew)
        self._at_work: dict[str, None] = {}  # tasks whose function runs now
        self._stopped: dict[str, None] = {}

    async def follow(self, task: Work) -> None:
        """Perform the task and record how it ended. Raises Stale if it was given to somebody else meanwhile."""
        await self._record(task, await self._perform(task))

    async def give_up(self, task: Work, why: str) -> None:
        """Fail a task that nobody can perform, so that it blocks nobody, and have somebody look at it."""
        alarm = Alarm(id=f"poison/{task.id}", what=f"task {task.id} ({task.function}) was given up: {why}")
        await self._record(task, _failed(task, why), Insert(alarm, {"raised": 0.0}))

    def stop(self, task: Work) -> bool:
        """Its Job is cancelled: may whoever executes it be cancelled now?"""
        kind = self._kinds.get(task.function)
        if kind is None or not kind.stoppable or task.id not in self._at_work:
            return False
        self._stopped[task.id] = None
        return True

    async def _perform(self, task: Work) -> Work:
        kind = self._kinds.get(task.function)
        if kind is None:
            return _failed(task, f"{self._ports.host} does not know how to do {task.function}")
        self._at_work[task.id] = None
        try:
            return await self._try(task, kind)
        except Cancelled:
            if task.id not in self._stopped:
                raise
            why = "stopped: its Job was cancelled"
            return move(task, WorkState.CANCELLED, why, results={task.step: Result(False, why)}, handler="")
        finally:
            self._at_work.pop(task.id, None)
            self._stopped.pop(task.id, None)

    async def _try(self, task: Work, kind: TaskKind) -> Work:
        why = ""
        for number in range(kind.tries):
            try:
                async with self._ports.runtime.timeout(kind.seconds):
                    facts = await kind.function(self._ports, task)
                return move(task, WorkState.DONE, "did it", facts=facts or {}, handler="")
            except (Refused, NoFit) as refusal:
                return _failed(task, str(refusal))
            except TimeoutError:
                return _failed(task, f"{task.function} did not end within {kind.seconds:g} s")
            except (Unavailable, UnknownOutcome, Conflict) as trouble:
                why = f"{type(trouble).__name__}: {trouble}"
                self._ports.runtime.log("task retries", task=task.id, attempt=number + 1, why=why)
            if number + 1 < kind.tries:
                await self._pause(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**number))
        return _failed(task, why)

    async def _record(self, task: Work, ended: Work, *also: Write) -> None:
        """Until the store has it. Raises Stale."""
        while True:
            try:
                await self._ends.record(ended, *also)
                return
            except Unavailable:
                await self._pause(RETRY_SECONDS)
            except UnknownOutcome:
                now = await self._recorded(task)
                if now.state in ENDED:
                    return  # a sweep will fold it if nobody has
            except Conflict as conflict:
                now = conflict.found
                if conflict.id != task.id:
                    raise
                if now is None or (now.state, now.handler, now.attempt) != (task.state, task.handler, task.attempt):
                    raise Stale(task.id) from conflict
                task = now  # still ours: its user wants it stopped, and it has ended by itself
                ended = move(task, ended.state, ended.story[-1], facts=ended.facts, results=ended.results, handler="")

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


def _failed(task: Work, why: str) -> Work:
    return move(task, WorkState.FAILED, why, results={task.step: Result(False, why)}, handler="")
