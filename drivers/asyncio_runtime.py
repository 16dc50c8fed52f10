"""Runtime on asyncio, for production. Deliberately almost nothing."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from random import Random, SystemRandom
from typing import Any, TypeVar

from drivers.decoding import make_ready

T = TypeVar("T")

logger = logging.getLogger("ave")


class AsyncioTask:
    def __init__(self, task: asyncio.Task[Any], on_unhandled: Callable[[BaseException], None]) -> None:
        self._task, self._on_unhandled = task, on_unhandled
        self._joiners = 0
        task.add_done_callback(self._ended)

    def done(self) -> bool:
        return self._task.done()

    def cancel(self) -> bool:
        return self._task.cancel()

    async def join(self) -> Any:
        self._joiners += 1
        try:
            return await asyncio.shield(self._task)  # cancelling the joiner spares the task
        finally:
            self._joiners -= 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._joiners:
            self._on_unhandled(error)


def _of_one_line(text: str) -> str:
    """What somebody else has written begins no line of its own in our log, and steers no terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class AsyncioRuntime:
    """One process. ``supervise`` its main coroutine, or errors that nobody joins for go unheard."""

    def __init__(self, name: str, seed: int | None = None) -> None:
        make_ready()  # whoever has a runtime may soon have threads
        self.name = name
        self.random: Random = SystemRandom() if seed is None else Random(f"{seed}/{name}")
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[AsyncioTask, None] = {}  # the loop itself keeps only weak references
        self._failed: asyncio.Future[None] = self._loop.create_future()

    async def supervise(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the process's main coroutine; raise the first error that nobody was waiting for."""
        task = asyncio.ensure_future(main)
        try:
            waiting: list[asyncio.Future[Any]] = [task, self._failed]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            return await task
        finally:
            task.cancel()

    def now(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds)

    def signal(self) -> asyncio.Event:
        return asyncio.Event()

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str) -> AsyncioTask:
        task = self._loop.create_task(coro, name=f"{self.name}/{name}")
        handle = AsyncioTask(task, self._unhandled)
        self._tasks[handle] = None
        task.add_done_callback(lambda _: self._tasks.pop(handle, None))
        return handle

    def secret(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    def log(self, event: str, /, **fields: Any) -> None:
        logger.info("%s %s %s", self.name, event, " ".join(f"{k}={_of_one_line(str(v))}" for k, v in fields.items()))

    def _unhandled(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
