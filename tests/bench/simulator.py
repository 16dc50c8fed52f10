"""P9: what the simulator costs in raw wake-ups: the control plane alone, and with all that a recorded run has.

Alone means that nobody judges, measures or records: so the goals were set, and by it they are judged. Beside it stands
the same with oracle, metrics and recording, which is what ``ave sim run --out`` costs.

A raw wake-up is one of a bare SimPy process among many: two per host, and of a thousand hosts where single calls and
Jobs are counted, so that the heap is as deep as there. Both are measured by turns, in CPU time, on a cluster whose
services run; what they do meanwhile is counted in, and is about 1 %.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, Literal, NamedTuple
from unittest.mock import patch

import msgspec
import simpy

from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.kinds import KINDS
from ave.model.cluster import Handler
from ave.model.states import move
from ave.model.vm import VM
from ave.model.work import GROUP, LEAD, Step, Work, WorkState
from ave.operations import OPERATIONS, Operation
from ave.ports.store import Change, Conflict, In, Insert, Replace, Store
from ave.ports.together import Ports
from ave.verbs import VERBS
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.recorder import Recorder
from sim.scenario.model import Metadata, Scenario, Shape, Topology
from sim.story import Story
from sim.user import User
from tests.bench.row import Row

IDS = ("P9",)
PAIRS = 7
HOSTS = 50
CLIENTS = 20  # per host, side by side
MANY = 1_000  # hosts, for a deep heap
SETTLED = 30.0  # simulated seconds until a fresh cluster is quiet
FOR_EVER = 1e9
GOAL_CALL, GOAL_INDEXED, GOAL_ONE, GOAL_NINE, GOAL_QUIET, GOAL_BUSY = 8.0, 14.0, 200.0, 800.0, 0.30, 0.15

Call = Callable[[Store, str, str], Coroutine[Any, Any, None]]  # (the host's store, host, its worker's uuid)


class Raw:
    """Bare SimPy: so many processes, two per host, each of which only sleeps."""

    def __init__(self, hosts: int) -> None:
        self._processes = 2 * hosts
        self._env = simpy.Environment()
        for number in range(self._processes):
            self._env.process(self._sleep(0.5 + number * 0.618034 % 1.0))

    def wakeup(self, count: int) -> float:
        """CPU seconds of one."""
        seconds = cpu(lambda: self._env.run(until=self._env.now + count / self._processes))
        return seconds / count

    def _sleep(self, seconds: float) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self._env.timeout(seconds)


def run(*, quick: bool = False) -> list[Row]:
    pairs, size = (3, 0.25) if quick else (PAIRS, 1.0)
    rows: list[Row] = []
    for setting in (ALONE, WHOLE):
        rows += [*_calls(setting, pairs, size), *_jobs(setting, pairs, size), *_share(setting, pairs, size)]
    return rows


def _row(setting: str, what: str, measured: float, goal: float | None, better: Literal["less", "more"]) -> Row:
    """Judged is the control plane alone."""
    unit = "wake-ups" if better == "less" else ""
    goal = goal if setting == ALONE else None
    return Row("P9", what if setting == ALONE else f"  {setting}", measured, unit, goal, better, due=what in DUE)


def cpu(work: Callable[[], object]) -> float:
    gc.collect()
    start = process_time()
    work()
    return process_time() - start


DUE = ("store get",)  # what holds: see decision 0018
ALONE, WHOLE = "control plane alone", "with oracle and recording"


class Run(NamedTuple):
    cluster: SimCluster
    user: User


@contextmanager
def playing(hosts: int, setting: str = ALONE) -> Iterator[Run]:
    """A quiet cluster that renews its leases beat by beat."""
    shape = Shape(hosts, 64, 512 * 1024, 8 * 1024)
    topology = Topology(shapes=(shape,), masters=5, zones={}, networks=("default",))
    with _alone(topology) if setting == ALONE else _whole(topology) as run:
        yield run


@contextmanager
def _alone(topology: Topology) -> Iterator[Run]:
    with SimCluster(topology, seed=1, lazy=False) as cluster:
        for machine in cluster.machines.values():
            machine.probed = False
        cluster.power_on()
        cluster.world.advance(SETTLED)
        yield Run(cluster, User(cluster, {}))


@contextmanager
def _whole(topology: Topology) -> Iterator[Run]:
    """Recorded as by ``ave sim run --out``."""
    metadata = Metadata(name="bench")
    scenario = Scenario(metadata=metadata, mode="cluster", seed=1, duration=FOR_EVER, topology=topology, workload=())
    with TemporaryDirectory() as folder:
        now: Callable[[], float] = lambda: 0.0  # noqa: E731 - the world's, as soon as there is one
        with (
            Recorder(Path(folder, "events.jsonl.gz"), KINDS, lambda: now()) as recorder,
            Story(scenario, seed=1, recorder=recorder) as story,
        ):
            now = lambda: story.cluster.world.now  # noqa: E731
            story.cluster.storage.lazy = False
            story.play(stop=lambda: now() >= SETTLED)
            yield Run(story.cluster, story.user)


# Store calls


async def get(store: Store, host: str, uuid: str) -> None:
    await store.get(Handler, host)


async def empty_take(store: Store, host: str, uuid: str) -> None:
    await store.take(
        Work,
        {"lane": In((host,)), "state": WorkState.READY},
        ("rank",),
        set={"state": WorkState.RUNNING, "handler": uuid},
        add={"attempt": 1},
        stamp={"assigned": 0.0},
        limit=16,
    )


async def beat(store: Store, host: str, uuid: str) -> None:
    await store.commit(Change(Handler, host, {"uuid": uuid}, {"busy": 0}, {"beat": 1}))


def _calls(setting: str, pairs: int, size: float) -> list[Row]:
    times = max(1, int(40 * size))
    with playing(HOSTS, setting) as run:
        bench = _Calls(run)
        raw = Raw(MANY)
        cases: dict[str, tuple[Callable[[int], float], float | None]] = {
            "store get": (lambda times: bench.cost(get, times), GOAL_CALL),
            "empty take": (lambda times: bench.cost(empty_take, times), GOAL_CALL),
            "beat: a Change that adds": (lambda times: bench.cost(beat, times), GOAL_CALL),
            "Replace of a task, 5 indexes": (lambda times: bench.replace_cost(times, heard=False), GOAL_INDEXED),
            "the same, and its worker hears of it": (lambda times: bench.replace_cost(times, heard=True), None),
        }
        return [
            _row(setting, what, _ratio(pairs, raw, size, partial(cost, times)), goal, "less")
            for what, (cost, goal) in cases.items()
        ]


CARRIER = "bench"  # it has ended, so nobody owes the end of its tasks anything, and no sweep mends it


class _Calls:
    def __init__(self, run: Run) -> None:
        self._run = run
        cluster = run.cluster
        shelf = cluster.store.ledger.shelves[Handler].docs
        self._at: list[tuple[SimRuntime, Store, str, str]] = []
        for host, machine in cluster.machines.items():
            runtime = SimRuntime(cluster.world, f"{host}/bench", machine.clock)
            self._at.append((runtime, cluster.client(host, runtime)[0].store, host, shelf[host].uuid))
        self._tasks = 0
        carrier = Work(id=CARRIER, job=CARRIER, function=GROUP, lane="", state=WorkState.DONE)
        cluster.store.ledger.commit([Insert(carrier)], cluster.world.now)

    def cost(self, call: Call, times: int) -> float:
        """CPU seconds of one, many of them side by side."""

        async def repeat(store: Store, host: str, uuid: str) -> None:
            for _ in range(times):
                await call(store, host, uuid)

        return self._cost(repeat) / times

    def replace_cost(self, times: int, *, heard: bool) -> float:
        """CPU seconds to record that a task is done: it moves in most indexes."""
        begun: list[Work] = []

        async def insert(store: Store, host: str, uuid: str) -> None:
            for _ in range(times):
                self._tasks += 1
                task = Work(
                    id=f"bench-{self._tasks}/step",
                    job=f"bench-{self._tasks}",
                    parent=CARRIER,
                    step="step",
                    function="bench",
                    lane=host if heard else "nobody's",
                    handler=f"{host}-bench-{self._tasks}",
                    state=WorkState.RUNNING,
                )
                begun.append((await store.commit(Insert(task)))[0])

        async def finish(store: Store, host: str, uuid: str) -> None:
            for _ in range(times):
                done = move(begun.pop(), WorkState.DONE, "did it", handler="")
                with suppress(Conflict):  # Job Recovery was there first: nobody has this handler
                    await store.commit(Replace(done, {"finished": 0.0}))

        self._cost(insert)
        seconds = self._cost(finish)
        assert not begun
        return seconds / times

    def _cost(self, client: Call) -> float:
        """CPU seconds for each client until all are done."""
        world = self._run.cluster.world
        left = HOSTS * CLIENTS

        async def counted(store: Store, host: str, uuid: str) -> None:
            nonlocal left
            await client(store, host, uuid)
            left -= 1

        def go() -> None:
            for runtime, store, host, uuid in self._at:
                for _ in range(CLIENTS):
                    runtime.spawn(counted(store, host, uuid), name="bench")
            while left:
                world.advance(world.now + 0.01)

        return cpu(go) / (HOSTS * CLIENTS)


# Whole Jobs


class Dag(msgspec.Struct, frozen=True):
    """A Job that does nothing but be a Job; its shape is that of creating VMs: so many volumes, one place, as many starts."""

    thing: str
    tasks: int


def _split(request: Dag, found: Found) -> Split:
    many = request.tasks // 2
    steps = {f"make/{n}": Step(function="bench.nothing", resource=request.thing) for n in range(many)}
    steps["place"] = Step(function="bench.nothing")
    for n in range(many):
        steps[f"start/{n}"] = Step(function="bench.nothing", resource=request.thing, needs=("place", f"make/{n}"))
    return Split(steps=steps)


async def _nothing(ports: Ports, task: Work) -> None:
    pass


BENCH = Verb(
    operation="bench.dag",
    resources=lambda request: each(VM, (request.thing,)),
    split=_split,
    tasks={"bench.nothing": TaskKind(function=_nothing)},
)


@contextmanager
def known() -> Iterator[None]:
    """Let the nodes know that verb."""
    with (
        patch.dict(OPERATIONS, {BENCH.operation: Operation(BENCH.operation, Dag, "bench")}),
        patch.dict(VERBS, {BENCH.operation: BENCH}),
    ):
        yield


class _Jobs:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._director = SimRuntime(run.cluster.world, "bench")
        self._sent = 0

    def advance(self, tasks: int, count: int, per_second: float) -> None:
        """Let so many Jobs arrive, and all of them end."""

        async def arrivals() -> None:
            for _ in range(count):
                self._sent += 1
                self._run.user.spawn(BENCH.operation, Dag(f"thing-{self._sent}", tasks))
                await self._director.sleep(1.0 / per_second)

        world = self._run.cluster.world
        self._director.spawn(arrivals(), name="arrivals")
        world.advance(world.now + count / per_second + 1.0)

    def require_done(self) -> None:
        works = self._run.cluster.store.ledger.shelves[Work].docs.values()
        done = sum(
            work.function == LEAD and work.state is WorkState.DONE and work.operation == BENCH.operation
            for work in works
        )
        assert done == self._sent, f"{done} of {self._sent} Jobs are done"


def _jobs(setting: str, pairs: int, size: float) -> list[Row]:
    rows = []
    with known(), playing(HOSTS, setting) as run:
        jobs, raw = _Jobs(run), Raw(MANY)
        for what, tasks, count, goal in (
            ("whole Job of one task", 1, int(1000 * size), GOAL_ONE),
            ("whole Job of nine tasks", 9, int(300 * size), GOAL_NINE),
        ):
            cost = lambda tasks=tasks, count=count: cpu(lambda: jobs.advance(tasks, count, count / 2.0)) / count  # noqa: E731
            rows.append(_row(setting, what, _ratio(pairs, raw, size, cost), goal, "less"))
        jobs.require_done()
    return rows


# Events per second


def _share(setting: str, pairs: int, size: float) -> list[Row]:
    rows = []
    for hosts, seconds in ((HOSTS, 1200.0), (MANY, 60.0)):
        with playing(hosts, setting) as run:
            world = run.cluster.world
            cost = lambda: _per_event(run, lambda: world.advance(world.now + seconds * size))  # noqa: E731, B023
            share = 1.0 / _ratio(pairs, Raw(hosts), size, cost)
            rows.append(_row(setting, f"{hosts:,} quiet hosts, share of raw events/s", share, GOAL_QUIET, "more"))
    with known(), playing(HOSTS, setting) as run:
        jobs = _Jobs(run)
        count = int(100 * size)
        cost = lambda: _per_event(run, lambda: jobs.advance(9, count, 0.02 * HOSTS))  # noqa: E731
        share = 1.0 / _ratio(pairs, Raw(HOSTS), size, cost)
        rows.append(_row(setting, f"{HOSTS} busy hosts, share of raw events/s", share, GOAL_BUSY, "more"))
        jobs.require_done()
    return rows


def _per_event(run: Run, work: Callable[[], None]) -> float:
    world = run.cluster.world
    before = world.steps
    seconds = cpu(work)
    return seconds / (world.steps - before)


def _ratio(pairs: int, raw: Raw, size: float, cost: Callable[[], float]) -> float:
    """What it costs, in raw wake-ups: the median of pairs."""
    count = int(200_000 * size)
    cost()  # the first time warms up
    return median(cost() / raw.wakeup(count) for _ in range(pairs))
