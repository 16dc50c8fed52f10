"""Threads that do what blocks. A call is handed over whole, and comes back whole: one hop there and one back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

from ave.errors import Unavailable

OnLoop = Callable[[], None] | None  # what a thread wants to have run on the loop

BATCH_MAX = 64  # calls that are served together


class Call:
    """What a coroutine waits for. Cancelled before it is served, it is not served at all."""

    __slots__ = ("answer", "body", "error", "future")

    def __init__(self, body: Callable[..., Any], future: asyncio.Future[Any]) -> None:
        self.body, self.future = body, future
        self.answer: Any = None
        self.error: BaseException | None = None

    def deliver(self) -> None:
        if self.future.done():
            return  # nobody waits any more
        if self.error is None:
            self.future.set_result(self.answer)
        else:
            self.future.set_exception(self.error)


class Clerk:
    """A thread that serves calls in the order in which they came, together as many as are waiting.

    ``serve`` answers the calls; what it returns is run on the loop before the answers are delivered. ``idle`` runs after
    each ``idle_seconds`` while these are not 0, with the same right.
    """

    def __init__(
        self,
        name: str,
        serve: Callable[[Sequence[Call]], OnLoop],
        leave: Callable[[], None],
        idle: Callable[[], OnLoop] = lambda: None,
    ) -> None:
        self.idle_seconds = 0.0
        self._serve, self._leave, self._idle = serve, leave, idle
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Call] = []
        self._queue: SimpleQueue[list[Call] | None] = SimpleQueue()
        self._closed = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def ask(self, body: Callable[..., Any]) -> Any:
        """Run ``body`` on the thread. When this is cancelled, ``body`` runs whole or not at all."""
        if self._closed:
            raise Unavailable("this store is closed")
        return await self.send(body)

    async def close(self) -> None:
        """Serve what was asked for, ``leave``, and end the thread."""
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._hand_over)
        await asyncio.shield(self._ended)

    def send(self, body: Callable[..., Any]) -> asyncio.Future[Any]:
        """As ``ask``, for whoever does not wait here."""
        call = Call(body, self._loop.create_future())
        if not self._gathered:
            self._loop.call_soon(self._hand_over)  # with what else is asked for in this turn of the loop
        self._gathered.append(call)
        return call.future

    def _hand_over(self) -> None:
        calls, self._gathered = self._gathered, []
        self._queue.put(calls)
        if self._closed:
            self._queue.put(None)

    def _end(self) -> None:
        self._thread.join()
        if not self._ended.done():
            self._ended.set_result(None)

    # On the thread

    def _work(self) -> None:
        waiting: list[Call] = []
        open, idled = True, monotonic()
        while open or waiting:
            try:
                while open:
                    more = self._queue.get(not waiting, self.idle_seconds or None)
                    if more is None:
                        open = False
                    else:
                        waiting += more
            except Empty:
                pass
            if waiting:
                batch, waiting = waiting[:BATCH_MAX], waiting[BATCH_MAX:]
                self._post(self._served(batch), batch)
            if open and self.idle_seconds and monotonic() - idled >= self.idle_seconds:
                self._post(self._idle(), ())
                idled = monotonic()
        try:
            self._leave()
        finally:
            self._post(self._end, ())

    def _served(self, batch: Sequence[Call]) -> OnLoop:
        try:
            return self._serve(batch)
        except Exception as error:  # a bug: let those who wait say so, and go on
            for call in batch:
                call.error = error
            return None

    def _post(self, first: OnLoop, calls: Sequence[Call]) -> None:
        if first is None and not calls:
            return

        def deliver() -> None:
            try:
                if first is not None:
                    first()
            finally:
                for call in calls:
                    call.deliver()

        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            pass  # the loop is closed, and with it went all who waited
