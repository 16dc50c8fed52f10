"""The Job Center Worker of one host: claims what is in its lanes and executes it, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from ave.errors import Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import CLAIM_MAX, UNITS_PER_HOST, Crew
from ave.jobs.follower import Follower
from ave.jobs.handover import HandOvers
from ave.jobs.leader import Leader
from ave.jobs.recovery import repeatable
from ave.jobs.verb import TaskKind, Verb
from ave.model.cluster import Handler
from ave.model.states import may_move, move
from ave.model.work import LEAD, RANK_SECONDS, TASK, URGENT_BELOW, Urgency, Work, WorkState
from ave.ports.store import Below, Change, Commit, Conflict, In, Insert, Replace, TooOld, Where
from ave.ports.together import Ports
from ave.runtime import Task
from ave.sync import Slots, together

BEAT_SECONDS = 5.0
SILENT_SECONDS = 2 * BEAT_SECONDS
POLL_SECONDS = 600.0  # the net below the watch; a broken watch polls by itself
RETRY_SECONDS = 2.0
RESERVED_UNITS = 20  # of a host's execution units, for rescues and for stopping VMs alone …
RESCUE_UNITS = 10  # … and of these, for rescues: guests take minutes to shut down, and a rescue does not wait for them
LOOK_BACK_BEATS = 12  # after so many a worker looks whether all that it holds is being executed
ATTEMPTS_MAX = 5  # claims after which work that ends its worker, or shows a bug, is given up
ALONE = 1000  # the attempt of what is begun for the last time
_CLAIM = may_move(TASK, WorkState.READY, WorkState.RUNNING)
_CLAIMED = {"assigned": 0.0, "modified": 0.0}
# While more than so many units are free: who may be claimed.
_DOORS: tuple[tuple[int, Where], ...] = (
    (RESERVED_UNITS, {}),
    (RESCUE_UNITS, {"rank": Below(URGENT_BELOW)}),
    (0, {"rank": Below((RANK_SECONDS[Urgency.RESCUE] + RANK_SECONDS[Urgency.STOP]) / 2)}),
)
_Claim = tuple[str, int]  # an item's id, and its version when it was claimed


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
        self._alone = Slots(ports.runtime, 1)
        self._mine: dict[_Claim, Task[None] | None] = {}  # what is being executed here
        self._left = False  # did the last look leave work that had no unit?
        self._unsure = False  # do we perhaps hold what we do not know of?
        self._beat_at = float("-inf")  # the last one that the store confirmed …
        self._beaten: int | None = None  # … and its number; None: the answer to a later one was not heard
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
        beats = 0
        while True:
            try:
                await self._beat_once()
            except (Unavailable, UnknownOutcome):
                pass  # the next beat is the retry
            beats += 1
            if beats % LOOK_BACK_BEATS == 0:  # a claim may take effect after we have looked for it
                self._unsure = True
                self._wake.set()
            await runtime.sleep(BEAT_SECONDS)

    async def _beat_once(self) -> None:
        """It takes effect only if the one before it was answered, or the store was read since: who is heard and does not hear
        claims what it never learns of, and must look as silent as one who is not heard."""
        number, self._beaten = self._beaten, None
        if number is None:
            number = await self._number_in_store()
        while True:
            same = {"uuid": self.uuid, "beat": number}
            beat = Change(Handler, self._ports.host, same, {"busy": UNITS_PER_HOST - self._free}, {"beat": 1})
            try:
                (now,) = await self._ports.store.commit(beat)
            except Conflict as conflict:
                if conflict.found is None or conflict.found.uuid != self.uuid:
                    raise
                number = conflict.found.beat  # an earlier one of ours took effect late
                continue
            self._beaten = now.beat
            self._beat_at = self._ports.runtime.now()
            return

    async def _number_in_store(self) -> int:
        known = await self._ports.store.get(Handler, self._ports.host)
        return known.beat if known is not None else 0

    # Hearing of work

    async def _listen(self) -> None:
        """Turn commits in this worker's lanes into wake-ups."""
        runtime, store = self._ports.runtime, self._ports.store
        lanes = In((self._ports.host, *self._all_roles))
        since: int | None = None
        looked = False
        while True:
            try:
                watch = await store.watch((Work,), since, {"lane": lanes})
                self._wake.set()  # whatever was missed is found by looking
                try:
                    if not looked:
                        await self._look()
                        looked = True
                    while True:
                        self._hear(await watch.next())
                finally:
                    since = watch.revision
                    watch.close()
            except Unavailable:
                await runtime.sleep(RETRY_SECONDS * (0.5 + runtime.random.random()))
            except TooOld:
                since, looked = None, False

    async def _look(self) -> None:
        """At what we did not hear of. Raises Unavailable."""
        await self._hand_overs.look()
        for work in await self._held():
            self._heed(work)

    def _hear(self, commit: Commit) -> None:
        for _, _, work in commit.changes:
            if work is None:
                continue
            if work.state is WorkState.READY:
                self._wake.set()
            if work.handler == self.uuid:
                self._heed(work)
            self._hand_overs.hear(work)

    def _heed(self, work: Work) -> None:
        """Stop what its user has cancelled, if that is safe."""
        if work.stop and self._follower.stop(work):
            for (id, _), executing in self._mine.items():
                if id == work.id and executing is not None:
                    executing.cancel()

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
        self._left = self._free <= RESERVED_UNITS
        if not self._free:
            return False
        kept, whose = next(door for door in _DOORS if self._free > door[0])
        wanted = min(CLAIM_MAX, self._free - kept)
        looked_back = self._unsure
        try:
            if self._ports.runtime.now() - self._beat_at > SILENT_SECONDS:
                # Who was silent says that it is back, before it takes what others would take from it.
                await self._beat_once()
            items = await (self._recover_claim(wanted) if looked_back else self._take(wanted, whose))
        except Unavailable:
            await self._ports.runtime.sleep(RETRY_SECONDS)
            return True
        except UnknownOutcome:
            self._unsure = True
            return True
        for item in items:
            self._free -= 1
            claim = _claim_of(item)
            self._mine[claim] = None
            self._mine[claim] = self._ports.runtime.spawn(self._execute(item), name=item.id)
        return len(items) == wanted or looked_back

    async def _take(self, wanted: int, whose: Where) -> list[Work]:
        where = {"lane": In((self._ports.host, *self._roles())), "state": WorkState.READY, **whose}
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
        await self._beat_once()  # what is found is never behind what we have written
        lost = [item for item in await self._held() if not self._executes(item)]
        found: list[Work] = []
        for item in lost[:wanted]:  # but it may be behind what has ended since
            now = await self._ports.store.get(Work, item.id)
            still = now is not None and now.state is WorkState.RUNNING and now.handler == self.uuid
            if now is not None and still and not self._executes(now):
                found.append(now)
        self._unsure = len(lost) > wanted
        return found

    async def _held(self) -> list[Work]:
        return await self._ports.store.find(Work, {"handler": self.uuid, "state": WorkState.RUNNING})

    def _executes(self, item: Work) -> bool:
        return any(id == item.id for id, _ in self._mine)

    # Executing

    async def _execute(self, item: Work) -> None:
        claim = _claim_of(item)
        try:
            if item.attempt > ALONE:
                await self._give_up(item, f"it was begun {ATTEMPTS_MAX} times and came to no end")
            elif item.attempt >= ATTEMPTS_MAX:
                # Who is executed beside work that ends its worker is lost with it, as often, and shall not be given up with
                # it. So the last attempts are made one after the other, and are noted when they begin.
                await self._alone.acquire()
                with self._alone.returned():
                    item = await self._noted(item)
                    await self._perform(item)
            else:
                await self._perform(item)
        except Stale:
            self._ports.runtime.log("work is stale", work=item.id)
        except Exception as bug:
            await self._stumble(item, bug)
        finally:
            self._mine.pop(claim, None)
            self._free += 1
            if self._left:
                self._wake.set()

    async def _perform(self, item: Work) -> None:
        if item.function == LEAD:
            await self._lead(item)
        else:
            await self._follower.follow(item)

    async def _noted(self, item: Work) -> Work:
        """The item, begun for the last time. Raises Stale."""
        while True:
            try:
                now = await self._ports.store.get(Work, item.id)
                if now is None or (now.state, now.handler) != (WorkState.RUNNING, self.uuid):
                    raise Stale(item.id)
                if now.attempt == ALONE:
                    return now
                await self._ports.store.commit(Replace(msgspec.structs.replace(now, attempt=ALONE)))
            except (Unavailable, UnknownOutcome, Conflict):
                await self._pause(RETRY_SECONDS)

    async def _lead(self, job: Work) -> None:
        while True:
            try:
                await self._leader.lead(job)
                return
            except (Unavailable, UnknownOutcome, Conflict) as trouble:
                self._ports.runtime.log("leader retries", job=job.id, why=f"{type(trouble).__name__}: {trouble}")
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
        while True:
            why = f"{type(bug).__name__}: {bug}"
            self._ports.runtime.log("work stumbles", work=item.id, attempt=item.attempt, why=why)
            try:
                await self._pause(RETRY_SECONDS * min(item.attempt, ATTEMPTS_MAX))
                item = await self._again(item)
                if item.attempt >= ATTEMPTS_MAX or not repeatable(item):
                    await self._give_up(item, why)
                else:
                    again = move(item, WorkState.READY, why, handler="")
                    await self._ports.store.commit(Replace(again, {"modified": 0.0}))
                return
            except Stale:
                return
            except (Conflict, Unavailable, UnknownOutcome):
                pass  # it is ours as long as nobody says otherwise
            except Exception as another:
                bug = another

    async def _pause(self, seconds: float) -> None:
        runtime = self._ports.runtime
        await runtime.sleep(seconds * (0.5 + runtime.random.random()))


def _claim_of(item: Work) -> _Claim:
    return item.id, item.version
