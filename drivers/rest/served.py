"""A simulated world with the API before it: the world, its clock and HTTP on one loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Protocol

from ave.api.gate import Gate, Open
from ave.api.view import View
from ave.runtime import Task
from drivers.rest.app import application
from drivers.rest.bridge import Bridge
from drivers.rest.host import Asked
from drivers.rest.host import World as Answering
from drivers.rest.server import serve
from drivers.rest.simulated import Clock, SetClock, Speed
from drivers.rest.stepper import Stepper, Steps
from drivers.sim.runtime import SimRuntime


class World(Steps, Protocol):
    """``host``, ``desk``, ``view`` and ``runtime`` are those of the host whose API answers now."""

    @property
    def desk(self) -> Asked: ...
    @property
    def view(self) -> View: ...
    def runtime(self) -> SimRuntime: ...
    def drop(self, task: Task[Any]) -> None: ...
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

    def clock(self) -> Clock:
        return self._stepper.clock()

    async def set_clock(self, wish: SetClock) -> Clock:
        return await self._stepper.set(wish)

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
    host = ServedHost(world, Bridge(stepper, world))
    app = application(host, bug=bug, simulation=Served(world, stepper))
    async with asyncio.TaskGroup() as group:
        group.create_task(stepper.run())
        group.create_task(serve(app, where))
