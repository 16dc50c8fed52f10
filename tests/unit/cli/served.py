"""A host's API on a real socket, in a thread of this process: what is asked becomes Jobs that nobody executes but the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from ave.kinds import KINDS, SCHEMA
from ave.model.cluster import Handler
from ave.model.host import Host as HostDoc
from ave.model.host import HostState
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Result, Work, WorkState
from ave.ports.store import Insert, Replace
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.rest.server import Secret, listen, serve
from drivers.sqlite.store import SqliteStore
from tests.unit.api.lab import Lab

T = TypeVar("T")
SECONDS = 30.0


class Told(NamedTuple):
    code: int
    out: str
    err: str


Ave = Callable[..., Told]


def vm(id: str, **fields: Any) -> VM:
    return VM(**{"id": id, "vcpus": 2, "memory_mib": 4096, "state": VMState.RUNNING, "host": "h1", **fields})


class Served:
    """``do`` runs a coroutine beside the server, and answers what it does."""

    def __init__(self, url: str, lab: Lab, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.lab, self._loop = url, lab, loop

    def do(self, make: Callable[[Lab], Awaitable[T]]) -> T:
        async def done() -> T:
            return await make(self.lab)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(SECONDS)

    def put(self, *docs: Any) -> None:
        self.do(lambda lab: lab.put(*docs))

    def end(self, results: Mapping[str, Result], state: WorkState = WorkState.DONE) -> None:
        """Every Job that is open ends so."""

        async def end(lab: Lab) -> None:
            for work in await lab.store.find(Work):
                if work.state is WorkState.READY:
                    (led,) = await lab.store.commit(Replace(move(work, WorkState.RUNNING, "led")))
                    ended = msgspec.structs.replace(move(led, state, "it is over"), results=dict(results))
                    await lab.store.commit(Replace(ended))

        self.do(end)

    def jobs(self) -> list[Work]:
        return self.do(lambda lab: lab.store.find(Work))


@contextmanager
def served(folder: Path, secret: Secret | None = None) -> Iterator[Served]:
    """Until it is left, with a host h1 that answers, by TLS with ``secret``; what nobody foresaw there fails the test."""
    begun: list[Served] = []
    ready = threading.Event()
    over: list[asyncio.Event] = []

    async def main() -> None:
        runtime = AsyncioRuntime("h1/test")
        async with await SqliteStore.open(folder / "store", KINDS, schema=SCHEMA, synchronous="NORMAL") as store:
            lab = Lab(store, runtime, loopback=True)
            kept = [runtime.spawn(lab.view.run(), name="view")]
            where = listen("127.0.0.1", 0)
            kept.append(runtime.spawn(serve(lab.app, where, secret), name="api"))
            try:
                await lab.view.reach(0)
                await store.commit(Insert(HostDoc(id="h1", state=HostState.ONLINE, cpus=8, memory_mib=32_768)))
                await store.commit(Insert(Handler(id="h1", uuid="h1-1")))
                url = f"{'https' if secret else 'http'}://127.0.0.1:{where.getsockname()[1]}"
                over.append(asyncio.Event())
                begun.append(Served(url, lab, asyncio.get_running_loop()))
                ready.set()
                await over[0].wait()
            finally:
                for task in kept:
                    task.cancel()
                await lab.client.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    (here,) = begun
    try:
        yield here
    finally:
        here._loop.call_soon_threadsafe(over[0].set)
        thread.join(SECONDS)
    assert not thread.is_alive()
    assert not here.lab.bugs, here.lab.bugs
