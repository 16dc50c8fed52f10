"""Something that runs on a loop of its own, in a thread of its own, while a block of ordinary code does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

BEGIN_SECONDS, END_SECONDS = 30.0, 10.0


@contextmanager
def in_background(main: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]) -> Iterator[T]:
    """Yields what ``main`` says as soon as it has begun; at the end of the block it is cancelled, and waited for.

    Raises what it raises before it has begun; TimeoutError if it does not begin, or end, in time.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any], T]] = Future()

    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        await main(lambda said: begun.set_result((loop, task, said)))

    def run() -> None:
        try:
            asyncio.run(body())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    thread = Thread(target=run, name="served world", daemon=True)
    thread.start()
    loop, task, said = begun.result(BEGIN_SECONDS)
    try:
        yield said
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(task.cancel)
        thread.join(END_SECONDS)
        if thread.is_alive():
            raise TimeoutError(f"{thread.name} does not end within {END_SECONDS:g} s")
