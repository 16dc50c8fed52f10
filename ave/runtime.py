"""The port through which time, chance and concurrency enter the control plane.

Everything under ``ave/`` is ordinary ``async def`` code that awaits only what a Runtime or another port hands out.
``drivers.asyncio_runtime`` fills the port in production, ``drivers.sim.runtime`` in the simulator. One Runtime is one
*process* on one host: a simulated process can lose power, stall, or live on a host whose clock is wrong.

Two rules for everything written on it. ``finally`` never awaits: power loss skips it and cancellation may interrupt it,
so what must be undone belongs to leases and Jobs. And no time is compared between hosts: ``now()`` measures durations.
"""

from __future__ import annotations

from asyncio import CancelledError as Cancelled  # the class only: no event loop comes with it
from collections.abc import Awaitable, Coroutine
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Protocol, TypeVar

__all__ = ["Cancelled", "Random", "Runtime", "Signal", "Task"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Signal(Protocol):
    """A flag that coroutines can wait for; waiters wake in the order in which they came."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    async def wait(self) -> Any: ...


class Task(Protocol[T_co]):
    """A coroutine that runs on its own. An error that nobody joins for stops the process."""

    def done(self) -> bool: ...

    def cancel(self) -> Any:
        """Raise Cancelled where the task awaits; a task that has not started never runs its body."""
        ...

    async def join(self) -> T_co:
        """Return what the task returned, or raise what it raised. Cancelling the joiner spares the task."""
        ...


class Runtime(Protocol):
    """All that a control plane needs to know of the outside world. Seconds are floats."""

    random: Random  # one stream per process; in production the system's

    def now(self) -> float:
        """Monotonic seconds on this host since an arbitrary moment."""
        ...

    def sleep(self, seconds: float) -> Awaitable[Any]: ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        """Raise the builtin TimeoutError in the body after this long."""
        ...

    def signal(self) -> Signal: ...

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str) -> Task[T]: ...

    def secret(self, size: int) -> bytes:
        """Unguessable bytes; never from a seeded stream in production."""
        ...

    def log(self, event: str, /, **fields: Any) -> None:
        """One line of the story that operators, tests and the dashboard read."""
        ...
