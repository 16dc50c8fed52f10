"""The Job Center Worker of one host: claims what is in its lanes and executes it, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ave.errors import Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import UNITS_PER_HOST, Crew
from ave.jobs.follower import Follower
from ave.jobs.leader import Leader
from ave.jobs.verb import Function, Verb
from ave.model.cluster import Handler
from ave.model.states import may_move
from ave.model.work import LEAD, TASK, Work, WorkState
from ave.ports.store import Change, Conflict, In, Insert, Replace, TooOld
from ave.ports.together import Ports
from ave.sync import Slots, together

BEAT_SECONDS = 5.0
SILENT_SECONDS = 2 * BEAT_SECONDS
POLL_SECONDS = 600.0  # the net below the watch; a broken watch polls by itself
RETRY_SECONDS = 2.0
CLAIM_MAX = 16  # items per claim: one round trip, and a fair share for the other hosts of a role
_CLAIM = may_move(TASK, WorkState.READY, WorkState.RUNNING)


class Worker:
    def __init__(
        self,
        ports: Ports,
        crew: Crew,
        verbs: Mapping[str, Verb],
        functions: Mapping[str, Function],
        roles: Callable[[], tuple[str, ...]],
        all_roles: tuple[str, ...],
    ) -> None:
        self._ports = ports
        self._leader = Leader(ports, crew, verbs)
        self._follower = Follower(ports, crew, functions)
        self._roles, self._all_roles = roles, all_roles
        self._units = Slots(ports.runtime, UNITS_PER_HOST)
        self._wake = ports.runtime.signal()
        self._mine: dict[str, None] = {}  # what is being executed here
        self._unsure = False  # did a claim's answer get lost?
        self._looked_back = False  # was the last claim a search for such a one?
        self._beat_at = float("-inf")  # the last one that the store confirmed
        self.uuid = ""

    def wake(self) -> None:
        """Something may have become claimable here (a role was gained, say)."""
        self._wake.set()

    async def run(self) -> None:
        self.uuid = f"{self._ports.host}-{int(self._ports.runtime.random.random() * 2**48):012x}"
        await self._register()
        await together(
            self._ports.runtime, {"beat": self._beat(), "listen": self._listen(), "claim": self._claim_for_ever()}
        )

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
        busy = UNITS_PER_HOST - self._units.free
        beat = Change(Handler, self._ports.host, {"uuid": self.uuid}, {"busy": busy}, {"beat": 1})
        await self._ports.store.commit(beat)
        self._beat_at = self._ports.runtime.now()

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
                    while True:
                        commit = await watch.next()
                        if any(doc is not None and doc.state is WorkState.READY for _, _, doc in commit.changes):
                            self._wake.set()
                finally:
                    since = watch.revision
                    watch.close()
            except Unavailable:
                await runtime.sleep(RETRY_SECONDS * (0.5 + runtime.random.random()))
            except TooOld:
                since = None

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
        """Claim what fits into the free units and start it; is there perhaps more?"""
        await self._units.acquire()
        wanted = min(CLAIM_MAX, self._units.free + 1)
        try:
            if self._ports.runtime.now() - self._beat_at > SILENT_SECONDS:
                await (
                    self._beat_once()
                )  # who was silent says that it is back, before it takes what others would take from it
            items = await (self._recover_claim(wanted) if self._unsure else self._take(wanted))
        except Unavailable:
            await self._ports.runtime.sleep(RETRY_SECONDS)
            return True
        except UnknownOutcome:
            self._unsure = True
            return True
        finally:
            self._units.release()
        for item in items:
            self._mine[item.id] = None
            self._units.grab()
            self._ports.runtime.spawn(self._execute(item), name=item.id)
        return len(items) == wanted or self._looked_back

    async def _take(self, wanted: int) -> list[Work]:
        self._looked_back = False
        return await self._ports.store.take(
            Work,
            {"lane": In((self._ports.host, *self._roles())), "state": WorkState.READY},
            ("rank",),
            set={**_CLAIM, "handler": self.uuid},
            add={"attempt": 1},
            stamp={"assigned": 0.0},
            limit=wanted,
        )

    async def _recover_claim(self, wanted: int) -> list[Work]:
        """A claim whose answer was lost belongs to a live handler, so only that handler can find it."""
        held = await self._ports.store.find(Work, {"handler": self.uuid, "state": WorkState.RUNNING})
        lost = [item for item in held if item.id not in self._mine]
        self._unsure = len(lost) > wanted
        self._looked_back = True  # and not forward: there may be new work
        return lost[:wanted]

    async def _execute(self, item: Work) -> None:
        with self._units.returned():
            try:
                if item.function == LEAD:
                    await self._lead(item)
                else:
                    await self._follower.follow(item)
            except Stale:
                self._ports.runtime.log("work is stale", work=item.id)
            finally:
                self._mine.pop(item.id, None)

    async def _lead(self, job: Work) -> None:
        runtime = self._ports.runtime
        while True:
            try:
                await self._leader.lead(job)
                return
            except (Unavailable, UnknownOutcome, Conflict):
                await runtime.sleep(RETRY_SECONDS * (0.5 + runtime.random.random()))
                while True:
                    try:
                        job = await self._leader.again(job)
                        break
                    except Unavailable:
                        await runtime.sleep(RETRY_SECONDS)
