"""The Job Center Worker of one host: claims what is in its lanes and executes it, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ave.errors import Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import UNITS_PER_HOST, Crew
from ave.jobs.follower import Follower
from ave.jobs.handover import HandOvers
from ave.jobs.leader import Leader
from ave.jobs.verb import TaskKind, Verb
from ave.model.cluster import Handler
from ave.model.states import may_move, move
from ave.model.work import LEAD, TASK, URGENT_BELOW, Work, WorkState
from ave.ports.store import Below, Change, Commit, Conflict, In, Insert, Replace, TooOld
from ave.ports.together import Ports
from ave.runtime import Task
from ave.sync import together

BEAT_SECONDS = 5.0
SILENT_SECONDS = 2 * BEAT_SECONDS
POLL_SECONDS = 600.0  # the net below the watch; a broken watch polls by itself
RETRY_SECONDS = 2.0
CLAIM_MAX = 16  # items per claim: one round trip, and a fair share for the other hosts of a role
RESERVED_UNITS = 20  # of a host's execution units, for rescues and for stopping VMs alone
ATTEMPTS_MAX = 5  # claims after which work that ends its worker, or shows a bug, is given up
_CLAIM = may_move(TASK, WorkState.READY, WorkState.RUNNING)
_CLAIMED = {"assigned": 0.0, "modified": 0.0}


class Worker:
    def __init__(
        self,
        ports: Ports,
        crew: Crew,
        verbs: Mapping[str, Verb],
        kinds: Mapping[str, TaskKind],
        roles: Callable[[], tuple[str, ...]],
        all_roles: tuple[str, ...],
    ) -> None:
        self._ports = ports
        self._leader = Leader(ports, crew, verbs)
        self._follower = Follower(ports, crew, kinds)
        self._hand_overs = HandOvers(ports, crew)
        self._roles, self._all_roles = roles, all_roles
        self._free = UNITS_PER_HOST
        self._wake = ports.runtime.signal()
        self._mine: dict[str, Task[None] | None] = {}  # what is being executed here
        self._left = False  # did the last look leave work that had no unit?
        self._unsure = False  # did a claim's answer get lost?
        self._beat_at = float("-inf")  # the last one that the store confirmed
        self.uuid = ""

    def wake(self) -> None:
        """Something may have become claimable here (a role was gained, say)."""
        self._wake.set()

    async def run(self) -> None:
        self.uuid = f"{self._ports.host}-{int(self._ports.runtime.random.random() * 2**48):012x}"
        await self._register()
        services = {
            "beat": self._beat(),
            "listen": self._listen(),
            "claim": self._claim_for_ever(),
            "hand over": self._hand_overs.run(),
        }
        await together(self._ports.runtime, services)

    # Being there

    async def _register(self) -> None:
        """A new uuid, so that everyone sees that what an older start had claimed has no worker any more."""
        store, host = self._ports.store, self._ports.host
        while True:
            try:
                known = await store.get(Handler, host)
                if known is None:
                    await store.commit(Insert(Handler(id=host, uuid=self.uuid)))
                elif known.uuid != self.uuid:
                    await store.commit(
                        Replace(msgspec.structs.replace(known, uuid=self.uuid, beat=known.beat + 1, busy=0))
                    )
                return
            except (Conflict, UnknownOutcome):
                continue
            except Unavailable:
                await self._ports.runtime.sleep(RETRY_SECONDS)

    async def _beat(self) -> None:
        runtime = self._ports.runtime
        await runtime.sleep(BEAT_SECONDS * runtime.random.random())
        while True:
            try:
                await self._beat_once()
            except (Unavailable, UnknownOutcome):
                pass  # the next beat is the retry
            await runtime.sleep(BEAT_SECONDS)

    async def _beat_once(self) -> None:
        busy = UNITS_PER_HOST - self._free
        beat = Change(Handler, self._ports.host, {"uuid": self.uuid}, {"busy": busy}, {"beat": 1})
        await self._ports.store.commit(beat)
        self._beat_at = self._ports.runtime.now()

    # Hearing of work

    async def _listen(self) -> None:
        """Turn commits in this worker's lanes into wake-ups."""
        runtime, store = self._ports.runtime, self._ports.store
        lanes = In((self._ports.host, *self._all_roles))
        since: int | None = None
        while True:
            try:
                watch = await store.watch((Work,), since, {"lane": lanes})
                self._wake.set()  # whatever was missed is found by looking
                try:
                    if since is None:
                        await self._hand_overs.look()
                    while True:
                        self._hear(await watch.next())
                finally:
                    since = watch.revision
                    watch.close()
            except Unavailable:
                await runtime.sleep(RETRY_SECONDS * (0.5 + runtime.random.random()))
            except TooOld:
                since = None

    def _hear(self, commit: Commit) -> None:
        for _, id, work in commit.changes:
            if work is None:
                continue
            if work.state is WorkState.READY:
                self._wake.set()
            executing = self._mine.get(id)
            if work.stop and executing is not None and work.handler == self.uuid and self._follower.stop(work):
                executing.cancel()
            self._hand_overs.hear(work)

    # Claiming

    async def _claim_for_ever(self) -> None:
        runtime = self._ports.runtime
        while True:
            try:
                async with runtime.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            while await self._claim():
                pass

    async def _claim(self) -> bool:
        """Claim what fits into the free units and start it; is there perhaps more that fits?"""
        ordinary = self._free - RESERVED_UNITS
        wanted = min(CLAIM_MAX, ordinary if ordinary > 0 else self._free)
        self._left = ordinary <= 0
        if not wanted:
            return False
        try:
            if self._ports.runtime.now() - self._beat_at > SILENT_SECONDS:
                # Who was silent says that it is back, before it takes what others would take from it.
                await self._beat_once()
            looked_back = self._unsure
            items = await (self._recover_claim(wanted) if looked_back else self._take(wanted, urgent=ordinary <= 0))
        except Unavailable:
            await self._ports.runtime.sleep(RETRY_SECONDS)
            return True
        except UnknownOutcome:
            self._unsure = True
            return True
        for item in items:
            self._free -= 1
            self._mine[item.id] = None
            self._mine[item.id] = self._ports.runtime.spawn(self._execute(item), name=item.id)
        return len(items) == wanted or looked_back

    async def _take(self, wanted: int, *, urgent: bool) -> list[Work]:
        where = {"lane": In((self._ports.host, *self._roles())), "state": WorkState.READY}
        if urgent:
            where["rank"] = Below(URGENT_BELOW)
        return await self._ports.store.take(
            Work,
            where,
            ("rank",),
            set={**_CLAIM, "handler": self.uuid},
            add={"attempt": 1},
            stamp=_CLAIMED,
            limit=wanted,
        )

    async def _recover_claim(self, wanted: int) -> list[Work]:
        """A claim whose answer was lost belongs to a live handler, so only that handler can find it."""
        held = await self._ports.store.find(Work, {"handler": self.uuid, "state": WorkState.RUNNING})
        lost = [item for item in held if item.id not in self._mine]
        self._unsure = len(lost) > wanted
        return lost[:wanted]

    # Executing

    async def _execute(self, item: Work) -> None:
        try:
            if item.attempt > ATTEMPTS_MAX:
                await self._give_up(item, f"it was begun {ATTEMPTS_MAX} times, and its worker was lost each time")
            else:
                await self._perform(item)
        except Stale:
            self._ports.runtime.log("work is stale", work=item.id)
        except Exception as bug:
            await self._stumble(item, bug)
        finally:
            self._mine.pop(item.id, None)
            self._free += 1
            if self._left:
                self._wake.set()

    async def _perform(self, item: Work) -> None:
        if item.function == LEAD:
            await self._lead(item)
        else:
            await self._follower.follow(item)

    async def _lead(self, job: Work) -> None:
        while True:
            try:
                await self._leader.lead(job)
                return
            except (Unavailable, UnknownOutcome, Conflict):
                await self._pause(RETRY_SECONDS)
                job = await self._again(job)

    async def _again(self, item: Work) -> Work:
        """The item as it is now, if it still is ours. Raises Stale."""
        while True:
            try:
                return await self._leader.again(item)
            except Unavailable:
                await self._pause(RETRY_SECONDS)

    async def _give_up(self, item: Work, why: str) -> None:
        while True:
            try:
                if item.function == LEAD:
                    await self._leader.give_up(item, why)
                else:
                    await self._follower.give_up(item, why)
                return
            except (Unavailable, UnknownOutcome, Conflict):
                await self._pause(RETRY_SECONDS)
                item = await self._again(item)

    async def _stumble(self, item: Work, bug: Exception) -> None:
        """An error that nobody expected is a bug, and not a reason to take everybody else's work down with this worker:
        the item goes back, and after a few attempts it is given up with an alarm."""
        why = f"{type(bug).__name__}: {bug}"
        self._ports.runtime.log("work stumbles", work=item.id, attempt=item.attempt, why=why)
        try:
            await self._pause(RETRY_SECONDS * item.attempt)
            item = await self._again(item)
            if item.attempt >= ATTEMPTS_MAX:
                await self._give_up(item, why)
            else:
                again = move(item, WorkState.READY, why, handler="")
                await self._ports.store.commit(Replace(again, {"modified": 0.0}))
        except (Stale, Conflict):
            return
        except (Unavailable, UnknownOutcome):
            self._unsure = True  # it is ours as long as nobody says otherwise: claim it again
            self._wake.set()

    async def _pause(self, seconds: float) -> None:
        runtime = self._ports.runtime
        await runtime.sleep(seconds * (0.5 + runtime.random.random()))
