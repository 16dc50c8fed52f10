"""Job Recovery: what a lost worker leaves behind is found by sweeping, and given to somebody who lives.

Every master host sweeps, so one healthy one is enough; sweeping twice changes nothing. A handler is gone when its worker
start was replaced by a newer one, or when its beat stood still for a whole lease under this sweeper's own eyes.
"""

from __future__ import annotations

import msgspec

from ave.errors import Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.leader import fold
from ave.model.cluster import Handler, JobQueue, Lock
from ave.model.states import move
from ave.model.work import ENDED, Result, Work, WorkState
from ave.ports.store import Check, Conflict, Replace, Write
from ave.ports.together import Ports

SWEEP_SECONDS = 10.0
LEASE_SECONDS = 30.0
GAP_SECONDS = 1.5 * SWEEP_SECONDS
UNCLAIMED_SECONDS = 300.0  # after so long in the lane of a host that has no worker, a task is in the wrong lane


class Recovery:
    def __init__(self, ports: Ports, crew: Crew, roles: tuple[str, ...] = ()) -> None:
        self._ports, self._crew, self._roles = ports, crew, roles
        self._beats: dict[str, tuple[str, int, float]] = {}  # host -> uuid, beat, since when on our clock
        self._seen: dict[str, int] = {}  # work -> version at the last sweep
        self._last = float("-inf")

    async def run(self) -> None:
        runtime = self._ports.runtime
        await runtime.sleep(SWEEP_SECONDS * runtime.random.random())
        while True:
            try:
                await self.sweep()
            except (Unavailable, UnknownOutcome, Conflict, Stale):
                pass  # the next sweep is the retry
            await runtime.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        handlers = {handler.id: handler for handler in await self._ports.store.find(Handler)}
        alive = self._alive(handlers)
        for item in await self._ports.store.find(Work, {"state": WorkState.RUNNING}):
            if item.handler not in alive:
                await self._give_away(item, handlers, alive)
        for item in await self._ports.store.find(Work, {"state": WorkState.READY}):
            if item.lane in handlers and handlers[item.lane].uuid not in alive:
                await self._give_away(item, handlers, alive)
            elif item.lane not in handlers and item.lane not in self._roles:
                await self._give_up_waiting(item)
        await self._mend_stuck()

    def _alive(self, handlers: dict[str, Handler]) -> dict[str, None]:
        """The uuids of the handlers that are not known to be gone."""
        now = self._ports.runtime.now()
        if now - self._last > GAP_SECONDS:
            self._beats.clear()  # we were not watching, perhaps because nobody reached the store: silence counts from now
        self._last = now
        alive: dict[str, None] = {}
        for host, handler in handlers.items():
            uuid, beat, since = self._beats.get(host, ("", -1, now))
            if (uuid, beat) != (handler.uuid, handler.beat):
                self._beats[host] = (handler.uuid, handler.beat, now)
                since = now
            if now - since < LEASE_SECONDS:
                alive[handler.uuid] = None
        return alive

    async def _give_away(self, item: Work, handlers: dict[str, Handler], alive: dict[str, None]) -> None:
        """Resubmit the item: to the same lane if somebody is there, elsewhere if it may go, else fail it."""
        there = handlers.get(item.lane)
        guard: list[Write] = []
        if there is not None and there.uuid not in alive:
            guard = [Check(Handler, there.id, {"uuid": there.uuid, "beat": there.beat})]
        changed: Work
        if not guard:
            changed = item if item.state is WorkState.READY else _again(item, "its worker is gone")
        elif item.bound:
            await self._fail(item, f"{item.lane} does not answer", *guard)
            return
        else:
            lane = await self._crew.pick()
            if lane == item.lane:
                return  # the crew's picture is older than ours: next sweep
            changed = item if item.state is WorkState.READY else _again(item, "its worker is gone")
            changed = msgspec.structs.replace(changed, lane=lane)
        if changed is item:
            return
        await self._ports.store.commit(Replace(changed), *guard)
        self._ports.runtime.log("work recovered", work=item.id, state=str(changed.state), lane=changed.lane)

    async def _give_up_waiting(self, item: Work) -> None:
        """For a worker that never came."""
        if await self._ports.store.now() - item.submitted < UNCLAIMED_SECONDS:
            return
        if item.bound:
            await self._fail(item, f"{item.lane} has no worker")
        else:
            lane = await self._crew.pick()
            await self._ports.store.commit(Replace(msgspec.structs.replace(item, lane=lane)))

    async def _fail(self, item: Work, why: str, *guard: Write) -> None:
        failed = move(item, WorkState.FAILED, why, results={item.step: Result(False, why)}, handler="")
        await self._ports.store.commit(Replace(failed), *guard)
        self._ports.runtime.log("work recovered", work=item.id, state=str(failed.state), lane=item.lane)
        await fold(self._ports, self._crew, item.job)

    async def _mend_stuck(self) -> None:
        """Jobs that have not moved since the last sweep although nothing holds them: a hand-over that nobody completed."""
        seen: dict[str, int] = {}
        for state in (WorkState.WAITING, WorkState.QUEUED):
            for job in await self._ports.store.find(Work, {"state": state}):
                seen[job.id] = job.version
                if self._seen.get(job.id) == job.version:
                    await self._mend(job)
        self._seen = seen

    async def _mend(self, job: Work) -> None:
        store = self._ports.store
        if job.state is WorkState.WAITING:
            await fold(self._ports, self._crew, job.id)
        elif job.waits:
            lock = await store.get(Lock, job.waits)
            if lock is None or not lock.job:
                await store.commit(Replace(move(job, WorkState.READY, f"{job.waits} is free", waits="")))
        elif job.flag:
            queue = await store.get(JobQueue, job.flag)
            running = await store.get(Work, queue.running) if queue is not None and queue.running else None
            first = await store.find(Work, {"flag": job.flag, "state": WorkState.QUEUED}, ("turn",), 1)
            if queue is not None and (running is None or running.state in ENDED) and first and first[0].id == job.id:
                turn = msgspec.structs.replace(queue, running=job.id)
                await store.commit(Replace(turn), Replace(move(job, WorkState.READY, "its turn")))


def _again(item: Work, why: str) -> Work:
    return move(item, WorkState.READY, why, handler="")


assert LEASE_SECONDS > 2 * SWEEP_SECONDS, "a handler must be seen silent at least twice"
