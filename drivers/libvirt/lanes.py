"""Calls that may never come back, each in a thread of its own, few at a time, with a limit to the waiting.

A thread cannot be ended. One that hangs keeps its place in its lane until its connection is given up by libvirt's keepalive;
when a lane is full, whoever comes is told at once, and nothing of theirs happens later.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from ave.errors import Unavailable, UnknownOutcome
from drivers.libvirt.link import session

T = TypeVar("T")


class Lane(StrEnum):
    LOOK = "look"
    ACT = "act"
    PAUSE = "pause"  # of its own: a lease that ends waits for nobody
    COPY = "copy"  # migrations: minutes


PLACES = {Lane.LOOK: 8, Lane.ACT: 24, Lane.PAUSE: 64, Lane.COPY: 8}


class Lanes:
    def __init__(self, host: str) -> None:
        self._host = host
        self._free = {lane: threading.Semaphore(places) for lane, places in PLACES.items()}

    async def look(self, what: str, function: Callable[[], T], seconds: float) -> T:
        """Unavailable without an answer: a look that comes late changes nothing."""
        try:
            return await self.act(what, function, seconds, Lane.LOOK)
        except UnknownOutcome as lost:
            raise Unavailable(*lost.args) from lost

    async def act(self, what: str, function: Callable[[], T], seconds: float, lane: Lane = Lane.ACT) -> T:
        """UnknownOutcome without an answer in time: it may yet happen. Unavailable when the lane is full."""
        answer = self.begin(what, function, lane)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(answer)
        except TimeoutError:
            answer.add_done_callback(unheard)
            raise UnknownOutcome(f"{what} on {self._host}: no answer within {seconds:g} s") from None
        except asyncio.CancelledError:
            answer.add_done_callback(unheard)
            raise

    def begin(self, what: str, function: Callable[[], T], lane: Lane) -> asyncio.Future[T]:
        """The answer to come."""
        loop, free = asyncio.get_running_loop(), self._free[lane]
        if not free.acquire(blocking=False):
            raise Unavailable(f"{what} on {self._host}: {PLACES[lane]} calls of its kind wait for libvirt already")
        answer: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                with session():
                    result, error = function(), None
            except BaseException as raised:
                result, error = None, raised
            finally:
                free.release()
            try:
                loop.call_soon_threadsafe(_give, answer, result, error)
            except RuntimeError:
                pass  # the loop has ended, and nobody waits

        threading.Thread(target=run, name=f"libvirt/{self._host}/{lane}", daemon=True).start()
        return answer


def _give(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.cancelled():
        return
    if isinstance(error, OSError):
        failed = Unavailable(f"{error.filename or 'the disk'}: {error.strerror}")
        failed.__cause__ = error
        answer.set_exception(failed)
    elif error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


def unheard(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more: an error of it is nobody's."""
    if not answer.cancelled():
        answer.exception()
