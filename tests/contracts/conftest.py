"""Each contract is one suite of ``async def`` tests; here is every driver it runs on. A new driver is one more row."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import pytest

from ave.ports.store import Kind
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.sim.network import Network
from drivers.sim.runtime import Crash, SimRuntime, SimTask, World
from drivers.sim.store import ReplicaSet, SimStore
from tests.contracts.store_machine import KINDS


def finish_task(world: World, task: SimTask, limit: float = 1000.0) -> Any:
    """Step the world until the task has ended, and answer as its ``join`` would."""
    deadline = world.now + limit
    try:
        while not task.processed:
            if world.peek() > deadline:
                raise TimeoutError(f"{task.name} did not end")
            world.step()
    except Crash as crash:
        raise (crash.__cause__ or crash) from None
    if isinstance(task.value, BaseException) and not task.ok:
        raise task.value
    return task.value


class Asyncio:
    """A process on the real loop and the real clock."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self.runtime = self._runner.run(self._start())

    async def _start(self) -> AsyncioRuntime:
        return AsyncioRuntime("process")

    def run(self, main: Coroutine[Any, Any, Any], limit: float = 10.0) -> Any:
        return self._runner.run(asyncio.wait_for(self.runtime.supervise(main), limit))

    def close(self) -> None:
        self._runner.close()


class Simulated:
    """A process in a world of its own."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self.runtime = SimRuntime(self.world, "process")

    def run(self, main: Coroutine[Any, Any, Any], limit: float = 1000.0) -> Any:
        return finish_task(self.world, self.runtime.spawn(main, name="main"), limit)

    def close(self) -> None:
        self.world.close()


Process = Asyncio | Simulated
OpenStore = Callable[..., AbstractContextManager[tuple[Process, Any]]]


async def sim_store(runtime: Any, kinds: Sequence[Kind], kept: int) -> SimStore:
    network = Network(("one", "two", "three"))
    replica_set = ReplicaSet(runtime.world, network, network.hosts, kinds)
    replica_set.ledger.log = deque(maxlen=kept)
    return SimStore(replica_set, runtime, "one")


PROCESSES: dict[str, type[Process]] = {"asyncio": Asyncio, "simpy": Simulated}
# name -> the process in which the driver lives, and what makes an empty store that remembers `kept` commits
STORES: dict[str, tuple[type[Process], Callable[..., Any]]] = {"sim": (Simulated, sim_store)}


IN_PROCESS = pytest.StashKey[Process]()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """An ``async def`` test runs inside the process that its fixtures opened."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    pyfuncitem.stash[IN_PROCESS].run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(params=PROCESSES)
def process(request: pytest.FixtureRequest) -> Iterator[Process]:
    with closing(PROCESSES[request.param]()) as process:
        request.node.stash[IN_PROCESS] = process
        yield process


@pytest.fixture
def rt(process: Process) -> Any:
    return process.runtime


@pytest.fixture
def run(process: Process) -> Callable[..., Any]:
    """``run(main)`` runs ``main(runtime)`` as a process; not to have ended after ``limit`` is an error."""
    return lambda main, **limit: process.run(main(process.runtime), **limit)


@pytest.fixture(params=STORES)
def stores(request: pytest.FixtureRequest) -> OpenStore:
    """``with stores(kinds) as (process, store)`` is an empty store, and the process that holds this client of it."""
    make_process, make_store = STORES[request.param]

    @contextmanager
    def open_store(kinds: Sequence[Kind], kept: int = 1000) -> Iterator[tuple[Process, Any]]:
        with closing(make_process()) as process:
            yield process, process.run(make_store(process.runtime, kinds, kept))

    return open_store


@pytest.fixture
def opened(stores: OpenStore, request: pytest.FixtureRequest) -> Iterator[tuple[Process, Any]]:
    with stores(KINDS) as opened:
        request.node.stash[IN_PROCESS] = opened[0]
        yield opened


@pytest.fixture
def store(opened: tuple[Process, Any]) -> Any:
    return opened[1]


@pytest.fixture
def store_rt(opened: tuple[Process, Any]) -> Any:
    return opened[0].runtime


@pytest.fixture
def finish() -> Callable[..., Any]:
    return finish_task
