"""Runtime on SimPy: the same coroutines, driven by the simulation's event queue.

A coroutine can be resumed by anything that keeps its ``send``; here that is a SimPy callback. An awaitable is a SimPy event
that yields itself, so a control-plane coroutine costs about what a native SimPy process costs, and everything in a world
shares one queue, one order, one seed. This is the hot path of every simulation: look at ``make bench`` when you change it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Generator
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any

import simpy
from simpy.events import NORMAL, Event

from ave.runtime import Cancelled

Tell = Callable[[str, str, dict[str, Any]], None]  # (process, event, fields)


class Crash(Exception):
    """A task ended with an error that nobody joins for: in production its process would stop."""

    def __init__(self, process: str, task: str, error: str) -> None:
        super().__init__(process, task, error)
        self.process, self.task, self.error = process, task, error

    def __str__(self) -> str:
        return f"{self.process}/{self.task}: {self.error}"


class World(simpy.Environment):
    """A SimPy environment with one seed and one story for everything in it. Close it: see ``close``."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.current: SimTask | None = None
        self.tasks: dict[SimTask, None] = {}  # a set that remembers the order of birth
        self.tell: Tell = lambda process, event, fields: None
        self.steps = 0
        self._dropped = 0

    def random_for(self, name: str) -> Random:
        """A stream of its own per name, so that one more draw here moves nothing elsewhere."""
        return Random(f"{self.seed}/{name}")

    def advance(self, until: float) -> None:
        """Run every event up to and including ``until``, counting them, and stand there.

        The loop is SimPy's own ``step``, inlined. Meanwhile nobody looks for cycles: next to nothing here is one, and
        a search through all the documents of a cluster takes longer than what it finds is worth.
        """
        queue = self._queue
        steps = 0
        collects = gc.isenabled()
        gc.disable()
        try:
            while queue and queue[0][0] <= until:
                self._now, _, _, event = heappop(queue)
                callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
                for callback in callbacks:
                    callback(event)
                if not event._ok and not hasattr(event, "_defused"):
                    raise event._value
                steps += 1
        finally:
            self.steps += steps
            if collects:
                gc.enable()
        self._now = until

    def drop(self, deadline: Deadline) -> None:
        """Nobody waits for it any more. SimPy cannot unschedule, so those dropped are swept out when they prevail."""
        deadline.callbacks.clear()
        self._dropped += 1
        if self._dropped > len(self._queue) // 2 + 100:
            self._dropped = 0
            self._queue[:] = [entry for entry in self._queue if entry[3].callbacks or type(entry[3]) is not Deadline]
            heapify(self._queue)

    def close(self) -> None:
        """End every coroutine here and now, not in another test whenever the garbage collector gets to it."""
        self.tell = lambda process, event, fields: None
        while self.tasks:  # a ``finally`` may still spawn some
            task = next(iter(self.tasks))
            del self.tasks[task]
            task.discard()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class HostClock:
    """One host's monotonic clock: right about durations up to its rate, and about nothing else."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._since = world.now
        # A random start, so that comparing two hosts' now() fails loudly.
        self._then = world.random_for(f"{name}/clock").uniform(1e4, 2e5)
        self.rate = 1.0
        self.on_change: dict[object, Callable[[], None]] = {}  # called just before it changes

    def now(self) -> float:
        return self._then + (self._world._now - self._since) * self.rate

    def drift(self, rate: float) -> None:
        """Tick this many seconds per true second from now on."""
        _tell(self.on_change)
        self._then, self._since, self.rate = self.now(), self._world.now, rate

    def step(self, seconds: float) -> None:
        """Jump: what a faulty clock source does to a host."""
        _tell(self.on_change)
        self._then += seconds


class Sleep(Event):
    """A timeout to await. A tuple iterator is the cheapest thing that yields once."""

    _ok, _value = True, None

    def __init__(self, world: World, seconds: float) -> None:
        self.callbacks = []
        heappush(world._queue, (world._now + seconds, NORMAL, next(world._eid), self))

    def __await__(self) -> Generator[Any, Any, None]:
        return iter((self,))  # type: ignore[return-value]


class Wakeup(Event):
    """An event to await until someone succeeds it."""

    def __await__(self) -> Generator[Any, Any, None]:
        return iter((self,))  # type: ignore[return-value]


class SimSignal:
    def __init__(self, world: World) -> None:
        self._world = world
        self._set = False
        self._waiters: list[Wakeup] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.succeed()

    def clear(self) -> None:
        self._set = False

    async def wait(self) -> None:
        if not self._set:
            waiter = Wakeup(self._world)
            self._waiters.append(waiter)
            await waiter


class SimTask(Event):
    """Drives one coroutine, and is itself the event of its end."""

    def __init__(self, runtime: SimRuntime, coro: Coroutine[Any, Any, Any], name: str) -> None:
        super().__init__(runtime.world)
        self.name = name
        self.cancelling = 0  # requests not yet answered for, as asyncio counts them
        self._runtime = runtime
        self._coro = coro
        self._send, self._throw = coro.send, coro.throw
        self._on_event = self._resume  # bound once: this is the hot path
        self._waiting_for: Event | None = None
        self._cancel_due = False
        self._joiners = 0
        self._defused = True  # never SimPy's business: see _ended
        self.callbacks.append(self._ended)
        runtime.world.tasks[self] = None
        self._resume_now()

    def done(self) -> bool:
        return self.triggered

    def cancel(self) -> bool:
        """Raise Cancelled where the task awaits, at this same instant."""
        if self.triggered:
            return False
        self.cancelling += 1
        if not self._cancel_due:
            self._cancel_due = True
            if self._waiting_for is not None and self._waiting_for.callbacks is not None:
                self._waiting_for.callbacks.remove(self._on_event)
                self._resume_now()
        return True  # a running or held task sees it when it next yields or resumes

    def uncancel(self) -> int:
        if self.cancelling:
            self.cancelling -= 1
        return self.cancelling

    async def join(self) -> Any:
        if self.callbacks is not None:  # not over yet
            self._joiners += 1
            over = Wakeup(self.env)
            self.callbacks.append(lambda _: _release(over))
            try:
                await over
            finally:
                self._joiners -= 1
        if self._ok:
            return self._value
        raise self._value

    def discard(self) -> None:
        """Forget the coroutine; its ``finally`` blocks run, but nothing they start will."""
        self._runtime.kill()
        self._coro.close()

    def _resume_now(self) -> None:
        event = Event(self.env)
        event._ok, event._value = True, None
        event.callbacks.append(self._on_event)
        self._waiting_for = event
        self.env.schedule(event)

    def _resume(self, event: Event) -> None:
        runtime = self._runtime
        if runtime.halted:
            runtime.hold(self, event)
            return
        world = runtime.world
        world.current, self._waiting_for = self, None
        try:
            if self._cancel_due:
                self._cancel_due = False
                awaited = self._throw(Cancelled())
            else:
                awaited = self._send(None)
        except StopIteration as stop:
            if self._cancel_due:  # it cancelled itself, and ended without waiting
                self._end(False, Cancelled())
            else:
                self._end(True, stop.value)
        except (Exception, Cancelled) as error:
            self._end(False, error)
        else:
            if self._cancel_due:  # it cancelled itself, then awaited
                self._resume_now()
            else:
                self._waiting_for = awaited
                awaited.callbacks.append(self._on_event)
        finally:
            world.current = None

    def _end(self, ok: bool, value: Any) -> None:
        self._runtime.world.tasks.pop(self, None)
        self._ok, self._value = ok, value
        self.env.schedule(self)
        del self._on_event  # it refers to this task: nobody should have to look for that cycle

    def _ended(self, _: Event) -> None:
        error = self._value
        if not self._ok and not self._joiners and not isinstance(error, Cancelled):
            raise Crash(self._runtime.name, self.name, f"{type(error).__name__}: {error}") from error


def _tell(whom: dict[object, Callable[[], None]]) -> None:
    for tell in list(whom.values()):
        tell()


def _release(waiter: Wakeup) -> None:
    waiter.succeed()


class Deadline(simpy.Timeout):
    """When a timeout ends, unless it is dropped before."""


class SimTimeout:
    """Cancel the task inside after a delay, and call that TimeoutError. Counts cancellations as asyncio does."""

    def __init__(self, world: World, seconds: float) -> None:
        self._world, self._seconds = world, seconds
        self._fired = False

    async def __aenter__(self) -> SimTimeout:
        assert self._world.current is not None, "only a task can time out"
        self._task = self._world.current
        self._before = self._task.cancelling
        self._timer = Deadline(self._world, max(0.0, self._seconds))
        self._timer.callbacks.append(self._fire)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if self._timer.callbacks is not None:
            self._world.drop(self._timer)
        if self._fired and self._task.uncancel() <= self._before and kind is Cancelled:
            raise TimeoutError from error

    def _fire(self, _: Event) -> None:
        self._fired = self._task.cancel()


class SimRuntime:
    """One simulated process: its view of time, chance and concurrency."""

    def __init__(self, world: World, name: str, clock: HostClock | None = None) -> None:
        self.world = world
        self.name = name
        self.random: Random = world.random_for(name)
        self.clock = clock or HostClock(world, name)
        self.halted = False
        self.dead = False
        self.on_stop: dict[object, Callable[[], None]] = {}  # called just before it stands still or dies
        self._held: list[tuple[SimTask, Event]] = []

    # What the control plane sees.

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> Sleep:
        return Sleep(self.world, seconds / self.clock.rate if seconds > 0 else 0.0)

    def timeout(self, seconds: float) -> SimTimeout:
        return SimTimeout(self.world, seconds / self.clock.rate)

    def signal(self) -> SimSignal:
        return SimSignal(self.world)

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str) -> SimTask:
        return SimTask(self, coro, name)

    def secret(self, size: int) -> bytes:
        return bytes(int(self.random.random() * 256) for _ in range(size))

    def log(self, event: str, /, **fields: Any) -> None:
        self.world.tell(self.name, event, fields)

    # What only the simulator may do to a process.

    def halt(self) -> None:
        """Stall: nothing runs until ``resume``; what falls due meanwhile waits."""
        _tell(self.on_stop)
        self.halted = True

    def resume(self) -> None:
        """End a stall: everything that fell due meanwhile happens now."""
        if self.dead:
            return
        self.halted = False
        held, self._held = self._held, []
        current = self.world.current  # whoever resumes us may itself be a task, and goes on afterwards
        for task, event in held:
            task._resume(event)
        self.world.current = current

    def kill(self) -> None:
        """Power loss or ``kill -9``: nothing of it runs any more, not even ``finally`` blocks."""
        _tell(self.on_stop)
        self.halted = self.dead = True
        self._held.clear()

    def hold(self, task: SimTask, event: Event) -> None:
        if not self.dead:
            self._held.append((task, event))
