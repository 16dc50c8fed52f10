"""A simulated world with the API before it: the world, its clock and HTTP on one loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any, Protocol

import msgspec
from msgspec import UNSET
from starlette.types import ASGIApp

from ave.api.gate import Gate, Open
from ave.api.problems import Taken
from ave.api.view import View
from ave.runtime import Task
from drivers.rest.app import application
from drivers.rest.bridge import Bridge
from drivers.rest.host import Asked
from drivers.rest.host import World as Answering
from drivers.rest.server import serve
from drivers.rest.simulated import CLOCK, FAULTS, Clock, Mark, SetClock, Speed, Timeline
from drivers.rest.stepper import Stepper, Steps
from drivers.rest.within import Within
from drivers.sim.runtime import SimRuntime


class World(Steps, Protocol):
    """``host``, ``desk``, ``view`` and ``runtime`` are those of the host whose API answers now."""

    @property
    def desk(self) -> Asked: ...
    @property
    def view(self) -> View: ...
    def runtime(self) -> SimRuntime: ...
    def drop(self, task: Task[Any]) -> None: ...
    def marks(self) -> Sequence[Any]:
        """Moments to find again, each with ``t`` and ``text``."""
        ...

    def faults(self) -> Any: ...
    def begin_fault(self, said: Any) -> Any: ...
    def end_fault(self, id: str) -> Any: ...


class ServedHost:
    def __init__(self, world: World, bridge: Bridge) -> None:
        self._world = world
        self.world: Answering = bridge
        self.gate: Gate = Open()
        self.epoch = token_hex(6)  # no other world's revisions mean anything here

    @property
    def name(self) -> str:
        return self._world.host

    @property
    def desk(self) -> Asked:
        return self._world.desk

    @property
    def view(self) -> View:
        return self._world.view


class Served:
    """What can be asked of the simulation itself."""

    def __init__(self, world: World, stepper: Stepper) -> None:
        self._world, self._stepper = world, stepper

    @property
    def extensions(self) -> tuple[str, ...]:
        return CLOCK, FAULTS

    def clock(self) -> Clock:
        return msgspec.structs.replace(self._stepper.clock(), marks=len(self._world.marks()))

    async def set_clock(self, wish: SetClock) -> Clock:
        if wish.at is not UNSET:
            raise Taken("this world keeps no recording, so there is no way back in it")
        await self._stepper.set(wish)
        return self.clock()

    def timeline(self) -> Timeline:
        marks = tuple(Mark(each.t, each.text) for each in self._world.marks())
        return Timeline(begin=0.0, end=self._world.now, marks=marks, partial=True)

    def faults(self) -> Any:
        return self._world.faults()

    def begin_fault(self, said: Any) -> Any:
        begun = self._world.begin_fault(said)
        self._stepper.look()
        return begun

    def end_fault(self, id: str) -> Any:
        ended = self._world.end_fault(id)
        self._stepper.look()
        return ended


async def serve_world(
    world: World,
    where: socket.socket,
    *,
    speed: Speed,
    paused: bool = False,
    eager: bool = False,
    bug: Callable[[BaseException], None],
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Until it is cancelled."""
    stepper = Stepper(world, speed=speed, paused=paused, eager=eager, say=say)
    async with asyncio.TaskGroup() as group:
        group.create_task(stepper.run())
        group.create_task(serve(_application(world, stepper, bug), where))


@asynccontextmanager
async def world_within(
    world: World,
    *,
    speed: Speed,
    paused: bool = False,
    bug: Callable[[BaseException], None],
    say: Callable[[str], None] = lambda text: None,
) -> AsyncIterator[Within]:
    """The same without a socket: for a client on this very loop, while a block of it runs."""
    stepper = Stepper(world, speed=speed, paused=paused, say=say)
    running = asyncio.ensure_future(stepper.run())
    running.add_done_callback(lambda ended: _tell_end(ended, bug))
    try:
        async with Within(_application(world, stepper, bug)) as transport:
            yield transport
    finally:
        running.cancel()


def _tell_end(ended: asyncio.Future[None], bug: Callable[[BaseException], None]) -> None:
    if not ended.cancelled() and (error := ended.exception()) is not None:
        bug(error)


def _application(world: World, stepper: Stepper, bug: Callable[[BaseException], None]) -> ASGIApp:
    return application(ServedHost(world, Bridge(stepper, world)), bug=bug, simulation=Served(world, stepper))
