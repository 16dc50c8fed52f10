"""A simulated world with the API before it: the world, its clock and HTTP on one loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf
from secrets import token_hex
from typing import Any, Protocol

import msgspec
from msgspec import UnsetType
from starlette.types import ASGIApp

from ave.api.gate import Gate, Open
from ave.api.view import View
from ave.runtime import Task
from drivers.rest.app import application
from drivers.rest.bridge import Bridge
from drivers.rest.host import Asked, Here
from drivers.rest.host import World as Answering
from drivers.rest.server import serve
from drivers.rest.simulated import Clock, Mark, SetClock, Speed, Timeline, When
from drivers.rest.stepper import Stepper, Steps
from drivers.rest.within import Within
from drivers.sim.runtime import SimRuntime


class World(Steps, Protocol):
    """``host``, ``desk``, ``view`` and ``runtime`` are those of the host whose API answers now."""

    @property
    def desk(self) -> Asked: ...
    @property
    def view(self) -> View: ...
    @property
    def begin(self) -> float:
        """From when on it can be seen, ``end``: up to when."""
        ...

    @property
    def end(self) -> float: ...
    @property
    def past(self) -> bool:
        """Is it shown as it was once? Then nothing goes on in it, and whoever asks is answered where he is."""
        ...

    @property
    def jumps(self) -> int:
        """How often another moment was sought: across one, revisions mean nothing."""
        ...

    @property
    def extensions(self) -> tuple[str, ...]: ...
    @property
    def damage(self) -> str: ...
    @property
    def partial(self) -> bool: ...
    def runtime(self) -> SimRuntime: ...
    def drop(self, task: Task[Any]) -> None: ...
    def seek(self, at: When) -> None:
        """Raises Taken."""
        ...

    def marks(self) -> Sequence[Any]:
        """Moments to find again, each with ``t`` and ``text``."""
        ...

    def faults(self) -> Any: ...
    def begin_fault(self, said: Any) -> Any: ...
    def end_fault(self, id: str) -> Any: ...


class Jumps:
    """Who waits is woken when another moment has been sought."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def jumped(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._next.wait()


class ServedHost:
    def __init__(self, world: World, bridge: Bridge, jumps: Jumps) -> None:
        self._world, self._bridge = world, bridge
        self.pause = jumps.wait
        self.gate: Gate = Open()
        self._epoch = token_hex(6)  # no other world's revisions mean anything here

    @property
    def name(self) -> str:
        return self._world.host

    @property
    def world(self) -> Answering:
        return _HERE if self._world.past else self._bridge

    @property
    def epoch(self) -> str:
        return f"{self._epoch}-{self._world.jumps}"

    @property
    def desk(self) -> Asked:
        return self._world.desk

    @property
    def view(self) -> View:
        return self._world.view


_HERE = Here()


class Served:
    """What can be asked of the simulation itself."""

    def __init__(self, world: World, stepper: Stepper, jumps: Jumps) -> None:
        self._world, self._stepper, self._jumps = world, stepper, jumps

    @property
    def extensions(self) -> tuple[str, ...]:
        return self._world.extensions

    def clock(self) -> Clock:
        world, clock = self._world, self._stepper.clock()
        return msgspec.structs.replace(
            clock,
            begin=round(world.begin, 6),
            end=round(world.end, 6),
            past=world.past,
            marks=len(world.marks()),
            damage=world.damage,
            paused=clock.paused or (world.past and world.peek() == inf and world.now >= world.end),
        )

    async def set_clock(self, wish: SetClock) -> Clock:
        if not isinstance(wish.at, UnsetType):
            await self._stepper.set(SetClock(paused=True))
            self._world.seek(wish.at)
            self._stepper.moved()
            self._jumps.jumped()
        await self._stepper.set(wish)
        return self.clock()

    def timeline(self) -> Timeline:
        world = self._world
        marks = tuple(Mark(each.t, each.text) for each in world.marks())
        return Timeline(begin=world.begin, end=world.end, marks=marks, partial=world.partial, damage=world.damage)

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
    jumps = Jumps()
    host = ServedHost(world, Bridge(stepper, world), jumps)
    return application(host, bug=bug, simulation=Served(world, stepper, jumps))
