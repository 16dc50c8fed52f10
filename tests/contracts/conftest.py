"""Each contract is one suite of ``async def`` tests; here is every driver it runs on. A new driver is one more row."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from ave.ports.store import Kind
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.mongo.settings import MongoSettings
from drivers.mongo.store import MongoStore
from drivers.mongo.watch import MongoWatch, revision_of
from drivers.sim.network import Network
from drivers.sim.runtime import Crash, SimRuntime, SimTask, World
from drivers.sim.store import ReplicaSet, SimStore
from drivers.sqlite.store import SqliteStore
from tests.contracts.store_machine import KINDS
from tests.mongod import NoMongod, single_node


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


class SqliteInFolder(SqliteStore):
    """A store whose file goes with it."""

    folder: TemporaryDirectory[str]

    async def close(self) -> None:
        await super().close()
        self.folder.cleanup()


async def sqlite_store(runtime: Any, kinds: Sequence[Kind], kept: int) -> SqliteStore:
    folder = TemporaryDirectory(prefix="ave-")
    store = await SqliteInFolder.open(Path(folder.name, "store"), kinds, schema=1, synchronous="NORMAL", kept=kept)
    store.folder = folder
    return store


_FORGOTTEN_WHILE_READ = 136  # CappedPositionLost


class MongoForTests(MongoStore):
    """A store whose database goes with it."""

    kept = 0

    async def watch(self, types: Sequence[type[Any]], since: int | None = None, where: Any = None) -> MongoWatch:
        if since is not None and self.kept < 1000:
            await self._forget_all_up_to(since)
        return await super().watch(types, since, where)

    async def _forget_all_up_to(self, since: int) -> None:
        """The server forgets by size: fill its log, once, and let the watches pass what was filled in."""
        client, self.kept = self._link.client, 1000
        filling = self._link.database["filling"]
        while True:
            await filling.insert_one({"much": bytes(6 * 2**20)})
            try:
                (oldest,) = await client.local["oplog.rs"].find().sort("$natural", 1).limit(1).to_list()
            except OperationFailure as error:
                if error.code != _FORGOTTEN_WHILE_READ:
                    raise
                continue
            if revision_of(oldest["ts"]) > since:
                break
            await asyncio.sleep(0.1)
        said = await filling.database.command("hello")  # it goes on forgetting, but nothing that is as new
        await filling.insert_one({})  # by which the watches hear how far they are
        while any(watch.revision < revision_of(said["operationTime"]) for watch in self._watches):
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self._link.client.drop_database(self._link.database.name)
        await super().close()


async def mongo_store(runtime: Any, kinds: Sequence[Kind], kept: int, uri: str) -> MongoForTests:
    settings = MongoSettings(uri=uri, database=f"ave-test-{token_hex(4)}")
    store = await MongoForTests.open(runtime, settings, kinds)
    assert isinstance(store, MongoForTests)
    store.kept = kept
    return store


PROCESSES: dict[str, type[Process]] = {"asyncio": Asyncio, "simpy": Simulated}
# name -> the process in which the driver lives, what makes an empty store that remembers `kept` commits, and the
# fixtures that it needs for that
STORES: dict[str, tuple[type[Process], Callable[..., Any], *tuple[str, ...]]] = {
    "sim": (Simulated, sim_store),
    "sqlite": (Asyncio, sqlite_store),
    "mongo": (Asyncio, mongo_store, "mongo_uri"),
}


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


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """A replica set for this test process. That there is none is a failure, here and in CI."""
    try:
        with single_node(("--syncdelay=1",), oplog_mb=16) as uri:  # so that it can be made to forget
            yield uri
    except NoMongod as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(params=STORES)
def stores(request: pytest.FixtureRequest) -> OpenStore:
    """``with stores(kinds) as (process, store)`` is an empty store, and the process that holds this client of it."""
    make_process, make_store, *fixtures = STORES[request.param]
    servers = [request.getfixturevalue(name) for name in fixtures]

    @contextmanager
    def open_store(kinds: Sequence[Kind], kept: int = 1000) -> Iterator[tuple[Process, Any]]:
        with closing(make_process()) as process:
            store = process.run(make_store(process.runtime, kinds, kept, *servers))
            try:
                yield process, store
            finally:
                if hasattr(store, "close"):
                    process.run(store.close())

    return open_store


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int:
    """How many sequences of calls are made up for this store: a real server takes its time."""
    return {"mongo": 20, "sqlite": 100}.get(request.node.callspec.params["stores"], 200)


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
