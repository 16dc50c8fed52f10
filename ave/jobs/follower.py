"""A Follower task: one function, done at least once, and its end folded into the Job."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ave.errors import NoFit, Refused, Stale, Unavailable, UnknownOutcome
from ave.jobs.alarms import poison
from ave.jobs.crew import Crew
from ave.jobs.ends import Ends
from ave.jobs.verb import TaskKind
from ave.model.states import move
from ave.model.work import ENDED, Result, Work, WorkState
from ave.ports.store import Conflict
from ave.ports.together import Ports
from ave.runtime import Cancelled

FIRST_PAUSE_SECONDS = 0.5  # doubled after every try, with jitter …
LONGEST_PAUSE_SECONDS = 60.0  # … up to this
RETRY_SECONDS = 2.0
WHY_MAX = 1000  # characters of a reason: it is kept for every step that fails with this one

_Attempt = tuple[str, int]  # a task's id, and which attempt it is


class Follower:
    def __init__(self, ports: Ports, crew: Crew, kinds: Mapping[str, TaskKind]) -> None:
        self._ports, self._kinds = ports, kinds
        self._ends = Ends(ports, crew)
        self._at_work: dict[_Attempt, None] = {}  # those whose function runs now
        self._stopped: dict[_Attempt, None] = {}

    async def follow(self, task: Work) -> None:
        """Perform the task and record how it ended. Raises Stale if it was given to somebody else meanwhile."""
        if task.function not in self._kinds:
            await self.give_up(task, f"{self._ports.host} does not know how to do {task.function}")
            return
        await self._record(task, await self._perform(task))

    async def give_up(self, task: Work, why: str) -> None:
        """Fail a task that nobody can perform, so that it blocks nobody, and have somebody look at it."""
        await self._record(task, _failed(task, why), f"task {task.id} ({task.function}) was given up: {why}")

    def stop(self, task: Work) -> bool:
        """Its Job is cancelled: may whoever executes it be cancelled now?"""
        kind = self._kinds.get(task.function)
        attempt = _attempt(task)
        if kind is None or not kind.stoppable or attempt not in self._at_work or attempt in self._stopped:
            return False
        self._stopped[attempt] = None
        return True

    async def _perform(self, task: Work) -> Work:
        attempt = _attempt(task)
        self._at_work[attempt] = None
        try:
            return await self._try(task, self._kinds[task.function])
        except Cancelled:
            if attempt not in self._stopped:
                raise
            return _stopped(task)
        finally:
            self._at_work.pop(attempt, None)
            self._stopped.pop(attempt, None)

    async def _try(self, task: Work, kind: TaskKind) -> Work:
        why = ""
        for number in range(kind.tries):
            try:
                if kind.stoppable and await self._unwanted(task):
                    return _stopped(task)
                async with self._ports.runtime.timeout(kind.seconds):
                    facts = await kind.function(self._ports, task)
                return move(task, WorkState.DONE, "did it", facts=facts or {}, handler="")
            except (Refused, NoFit) as refusal:
                return _failed(task, str(refusal))
            except Stale as stale:  # what it works on is somebody else's; if the task is too, recording it will tell
                return _failed(task, f"somebody else has taken this over: {stale}")
            except TimeoutError:
                return _failed(task, f"{task.function} did not end within {kind.seconds:g} s")
            except (Unavailable, UnknownOutcome, Conflict) as trouble:
                why = f"{type(trouble).__name__}: {trouble}"
                self._ports.runtime.log("task retries", task=task.id, attempt=number + 1, why=why)
                await self._store_is_back(task)
            if number + 1 < kind.tries:
                await self._pause(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**number))
        return _failed(task, why)

    async def _store_is_back(self, task: Work) -> None:
        """A store that answers nobody is no failure of this task: it waits. Raises Stale if the task was given to somebody
        else meanwhile."""
        while True:
            try:
                now = await self._ports.store.get(Work, task.id)
            except Unavailable:
                await self._pause(RETRY_SECONDS)
                continue
            if now is None or (now.state, now.handler, now.attempt) != (task.state, task.handler, task.attempt):
                raise Stale(task.id)
            return

    async def _unwanted(self, task: Work) -> bool:
        """Was its Job cancelled between the claim and now, when nobody listened for it?"""
        now = await self._ports.store.get(Work, task.id)
        return now is not None and now.stop

    async def _record(self, task: Work, ended: Work, alarm: str = "") -> None:
        """Until the store has it. Raises Stale."""
        while True:
            try:
                also = [await poison(self._ports.store, task, alarm)] if alarm else []
                await self._ends.record(ended, *also)
                return
            except Refused as refusal:
                bare = msgspec.structs.replace(task, arguments={})
                failed = _failed(bare, f"what it found out cannot be stored: {refusal}")
                if failed == ended:
                    raise
                ended = failed
            except Unavailable:
                await self._pause(RETRY_SECONDS)
            except UnknownOutcome:
                now = await self._recorded(task)
                if now.state in ENDED:
                    return  # a sweep will fold it if nobody has
            except Conflict as conflict:
                now = conflict.found
                if conflict.id != task.id:
                    await self._pause(FIRST_PAUSE_SECONDS)
                    continue
                if now is None or (now.state, now.handler, now.attempt) != (task.state, task.handler, task.attempt):
                    raise Stale(task.id) from conflict
                # Still ours: its user wants it stopped, and it has ended by itself.
                ended = msgspec.structs.replace(ended, version=now.version, stop=now.stop)
                task = now

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


def _attempt(task: Work) -> _Attempt:
    return task.id, task.attempt


def _stopped(task: Work) -> Work:
    why = "stopped: its Job was cancelled"
    return move(task, WorkState.CANCELLED, why, results={task.step: Result(False, why)}, handler="")


def _failed(task: Work, why: str) -> Work:
    why = why[:WHY_MAX]
    return move(task, WorkState.FAILED, why, results={task.step: Result(False, why)}, handler="")
