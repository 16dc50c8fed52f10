"""What of a host the application needs, and where its coroutines run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ave.api.desk import Answer, Desk, Manner
from ave.api.gate import Gate
from ave.api.view import View
from ave.model.access import Caller


class World(Protocol):
    """Where the desk's coroutines run: here, or in a simulated world that is served. ``apart``: it has a time of its own, so
    nobody knows how long an answer takes; who does not wait for it any more shall take it back."""

    @property
    def apart(self) -> bool: ...
    async def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any: ...


class Here:
    apart = False

    async def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return await make()


class Asked(Protocol):
    """A desk."""

    async def ask(self, caller: Caller, name: str, request: Any, manner: Manner) -> Answer: ...


class Host(Protocol):
    """What of a host the application needs. Of a simulated cluster another host may take over, with its own desk and view."""

    @property
    def name(self) -> str: ...
    @property
    def desk(self) -> Asked: ...
    @property
    def view(self) -> View: ...
    @property
    def gate(self) -> Gate: ...
    @property
    def world(self) -> World: ...
    @property
    def epoch(self) -> str:
        """It tells its revisions from those of any other cluster or world."""
        ...

    async def pause(self, seconds: float) -> None:
        """So long, or until the epoch is another one: who has sought another moment wants to see it."""
        ...


class Served:
    """What of a host the application needs, on the host itself."""

    def __init__(self, name: str, desk: Desk, view: View, gate: Gate, world: World) -> None:
        self.name, self.desk, self.view, self.gate, self.world = name, desk, view, gate, world

    @property
    def epoch(self) -> str:
        return self.view.epoch

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
