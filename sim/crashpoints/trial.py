"""One run of a case: prepared, asked, struck at the given points, and watched until all has settled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import msgspec

from ave.model.cluster import Handler, Role
from ave.model.work import ENDED, Work, WorkState
from ave.vms import create
from drivers.sim.runtime import Crash, SimRuntime
from sim import faults
from sim.crashpoints.cases import Ask, Case
from sim.crashpoints.cluster import CountedCluster
from sim.crashpoints.points import Counter, Place, Point
from sim.crashpoints.settled import all_of, jobs, picture, unsettled
from sim.oracle import Oracle
from sim.scenario.model import Fleet, Forever, Shape, Topology
from sim.violation import Violation

SEED = 46
READY_SECONDS, PREPARED_SECONDS = 20.0, 120.0
PATIENCE_SECONDS = 240.0  # without a blow; each has its own, from when it is dealt
LOOK_SECONDS = 1.0
CALM_SECONDS = 3.0  # what has settled stays so
GIB = 2**30
ROLES = 2
AHEAD_SECONDS = 0.5  # of a cycle, counting begins


class Blow(StrEnum):
    KILL = "kill -9 of the process"
    POWER = "power loss of its host"
    STALL = "its host stands still"


class Strike(msgspec.Struct, frozen=True):
    nth: int
    blow: Blow


class Force(msgspec.Struct, frozen=True):
    """How a blow is dealt: a fault of ``sim.faults``, how long it lasts, and how long settling may take after it."""

    fault: str
    lasts: float | None
    settles: float


FORCES = {
    Blow.KILL: Force("process-kill", None, 240.0),
    Blow.POWER: Force("host-crash", 150.0, 600.0),  # longer than the verdict of 90 s
    Blow.STALL: Force("host-stall", 45.0, 400.0),  # longer than a worker's lease of 30 s: it wakes beside its successor
}


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``left``: what had not settled when patience was over; ``broken``: an invariant, or a bug."""

    points: tuple[Point, ...]
    passed: tuple[Place, ...]
    struck: tuple[Point, ...]
    left: tuple[str, ...] = ()
    broken: str = ""
    ended: bool = False  # every Job in question
    states: tuple[WorkState, ...] = ()
    picture: dict[str, Any] = {}
    seconds: float = 0.0  # from the request until all had settled


def run(case: Case, strikes: tuple[Strike, ...] = (), *, seed: int = SEED) -> Trial:
    with _grouped(case.group_of), _Run(case, strikes, seed) as trial:
        return trial.play()


class _Run:
    def __init__(self, case: Case, strikes: tuple[Strike, ...], seed: int) -> None:
        self._case = case
        self._due = {strike.nth: strike.blow for strike in strikes}
        self._struck: list[Point] = []
        self._going_on = 0  # blows that are not over
        self._lost = False  # was a host?
        self._patience_ends = 0.0
        self._ids = tuple(f"{ask.operation}-{number:012x}" for number, ask in enumerate(case.about, start=0xC0))
        self.counter = Counter(self._ours, self._on_point)
        topology = Topology((Shape(case.hosts, 16, 32 * 1024, 2048),), 3, {}, ("vm-net",))
        self.cluster = CountedCluster(topology, self.counter, seed=seed)
        case.past(self.cluster)
        self.oracle = Oracle(self.cluster)
        self.cluster.world.tell = self._told
        self._director = SimRuntime(self.cluster.world, "director")

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    def play(self) -> Trial:
        left: list[str] = []
        broken, since = "", 0.0
        try:
            self._prepare()
            since = self.cluster.world.now
            left = self._settle()
            self.oracle.end()
        except (Violation, Crash) as found:
            broken = str(found)
        found_jobs = jobs(self.cluster, self._ours)
        return Trial(
            points=tuple(self.counter.points),
            passed=tuple(self.counter.passed),
            struck=tuple(self._struck),
            left=tuple(left),
            broken=broken,
            ended=self._over(found_jobs),
            states=self._states(found_jobs),
            picture=picture(self.cluster, self._ids),
            seconds=self.cluster.world.now - since,
        )

    def _states(self, found: list[Work]) -> tuple[WorkState, ...]:
        """Job by Job, if it was asked for; else each state once, since a crash may lead to one Job more."""
        if self._ids:
            return tuple(job.state for id in self._ids for job in found if job.id == id)
        return tuple(sorted(dict.fromkeys(job.state for job in found)))

    def _ours(self, text: str) -> bool:
        if self._ids:
            return any(id in text for id in self._ids)
        return f"{self._case.operation}@" in text or f"{self._case.operation}-" in text

    def _told(self, process: str, event: str, fields: dict[str, Any]) -> None:
        self.oracle.told(process, event, fields)
        if event == "work is beyond mending":
            raise Violation("crash", f"{fields['work']}: {fields['why']}", (fields["work"],))

    # What happens

    def _prepare(self) -> None:
        world, case = self.cluster.world, self._case
        self.cluster.power_on([Fleet("web", case.vms, 1, 1024, GIB, True, "medium", Forever())])
        self._advance(READY_SECONDS, self._is_up, "the cluster did not come up")
        for number, ask in enumerate(case.before, start=0xB0):
            id = f"{ask.operation}-{number:012x}"
            self._submit(id, ask)
            self._advance(PREPARED_SECONDS, lambda id=id: self._state(id) in ENDED, f"{id} did not end")
            if self._state(id) is not WorkState.DONE:
                raise Violation("case", f"{id}, which prepares it, is {self._state(id)}")
        if case.due:
            world.advance(case.due - AHEAD_SECONDS)
        self.counter.begin()
        case.arrange(self.cluster)
        for id, ask in zip(self._ids, case.about, strict=True):
            self._submit(id, ask)
        if case.cancel_after is not None:
            self.cluster.cancel(self._ids[0], case.cancel_after)

    def _submit(self, id: str, ask: Ask) -> None:
        self.cluster.submit(id, ask.operation, ask.request, ask.flag, self.oracle.stage.acknowledged)

    def _is_up(self) -> bool:
        roles = [role for role in all_of(self.cluster, Role) if role.holder]
        return len(roles) == ROLES and len(all_of(self.cluster, Handler)) == len(self.cluster.machines)

    def _state(self, id: str) -> WorkState | None:
        work = self.cluster.store.ledger.get(Work, id)
        return work.state if work is not None else None

    def _advance(self, limit: float, done: Any, why: str) -> None:
        world = self.cluster.world
        end = world.now + limit
        while not done():
            if world.now >= end:
                raise Violation("case", why)
            world.advance(world.now + LOOK_SECONDS)

    def _on_point(self, point: Point) -> None:
        blow = self._due.pop(point.nth, None)
        if blow is None:
            return
        self._struck.append(point)
        force = FORCES[blow]
        self._patience_ends = max(self._patience_ends, self.cluster.world.now + force.settles)
        self._lost |= blow is not Blow.KILL
        given = {"process": "node"} if blow is Blow.KILL else {}
        end = faults.begin(self.cluster, force.fault, (point.host,), given, lasting=force.lasts is not None)
        if force.lasts is not None:
            self._director.spawn(self._end_after(force.lasts, end), name=f"end of {force.fault}")

    async def _end_after(self, seconds: float, end: faults.Undo) -> None:
        self._going_on += 1
        await self._director.sleep(seconds)
        end()
        self._going_on -= 1

    # What becomes of it

    def _settle(self) -> list[str]:
        """What has not settled when patience is over: nothing, if all is well."""
        world = self.cluster.world
        calm_since: float | None = None
        self._patience_ends = max(self._patience_ends, world.now + PATIENCE_SECONDS)
        left: list[str] = []
        while world.now < self._patience_ends:
            world.advance(world.now + LOOK_SECONDS)
            left = self._unsettled()
            if left:
                calm_since = None
            elif calm_since is None:
                calm_since = world.now
            elif world.now - calm_since >= CALM_SECONDS:
                break
        return left

    def _unsettled(self) -> list[str]:
        if self._going_on:
            return [f"{self._going_on} faults go on"]
        found = jobs(self.cluster, self._ours)
        wrong = unsettled(self.cluster, self._ours, lost=self._lost)
        if not self._over(found):
            missing = [id for id in self._ids if id not in [job.id for job in found]]
            return [*(f"{id} was not submitted" for id in missing), *wrong] or ["there is no such Job"]
        return wrong

    def _over(self, found: list[Work]) -> bool:
        there = [job.id for job in found]
        return bool(found) and all(id in there for id in self._ids) and all(job.state in ENDED for job in found)


@contextmanager
def _grouped(size: int) -> Iterator[None]:
    """vm.create takes so many VMs into one resource group: a small case shall have groups too."""
    before = create.GROUP_OF
    create.GROUP_OF = size
    try:
        yield
    finally:
        create.GROUP_OF = before
