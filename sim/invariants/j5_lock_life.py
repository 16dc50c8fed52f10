from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import Lock
from ave.model.work import LEAD, Work
from drivers.sim.machine import NODE
from sim.invariants.shape import Stage, Violation

RELEASED_SECONDS = 5.0  # after its Job has ended
RECOVERED_SECONDS = 45.0  # a worker's lease of 30 s, a sweep or two, and the time to act
ENDED = ("done", "failed", "cancelled")


class LockLife:
    """Armed by every Job that ends with locks, and by every piece of a Job's work whose worker was lost.

    A lock is its Job's, and a Job outlives its workers: what must not last is work that a lost worker still holds,
    because its Job, and whoever waits for its locks, waits with it.
    """

    id = "J5"
    phrase = (
        "a Job holds the locks of all that it is still about, or none, frees them when it ends, "
        "and is soon given to another if its worker is lost"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._owner: dict[str, str] = {}  # lock -> Job
        self._held: dict[str, dict[str, None]] = {}  # Job -> its locks
        self._moved: dict[str, None] = {}  # Jobs whose locks changed since the last tick
        self._ended: dict[str, float] = {}  # Job that ended with locks -> when
        self._running: dict[str, str] = {}  # work -> worker
        self._lost: dict[str, float] = {}  # work -> since when its worker is lost
        self._sweepers: dict[
            str, tuple[str, float]
        ] = {}  # master host -> its worker, and since when, while any work is lost

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"lock": self.lock, "work": self.work, "tick": self.tick, "end": self.end}

    def lock(self, change: tuple[str, Lock | None]) -> None:
        id, lock = change
        owner, before = "" if lock is None else lock.job, self._owner.get(id, "")
        if owner == before:
            return
        self._owner[id] = owner
        if before:
            self._held[before].pop(id, None)
            self._moved[before] = None
        if owner:
            self._held.setdefault(owner, {})[id] = None
            self._moved[owner] = None

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None or work.state != "running":
            self._running.pop(id, None)
            self._lost.pop(id, None)
        else:
            self._running[id] = work.handler
        if work is not None and work.function == LEAD and work.state in ENDED and self._held.get(id):
            self.armed += 1
            self._ended[id] = self._stage.now()

    def tick(self, now: float) -> None:
        moved, self._moved = self._moved, {}
        for job in moved:
            self._whole(job)
        for job, since in list(self._ended.items()):
            if not self._held.get(job):
                del self._ended[job]
            elif self._stage.calm.lasted(since) > RELEASED_SECONDS:
                raise self._leaked(job, f"which ended {now - since:.0f} s ago")
        if not self._lost:
            self._sweepers.clear()
        swept = self._swept(now) if self._lost else now
        for id, handler in self._running.items():
            if self._stage.works(handler):
                self._lost.pop(id, None)
                continue
            if id not in self._lost:
                self._lost[id] = now
                self.armed += 1
            if self._stage.calm.lasted(max(self._lost[id], swept)) > RECOVERED_SECONDS:
                what = f"{id} is held by {handler}, which was lost {now - self._lost[id]:.0f} s ago"
                raise Violation(self.id, what, (id, id.partition("/")[0]))

    def _swept(self, now: float) -> float:
        """Since when the same worker of some master host is there to see who is lost. One that is started again and again, or
        hangs, sees nobody."""
        for host in self._stage.storage.members:
            worker = self._stage.worker(host) if self._stage.machines[host].works(NODE) else ""
            if not worker or worker != self._sweepers.get(host, ("", now))[0]:
                self._sweepers[host] = worker, now
        return min((since for _, since in self._sweepers.values()), default=now)

    def end(self, _: object) -> None:
        for job, locks in self._held.items():
            if locks and self._stage.store.ledger.get(Work, job) is None:
                raise self._leaked(job, "which does not exist")

    def _whole(self, job: str) -> None:
        """All that its plan names, if it has begun, and nothing before."""
        work = self._stage.store.ledger.get(Work, job)
        held = self._held.get(job, {})
        if work is None or work.state in ENDED:
            if held:
                self._ended.setdefault(job, self._stage.now())
            return
        wanted = work.plan.tokens if work.plan is not None else {}
        odd = [id for id in (*held, *wanted) if (id in held) != (id in wanted)]
        if odd:
            has = "not " if odd[0] in wanted else ""
            what = f"{job} is {work.state} with {len(held)} of its {len(wanted)} locks: {odd[0]} is {has}among them"
            raise Violation(self.id, what, (job, odd[0]))

    def _leaked(self, job: str, why: str) -> Violation:
        lock = next(iter(self._held[job]))
        return Violation(self.id, f"{lock} is locked by {job}, {why}", (lock, job))
