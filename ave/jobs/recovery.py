"""Job Recovery: what a lost worker leaves behind is found by sweeping, and given to somebody who lives.

Every master host sweeps, so one healthy one is enough; sweeping twice changes nothing. A handler is gone when its worker
start was replaced by a newer one, or when its beat stood still for a whole lease under this sweeper's own eyes.
"""

from __future__ import annotations

import msgspec

from ave.errors import Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.folding import FINISHED, fold
from ave.jobs.mend import Mender
from ave.jobs.queue import leave
from ave.model.cluster import Handler
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.work import LEAD, Result, Work, WorkState
from ave.operations import OPERATIONS, JobType
from ave.ports.store import Check, Conflict, Replace, Write
from ave.ports.together import Ports

SWEEP_SECONDS = 7.0
LEASE_SECONDS = 30.0
GAP_SECONDS = 1.5 * SWEEP_SECONDS
INHERITED_SECONDS = 300.0  # the longest that work waits for its host to answer or to be judged dead
UNCLAIMED_SECONDS = 300.0  # after so long in the lane of a host that has no worker, a task is in the wrong lane


class Recovery:
    def __init__(self, ports: Ports, crew: Crew, roles: tuple[str, ...] = ()) -> None:
        self._ports, self._crew, self._roles = ports, crew, roles
        self._mender = Mender(ports, crew)
        self._beats: dict[str, tuple[str, int, float]] = {}  # host -> uuid, beat, since when on our clock
        self._last = float("-inf")

    async def run(self) -> None:
        runtime = self._ports.runtime
        await runtime.sleep(SWEEP_SECONDS * runtime.random.random())
        while True:
            try:
                await self.sweep()
            except (Unavailable, UnknownOutcome):
                pass  # the next sweep is the retry
            await runtime.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        handlers = {handler.id: handler for handler in await self._ports.store.find(Handler)}
        alive = self._alive(handlers)
        for item in await self._ports.store.find(Work, {"state": WorkState.RUNNING}):
            if item.handler not in alive:
                await self._each(item, handlers, alive)
        for item in await self._ports.store.find(Work, {"state": WorkState.READY}):
            if item.lane not in self._roles and (item.lane not in handlers or handlers[item.lane].uuid not in alive):
                await self._each(item, handlers, alive)
        await self._mender.sweep()

    async def _each(self, item: Work, handlers: dict[str, Handler], alive: dict[str, None]) -> None:
        """One item that cannot be dealt with now is no reason to leave the others."""
        try:
            if item.state is WorkState.READY and item.lane not in handlers:
                await self._give_up_waiting(item)
            else:
                await self._give_away(item, handlers, alive)
        except (Conflict, Stale):
            pass  # it moved by itself
        except (Unavailable, UnknownOutcome):
            raise
        except Exception as bug:
            self._ports.runtime.log("work is beyond mending", work=item.id, why=f"{type(bug).__name__}: {bug}")

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
        if item.state is WorkState.RUNNING and not repeatable(item):
            await self._fail(item, "its worker is gone, and scheduled work is not repeated", *guard)
            return
        changed = item if item.state is WorkState.READY else _again(item, "its worker is gone")
        if guard and item.bound and item.heritable:
            await self._bequeath(item, changed, *guard)
            return
        if guard and item.bound:
            await self._fail(item, f"{item.lane} does not answer", *guard)
            return
        if guard:
            lane = await self._idle_host()
            if lane in ("", item.lane):
                return  # nobody is there, or the crew's picture is older than ours: next sweep
            changed = msgspec.structs.replace(changed, lane=lane)
        if changed is item:
            return
        await self._ports.store.commit(Replace(changed, {"modified": 0.0}), *guard)
        self._ports.runtime.log("work recovered", work=item.id, state=str(changed.state), lane=changed.lane)

    async def _bequeath(self, item: Work, waiting: Work, *guard: Write) -> None:
        """To anybody once its host is judged dead. Until then it waits for that host, but not for ever."""
        host = await self._ports.store.get(Host, item.lane)
        if host is None or host.state in (HostState.FENCED, HostState.RECOVERED):
            if not (lane := await self._idle_host()):
                return
            waiting = msgspec.structs.replace(waiting, lane=lane, bound=False)
        elif await self._ports.store.now() - item.submitted >= INHERITED_SECONDS:
            await self._fail(item, f"{item.lane} does not answer, and is {host.state}", *guard)
            return
        if waiting is not item:
            await self._ports.store.commit(Replace(waiting, {"modified": 0.0}), *guard)
            self._ports.runtime.log("work recovered", work=item.id, state=str(waiting.state), lane=waiting.lane)

    async def _give_up_waiting(self, item: Work) -> None:
        """For a worker that never came."""
        if await self._ports.store.now() - item.submitted < UNCLAIMED_SECONDS:
            return
        if item.bound:
            await self._fail(item, f"{item.lane} has no worker")
        else:
            lane = await self._idle_host()
            if not lane:
                return
            await self._ports.store.commit(Replace(msgspec.structs.replace(item, lane=lane), {"modified": 0.0}))

    async def _idle_host(self) -> str:
        """A host for work that any could do; "": none is online, which is no reason to leave what can be mended."""
        try:
            return await self._crew.pick()
        except Unavailable:
            return ""

    async def _fail(self, item: Work, why: str, *guard: Write) -> None:
        step = "request" if item.function == LEAD else item.step
        failed = move(item, WorkState.FAILED, why, results={step: Result(False, why)}, handler="")
        also = await leave(self._ports.store, item) if item.function == LEAD else []
        await self._ports.store.commit(Replace(failed, FINISHED), *guard, *also)
        self._ports.runtime.log("work recovered", work=item.id, state=str(failed.state), lane=item.lane)
        if item.parent:
            await fold(self._ports, self._crew, item.parent)


def _again(item: Work, why: str) -> Work:
    return move(item, WorkState.READY, why, handler="")


def repeatable(item: Work) -> bool:
    """A scheduled Job is not begun twice: its next cycle is the retry. To close one that has begun is no repetition."""
    operation = OPERATIONS.get(item.operation)
    return operation is None or operation.type is not JobType.SCHEDULED or item.plan is not None


assert LEASE_SECONDS > 2 * SWEEP_SECONDS, "a handler must be seen silent at least twice"
