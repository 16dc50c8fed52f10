"""P9: what the simulator costs with all that a recorded run has (oracle, metrics, recording), in raw wake-ups.

A raw wake-up is one of a bare SimPy process among many: two per host, and of a thousand hosts where single calls and
Jobs are counted, so that the heap is as deep as there. Both are measured by turns, in CPU time, on a cluster whose
services run; what they do meanwhile is counted in, and is about 1 %.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any
from unittest.mock import patch

import msgspec
import simpy

from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.kinds import KINDS
from ave.model.cluster import Handler
from ave.model.states import move
from ave.model.vm import VM
from ave.model.work import Step, Work, WorkState
from ave.operations import OPERATIONS, Operation
from ave.ports.store import Change, In, Insert, Replace, Store
from ave.ports.together import Ports
from ave.verbs import VERBS
from drivers.sim.runtime import SimRuntime
from sim.recording import Recorder
from sim.scenario.model import Metadata, Scenario, Shape, Topology, Workload
from sim.story import Story
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
    return [*_calls(pairs, size), *_jobs(pairs, size), *_share(pairs, size)]


def cpu(work: Callable[[], object]) -> float:
    gc.collect()
    start = process_time()
    work()
    return process_time() - start


@contextmanager
def playing(hosts: int, *workload: Workload) -> Iterator[Story]:
    """A quiet cluster, recorded as by ``ave sim run --out``."""
    scenario = Scenario(
        metadata=Metadata(name="bench"),
        mode="cluster",
        seed=1,
        duration=FOR_EVER,
        topology=Topology(shapes=(Shape(hosts, 64, 512 * 1024, 8 * 1024),), masters=5, zones={}, networks=("default",)),
        workload=workload,
    )
    with TemporaryDirectory() as folder:
        now: Callable[[], float] = lambda: 0.0  # noqa: E731 - the world's, as soon as there is one
        with (
            Recorder(Path(folder, "events.jsonl.gz"), KINDS, lambda: now()) as recorder,
            Story(scenario, seed=1, recorder=recorder) as story,
        ):
            now = lambda: story.cluster.world.now  # noqa: E731
            story.play(stop=lambda: now() >= SETTLED)
            yield story


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


def _calls(pairs: int, size: float) -> list[Row]:
    times = max(1, int(40 * size))
    with playing(HOSTS) as story:
        bench = _Calls(story)
        raw = Raw(MANY)
        cases: dict[str, tuple[Callable[[int], float], float | None]] = {
            "store get": (lambda times: bench.cost(get, times), GOAL_CALL),
            "empty take": (lambda times: bench.cost(empty_take, times), GOAL_CALL),
            "beat: a Change that adds": (lambda times: bench.cost(beat, times), GOAL_CALL),
            "Replace of a task, 5 indexes": (lambda times: bench.replace_cost(times, heard=False), GOAL_INDEXED),
            "the same, and its worker hears of it": (lambda times: bench.replace_cost(times, heard=True), None),
        }
        return [
            Row("P9", what, _ratio(pairs, raw, size, partial(cost, times)), "wake-ups", goal, "less", due=False)
            for what, (cost, goal) in cases.items()
        ]


class _Calls:
    def __init__(self, story: Story) -> None:
        self._story = story
        cluster = story.cluster
        shelf = cluster.store.ledger.shelves[Handler].docs
        self._at: list[tuple[SimRuntime, Store, str, str]] = []
        for host, machine in cluster.machines.items():
            runtime = SimRuntime(cluster.world, f"{host}/bench", machine.clock)
            self._at.append((runtime, cluster.client(host, runtime)[0].store, host, shelf[host].uuid))
        self._tasks = 0

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
                    step="step",
                    function="bench",
                    lane=host if heard else "nobody's",
                    handler=f"{host}-bench-{self._tasks}",
                    state=WorkState.RUNNING,
                )
                begun.append((await store.commit(Insert(task)))[0])

        async def finish(store: Store, host: str, uuid: str) -> None:
            for _ in range(times):
                await store.commit(Replace(move(begun.pop(), WorkState.DONE, "did it", handler=""), {"finished": 0.0}))

        self._cost(insert)
        seconds = self._cost(finish)
        assert not begun
        return seconds / times

    def _cost(self, client: Call) -> float:
        """CPU seconds for each client until all are done."""
        world = self._story.cluster.world
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
    def __init__(self, story: Story) -> None:
        self._story = story
        self._director = SimRuntime(story.cluster.world, "bench")
        self._sent = 0

    def advance(self, tasks: int, count: int, per_second: float) -> None:
        """Let so many Jobs arrive, and all of them end."""

        async def arrivals() -> None:
            for _ in range(count):
                self._sent += 1
                self._story.user.spawn(BENCH.operation, Dag(f"thing-{self._sent}", tasks))
                await self._director.sleep(1.0 / per_second)

        world = self._story.cluster.world
        self._director.spawn(arrivals(), name="arrivals")
        world.advance(world.now + count / per_second + 1.0)

    def require_done(self) -> None:
        done = self._story.metrics.values()["jobs.done"]
        assert done == self._sent, f"{done} of {self._sent} Jobs are done"


def _jobs(pairs: int, size: float) -> list[Row]:
    rows = []
    with known(), playing(HOSTS) as story:
        jobs, raw = _Jobs(story), Raw(MANY)
        for what, tasks, count, goal in (
            ("whole Job of one task", 1, int(1000 * size), GOAL_ONE),
            ("whole Job of nine tasks", 9, int(300 * size), GOAL_NINE),
        ):
            cost = lambda tasks=tasks, count=count: cpu(lambda: jobs.advance(tasks, count, count / 2.0)) / count  # noqa: E731
            rows.append(Row("P9", what, _ratio(pairs, raw, size, cost), "wake-ups", goal, "less", due=False))
        jobs.require_done()
    return rows


# Events per second


def _share(pairs: int, size: float) -> list[Row]:
    rows = []
    for hosts, seconds in ((HOSTS, 1200.0), (MANY, 60.0)):
        with playing(hosts) as story:
            world = story.cluster.world
            cost = lambda: _per_event(story, lambda: world.advance(world.now + seconds * size))  # noqa: E731, B023
            share = 1.0 / _ratio(pairs, Raw(hosts), size, cost)
            rows.append(
                Row("P9", f"{hosts:,} quiet hosts, share of raw events/s", share, "", GOAL_QUIET, "more", due=False)
            )
    with known(), playing(HOSTS) as story:
        jobs = _Jobs(story)
        count = int(100 * size)
        cost = lambda: _per_event(story, lambda: jobs.advance(9, count, 0.02 * HOSTS))  # noqa: E731
        share = 1.0 / _ratio(pairs, Raw(HOSTS), size, cost)
        rows.append(Row("P9", f"{HOSTS} busy hosts, share of raw events/s", share, "", GOAL_BUSY, "more", due=False))
        jobs.require_done()
    return rows


def _per_event(story: Story, work: Callable[[], None]) -> float:
    world = story.cluster.world
    before = world.steps
    seconds = cpu(work)
    return seconds / (world.steps - before)


def _ratio(pairs: int, raw: Raw, size: float, cost: Callable[[], float]) -> float:
    """What it costs, in raw wake-ups: the median of pairs."""
    count = int(200_000 * size)
    cost()  # the first time warms up
    return median(cost() / raw.wakeup(count) for _ in range(pairs))
