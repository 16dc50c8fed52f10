from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.jobs.worker import ALONE, ATTEMPTS_MAX
from ave.model.alarm import Alarm
from ave.model.cluster import JobQueue, Lock
from ave.model.work import LEAD, Work
from drivers.sim.facts import Effect
from drivers.sim.machine import NODE
from sim.invariants.shape import Stage, Violation

# The longest that a task tries again while something is away, and two leases of a worker. 21 tries: 844 s of pauses, each drawn
# up to half as long again, which is a deviation of 62 s in all, and up to 5 s each until it is known that nobody answers.
STILL_SECONDS = 1200.0
MIGRATE, COPY_SECONDS = "vm.migrate", 14_400.0  # memory is large; whatever else takes long was told for how long
LOOK_SECONDS = 10.0
# A claim is no begin: whoever is killed at once, again and again, has begun nothing. But an attempt that had an effect was one.
CLAIMS_MAX = 10 * ATTEMPTS_MAX
BEGINS_MAX = ATTEMPTS_MAX
ENDED = ("done", "failed", "cancelled")


class EveryJobEnds:
    """Armed by every Job that something befell the world during, and that ends all the same.

    A Job may wait long, for others that wait in turn; what it may not do is wait for nobody. So what is looked at is the
    chain of all that it waits for: something in it must move. A lane whose workers take other work moves.
    """

    id = "J7"
    phrase = "every Job ends: what it waits for moves; and work that ends its worker is given up with an alarm"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._open: dict[str, float] = {}  # Job -> when it or a task of it last moved; the stillest first
        self._since: dict[str, float] = {}  # open Job -> when it was submitted
        self._lanes: dict[str, float] = {}  # lane -> when work in it last moved
        self._given_up: list[str] = []
        self._begun: dict[
            str, dict[int, None]
        ] = {}  # task -> the attempts that had an effect, if there was a second one
        self._unled = 0.0  # when the storage was last seen without a meta leader, or with one whose node hangs
        self._due = 0.0

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"work": self.work, Effect: self.effect, "tick": self.tick, "end": self.end}

    def effect(self, fact: Effect) -> None:
        stamp = fact.stamp
        if stamp.attempt <= 1 or not stamp.task:
            return
        begun = self._begun.setdefault(stamp.task, {1: None})
        begun[stamp.attempt] = None
        if len(begun) > BEGINS_MAX:
            what = f"{stamp.task} is begun for the {len(begun)}th time: it blocks others"
            raise Violation(self.id, what, (stamp.task, stamp.job))

    def work(self, change: tuple[str, Work | None]) -> None:
        id, work = change
        if work is None:
            return
        now = self._lanes[work.lane] = self._stage.now()
        claims = (
            work.attempt if work.attempt < ALONE else ATTEMPTS_MAX + work.attempt - ALONE
        )  # the last one is noted so
        if claims > CLAIMS_MAX:
            raise Violation(self.id, f"{id} is tried for the {claims}th time: it blocks others", (id, work.job))
        over = work.state in ENDED
        if over and id in self._stage.poisoned:
            self._given_up.append(id)
        if work.function == LEAD and over:
            self._open.pop(id, None)
            since = self._since.pop(id, now)
            self.armed += since < self._stage.calm.since
        elif work.function == LEAD or work.job in self._open:
            self._open.pop(work.job, None)
            self._open[work.job] = now
            self._since.setdefault(work.job, now)

    def tick(self, now: float) -> None:
        for id in self._given_up:
            work = self._stage.store.ledger.get(Work, id)
            if self._stage.store.ledger.get(Alarm, f"poison/{id}") is None or (work and work.state != "failed"):
                raise Violation(self.id, f"{id} is poison, and ended as if it were not", (id,))
        self._given_up = []
        if now < self._due:
            return
        self._due = now + LOOK_SECONDS
        leader = self._stage.storage.leader
        if leader is None or not self._stage.machines[leader].works(NODE):
            self._unled = now
        for job, moved in self._open.items():
            if self._stage.calm.lasted(moved) <= STILL_SECONDS:
                break  # those behind it moved later
            chain = self._chain(job)
            if self._stage.calm.lasted(max(when for _, when in chain)) > STILL_SECONDS:
                links = " <- ".join(link for link, _ in chain)
                what = f"nothing has moved for {now - moved:.0f} s in what {job} waits for: {links}"
                raise Violation(self.id, what, tuple(dict.fromkeys(link.split()[0] for link, _ in chain)))

    def end(self, _: object) -> None:
        self._due = 0.0
        self.tick(self._stage.now())

    def _chain(self, job: str) -> list[tuple[str, float]]:
        """What it waits for, in words, each with when it last moved. A task may wait for Jobs of its own, which have the name
        of its Job in theirs (ave/hosts/moves.py)."""
        chain: list[tuple[str, float]] = []
        for each in [job, *(other for other in self._open if f"-{job}-" in other)]:
            chain += self._links(each)
        return chain

    def _links(self, job: str) -> list[tuple[str, float]]:
        ledger = self._stage.store.ledger
        chain: list[tuple[str, float]] = []
        seen: dict[str, None] = {}
        while job and job not in seen:
            seen[job] = None
            work = ledger.get(Work, job)
            chain.append((f"{job} ({work.state if work else 'gone'})", self._open.get(job, 0.0)))
            if work is None:
                break
            job = ""
            if work.state == "queued" and work.waits:
                lock = ledger.get(Lock, work.waits)
                job = lock.job if lock is not None else ""
            elif work.state == "queued" and work.flag:
                queue = ledger.get(JobQueue, work.flag)
                job = queue.running if queue is not None else ""
            elif work.state == "ready":
                chain.append((f"{work.lane} (its lane)", self._moved(work.lane)))
            elif work.plan is not None and work.state == "waiting":
                chain += self._children(work.id, work.plan.submitted)
        return chain

    def _moved(self, lane: str) -> float:
        """A role has no holder as long as the storage has no meta leader, and one who does nothing while that one's node hangs
        and shows signs of life all the same: the storage is content with it, and nobody else can tell."""
        moved = self._lanes.get(lane, 0.0)
        return moved if lane in self._stage.machines else max(moved, self._unled)

    def _children(self, carrier: str, steps: tuple[str, ...]) -> list[tuple[str, float]]:
        chain: list[tuple[str, float]] = []
        for step in steps:
            task = self._stage.store.ledger.get(Work, f"{carrier}/{step}")
            if task is not None and task.state not in ENDED:
                moved = self._moved(task.lane) if task.state == "ready" else 0.0
                if task.state == "running":
                    long = COPY_SECONDS if task.function == MIGRATE else float(task.arguments.get("seconds", 0.0))
                    moved = self._open.get(task.job, 0.0) + long
                chain.append((f"{task.id} ({task.state}, {task.lane})", moved))
        return chain
