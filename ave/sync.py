"""Concurrency tools written once, on the Runtime port alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from ave.errors import Refused
from ave.runtime import Cancelled, Runtime, Signal

T = TypeVar("T")


class Slots:
    """A fixed number of places, granted in the order in which they were asked for."""

    def __init__(self, runtime: Runtime, count: int) -> None:
        self._runtime = runtime
        self._waiting: deque[Signal] = deque()
        self.count = count
        self.free = count

    async def acquire(self) -> None:
        if self.free and not self._waiting:
            self.free -= 1
            return
        turn = self._runtime.signal()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.release()  # granted, then cancelled: pass it on
            else:
                self._waiting.remove(turn)
            raise

    def grab(self) -> None:
        """Take a place that is known to be free."""
        assert self.free > 0, "no place is free"
        self.free -= 1

    def release(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self.free += 1

    @contextmanager
    def returned(self) -> Iterator[None]:
        """Give a place that was acquired back at the end, whatever happens."""
        try:
            yield
        finally:
            self.release()


class Inbox(Generic[T]):
    """A bounded queue with one reader. What does not fit is refused, never silently dropped."""

    def __init__(self, runtime: Runtime, bound: int) -> None:
        self._items: deque[T] = deque()
        self._arrived = runtime.signal()
        self._bound = bound

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        if len(self._items) >= self._bound:
            raise Refused(f"inbox is full: {self._bound} items wait")
        self._items.append(item)
        self._arrived.set()

    async def get(self) -> T:
        while not self._items:
            self._arrived.clear()
            await self._arrived.wait()
        return self._items.popleft()


async def gather(runtime: Runtime, *coros: Coroutine[Any, Any, T], name: str) -> list[T]:
    """Run all side by side and return their results in order; the first error cancels the rest and is raised."""
    results: dict[int, T] = {}

    async def keep(index: int, coro: Coroutine[Any, Any, T]) -> None:
        results[index] = await coro

    await together(runtime, {f"{name}-{i}": keep(i, coro) for i, coro in enumerate(coros)})
    return [results[i] for i in range(len(coros))]


async def together(runtime: Runtime, services: dict[str, Coroutine[Any, Any, Any]]) -> None:
    """Run services side by side until all end; when one fails, cancel the rest and raise its error."""
    if not services:
        return
    first_error: list[BaseException] = []
    over = runtime.signal()
    left = len(services)

    async def watched(coro: Coroutine[Any, Any, Any]) -> None:
        nonlocal left
        try:
            await coro
        except (Exception, Cancelled) as error:
            first_error.append(error)
            over.set()
        finally:
            left -= 1
            if left == 0:
                over.set()

    tasks = [runtime.spawn(watched(coro), name=name) for name, coro in services.items()]
    try:
        await over.wait()
    finally:
        for task in tasks:
            task.cancel()
    if first_error:
        raise first_error[0]
