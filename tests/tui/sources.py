"""Sources that tests look through: a simulated cluster on the test's own loop, as fast or as still as a test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import httpx2

from drivers.rest.served import world_within
from drivers.rest.simulated import Speed
from sim.serve import scenario_of
from sim.served import Served
from tui.model import Model
from tui.source import Api

REAL_SECONDS = 30.0  # a test gives up


class Seen:
    """A source, the model that it fills, and the world behind it."""

    def __init__(self, source: Api, world: Any) -> None:
        self.source, self.world, self.model = source, world, Model()

    async def until(self, found: Callable[[Any], Any]) -> Any:
        """For what the model shall show: never for seconds."""
        ends = monotonic() + REAL_SECONDS
        while not (what := found(self.model)):
            assert monotonic() < ends, f"{self.model.state}: {self.model.why}"
            await asyncio.sleep(0.01)
        return what


Through = Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport]


@asynccontextmanager
async def seen(
    *, hosts: int = 4, speed: Speed = 60.0, paused: bool = False, through: Through = lambda transport: transport
) -> AsyncIterator[Seen]:
    """Of a small simulated cluster; ``through`` stands between it and the source. A bug in either fails the test."""
    with Served(scenario_of(f"sim:{hosts}-host")) as served:
        async with seen_of(served, speed=speed, paused=paused, through=through) as it:
            yield it


@asynccontextmanager
async def seen_of(
    world: Any,
    *,
    speed: Speed = 60.0,
    paused: bool = False,
    interval: float = 0.0,
    through: Through = lambda transport: transport,
) -> AsyncIterator[Seen]:
    bugs: list[BaseException] = []
    async with world_within(world, speed=speed, paused=paused, bug=bugs.append) as transport:
        source = Api("test", ("http://localhost",), transport=through(transport), interval=interval)
        it = Seen(source, world)
        running = asyncio.ensure_future(source.run(it.model))
        try:
            yield it
        finally:
            running.cancel()
            await asyncio.wait([running])
            await source.close()
            assert running.cancelled(), running.exception()
    assert not bugs, bugs


def run(main: Any) -> None:
    asyncio.run(asyncio.wait_for(main, 2 * REAL_SECONDS))
