"""The dashboard before a simulated cluster of six hosts in two zones, one of which has lost power and is being rescued.

It is the real control plane, served within the test's own loop, and the same to the byte each time: the world is led to its
moment before anybody looks, and stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
from textual import events
from textual.pilot import Pilot

from drivers.rest.served import world_within
from drivers.rest.simulated import Speed
from sim.scenario.load import loads
from sim.served import Served
from sim.tables import CATALOGUE
from tui.app import Dashboard
from tui.keys import name_of
from tui.model import State
from tui.source import Api

SCENARIO = """
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: pictures, description: six hosts in two zones}
spec:
  seed: 7
  duration: 1h
  topology: {hosts: 6, cpu: 32, memory: 128GiB, masters: 3, zones: {a: 3, b: 3}}
  groups:
    - {name: db-apart, rule: must-different-hosts}
    - {name: web-in-a, rule: prefer-zone, zone: a}
  workload:
    - {fleet: db, count: 5, vcpu: 4, memory: 16GiB, disk: 100GiB, priority: high, groups: [db-apart]}
    - {fleet: web, count: 24, vcpu: 2, memory: 8GiB, disk: 20GiB, groups: [web-in-a]}
    - fleet: ci
      count: 40
      vcpu: 1
      memory: 2GiB
      disk: 10GiB
      ha: false
      arrive: {dist: poisson, rate: 240/h, batch: 2}
      life: {dist: lognormal, median: 90s, sigma: 0.5}
"""
CRASH, MOMENT = 60.0, 151.3
REAL_SECONDS, LIMIT_SECONDS = 45.0, 110.0  # who waits for one thing, and a whole test, gives up


class Board:
    def __init__(self, app: Dashboard, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    def send(self, *keys: str) -> None:
        """As the terminal would say it: all at once."""
        driver = self.app._driver
        assert driver is not None
        for key in keys:
            event = events.Key(name_of(key) if len(key) == 1 else key, key if len(key) == 1 else None)
            event.set_sender(self.app)
            driver.send_message(event)

    async def press(self, *keys: str) -> None:
        """Until what they do was begun. A pilot's own press waits until the processor rests."""
        self.send(*keys)
        await self.pilot.pause(0)  # the first has come
        await self.until(lambda: not self.app.typed_ahead)
        await self.settle()

    async def type(self, text: str) -> None:
        await self.press(*text)

    async def settle(self) -> None:
        """All that is asked for has been drawn: what is shown, how it is laid out, and what follows of that."""
        self.app._repaint()
        for _ in range(3):
            await self.pilot.pause(0)

    async def until(self, found: Callable[[], Any], seconds: float = REAL_SECONDS) -> Any:
        ends = monotonic() + seconds
        while not (what := found()):
            assert monotonic() < ends, (
                f"{self.app.model.state} {self.app.model.why}, {self.app.place}, {self.app.screen}"
            )
            await asyncio.sleep(0.01)
        return what

    def text(self) -> str:
        """What stands on the screen, line by line."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join(line.text for line in lines[:height])[: (width + 1) * height]


@asynccontextmanager
async def before(
    transport: httpx2.AsyncBaseTransport, *, size: tuple[int, int] = (120, 40), **of_app: Any
) -> AsyncIterator[Board]:
    """The dashboard before whatever answers there."""
    source = Api("demo", ("http://127.0.0.1",), transport=transport)
    app = Dashboard(source, **of_app)
    async with app.run_test(size=size, notifications=True) as pilot:
        it = Board(app, pilot)
        await it.until(lambda: app.model.state is State.LIVE and app.model.docs["vm"] and app.model.series)
        await it.settle()
        yield it
    await source.close()


@asynccontextmanager
async def board(
    *,
    size: tuple[int, int] = (120, 40),
    moment: float = MOMENT,
    crash: bool = True,
    speed: Speed = 60.0,
    paused: bool = True,
    scenario: str = SCENARIO,
    prepare: Callable[[Served], None] = lambda served: None,
    through: Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport] = lambda transport: transport,
    **of_app: Any,
) -> AsyncIterator[Board]:
    """A bug in the world or in the dashboard fails the test."""
    bugs: list[BaseException] = []
    with Served(loads(scenario, CATALOGUE, Path("pictures"))) as served:
        if crash:
            served.advance(CRASH)
            served.begin_fault({"fault": "host-crash", "target": "host-3", "for": "5m"})
        prepare(served)
        served.advance(moment)
        async with (
            world_within(served, speed=speed, paused=paused, bug=bugs.append) as transport,
            before(through(transport), size=size, **of_app) as it,
        ):
            yield it
    assert not bugs, bugs


def raised(bug: BaseException) -> None:
    """Of a world in which none may come."""
    raise bug


def run(main: Any) -> None:
    asyncio.run(asyncio.wait_for(main, LIMIT_SECONDS))
