"""What of a host the application needs, and where its coroutines run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ave.api.desk import Desk
from ave.api.gate import Gate
from ave.api.view import View


class World(Protocol):
    """Where the desk's coroutines run: here, or in a simulated world that is served."""

    async def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any: ...


class Here:
    async def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return await make()


class Served:
    """What of a host the application needs. ``epoch`` tells its revisions from those of any other cluster or world."""

    def __init__(self, name: str, desk: Desk, view: View, gate: Gate, world: World, epoch: str) -> None:
        self.name, self.desk, self.view, self.gate, self.world, self.epoch = name, desk, view, gate, world, epoch
