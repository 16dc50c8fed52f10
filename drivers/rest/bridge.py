"""From the loop into the simulated world and back: a request's coroutine runs on the host's own simulated runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ave.errors import UnknownOutcome
from ave.runtime import Task
from drivers.rest.stepper import Errand, Stepper
from drivers.sim.runtime import SimRuntime

CALL_SECONDS = 120.0  # real ones

Make = Callable[[], Coroutine[Any, Any, Any]]


class Inside(Protocol):
    """The world as a bridge needs it."""

    def runtime(self) -> SimRuntime:
        """Of the host whose API answers now. Raises Unavailable if none does."""
        ...

    def drop(self, task: Task[Any]) -> None:
        """Cancel it: nobody waits for what it would answer."""
        ...


class Bridge:
    apart = True

    def __init__(self, stepper: Stepper, world: Inside) -> None:
        self._stepper, self._world = stepper, world

    async def call(self, make: Make) -> Any:
        """Its answer, or what it raises: whatever that is, the world goes on. Whoever is cancelled cancels it in there.

        Raises Unavailable, Standing, TimeoutError; UnknownOutcome if the host is lost meanwhile.
        """
        runtime, stepper = self._world.runtime(), self._stepper
        errand = stepper.begin()
        lost = UnknownOutcome(f"{runtime.name.partition('/')[0]} was lost while it answered")
        runtime.on_stop[errand] = lambda: errand.fail(lost)
        task = runtime.spawn(_told(make, errand), name="request")
        try:
            stepper.look()
            async with asyncio.timeout(CALL_SECONDS):
                return await errand.answer
        finally:
            stepper.end(errand)
            runtime.on_stop.pop(errand, None)
            if not task.done():
                self._world.drop(task)
                stepper.look()


async def _told(make: Make, errand: Errand) -> None:
    try:
        value = await make()
    except Exception as error:
        errand.fail(error)
    else:
        if not errand.answer.done():
            errand.answer.set_result(value)
