"""A simulated world on an asyncio loop: it runs in slices of a few milliseconds, and between two of them lets everybody else.

Whatever is done to the world from outside is done between two instants of it: everything that falls due by then has
happened, and nothing later. So the same, done at the same moments of simulated time, gives the same run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic, thread_time
from typing import Any, Protocol

from ave.api.problems import Standing, Taken
from ave.errors import Unavailable
from drivers.rest.simulated import Clock, SetClock, Speed

SLICE_SECONDS = 0.003  # of this thread's CPU time: on a busy machine a slice in which others ran would be over at once
TURNS = 12  # of the loop between two slices: about what one request takes
FRAME_SECONDS, SHORT_FRAME_SECONDS = (
    0.01,
    0.001,
)  # between two slices of a world that keeps up; the latter if somebody waits
BEHIND_SECONDS = 0.5  # by which it may be late before it gives up catching up
SAY_SECONDS = 10.0
PACE_SECONDS = 0.5
PUSH_SECONDS = 1.0  # simulated: how far one request may push a world that stands still
STEP_WAIT_SECONDS = 60.0  # after which a step is answered although it goes on


class Steps(Protocol):
    """A world. ``advance`` raises nothing: should the world break, ``broken`` says why, and it stands still for ever."""

    @property
    def now(self) -> float: ...
    @property
    def broken(self) -> str: ...
    @property
    def host(self) -> str: ...
    def peek(self) -> float:
        """When the next thing happens; infinity: never."""
        ...

    def advance(self, until: float) -> None: ...
    def pause(self, paused: bool) -> None: ...


class Errand:
    """Somebody outside waits for something inside; ``limit`` is up to when a world that stands still may go on for it."""

    def __init__(self, limit: float) -> None:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.limit = limit

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Stepper:
    """``eager``: while somebody waits, it goes as fast as it can. ``say`` is told when the world does not keep up."""

    def __init__(
        self,
        world: Steps,
        *,
        speed: Speed,
        paused: bool = False,
        eager: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._world, self._speed, self._eager, self._say = world, speed, eager, say
        self._paused = False
        self._errands: dict[Errand, None] = {}
        self._wake = asyncio.Event()
        self._goal: float | None = None  # of a step under way
        self._stepped = asyncio.Event()
        self._lost = 0.0
        self._said = -inf
        self._pace = 0.0
        self._mark = (monotonic(), world.now)
        self._rebase()
        if speed == 0:
            self._speed, paused = 1.0, True
        world.pause(paused)
        self._pause(paused)

    # What is asked from outside

    def clock(self) -> Clock:
        world = self._world
        return Clock(
            now=round(world.now, 6),
            speed=self._speed,
            paused=self._paused,
            step=0.0 if self._goal is None else round(self._goal - world.now, 6),
            pace=0.0 if self._paused and self._goal is None else round(self._pace, 3),
            lost=round(self._lost, 3),
            host=world.host,
            broken=world.broken,
            end=round(world.now, 6),
        )

    async def set(self, wish: SetClock) -> Clock:
        """Raises Taken."""
        if self._world.broken and (wish.step or wish.paused is False):
            raise Taken(f"the world stands still for ever: {self._world.broken}")
        if isinstance(wish.speed, str) or (isinstance(wish.speed, int | float) and wish.speed > 0):
            self._speed = wish.speed
            self._rebase()
            self._wake.set()
        if isinstance(wish.paused, bool) or wish.speed == 0:
            self._pause(wish.paused is True or wish.speed == 0)
        if isinstance(wish.step, int | float) and wish.step > 0:
            await self._step(wish.step)
        return self.clock()

    def moved(self) -> None:
        """The world's time is another one, without having gone there: nobody's answer can come any more."""
        for errand in self._pending():
            errand.fail(Standing("another moment was sought meanwhile"))
        self._mark, self._pace = (monotonic(), self._world.now), 0.0
        self._rebase()
        self._wake.set()

    def begin(self) -> Errand:
        errand = Errand(self._world.now + PUSH_SECONDS)
        self._errands[errand] = None
        return errand

    def look(self) -> None:
        """What has just been done takes effect; what takes no time happens at once."""
        self._world.advance(self._world.now)
        self._judge()
        self._wake.set()

    def end(self, errand: Errand) -> None:
        del self._errands[errand]

    # How time goes

    async def run(self) -> None:
        """For ever."""
        while True:
            target = self._target()
            self._slice(target)
            late = self._world.now < target and not self._world.broken and self._world.peek() < inf
            self._judge()
            self._account(target)
            if late:
                for _ in range(TURNS):
                    await asyncio.sleep(0)
            else:
                await self._rest()

    def _target(self) -> float:
        now = self._world.now
        if self._goal is not None:
            return max(now, self._goal)
        if self._paused or self._world.broken:
            return max([now, *(errand.limit for errand in self._pending())])
        if isinstance(self._speed, str) or (self._eager and self._pending()):
            return inf
        real, simulated = self._since
        return max(now, simulated + self._speed * (monotonic() - real))

    def _slice(self, target: float) -> None:
        world = self._world
        ends = thread_time() + SLICE_SECONDS
        for_errands = self._goal is None and (self._paused or self._eager) and bool(self._pending())
        while not world.broken:
            if (at := world.peek()) > target or at == inf:
                if target < inf:
                    world.advance(target)
                return
            world.advance(at)
            if for_errands and not self._pending():
                return
            if thread_time() >= ends:
                return

    def _judge(self) -> None:
        """Who waits in vain hears of it; a step that has been gone is over."""
        world = self._world
        if world.broken:
            for errand in self._pending():
                errand.fail(Unavailable(f"the simulated world has broken: {world.broken}"))
            if not self._paused:
                self._pause(True)
        if self._goal is not None and (world.now >= self._goal or world.broken):
            self._end_step()
        if self._paused and self._goal is None:
            for errand in self._pending():
                if errand.limit <= world.now:
                    errand.fail(
                        Standing(f"no answer within {PUSH_SECONDS:g} simulated second, and the world is paused")
                    )

    def _account(self, target: float) -> None:
        now, real = self._world.now, monotonic()
        if target == inf or self._paused or isinstance(self._speed, str):
            self._rebase()
        elif target - now > BEHIND_SECONDS * self._speed:
            self._lost += target - now
            self._rebase()
            if real - self._said > SAY_SECONDS:
                self._said = real
                self._say(f"it does not keep up with speed {self._speed:g}: {self._lost:.0f} simulated s behind by now")
        since, then = self._mark
        if real - since >= PACE_SECONDS:
            self._pace = (now - then) / (real - since)
            self._mark = (real, now)

    async def _rest(self) -> None:
        pending = bool(self._pending())
        still = self._world.broken or (self._paused and self._goal is None and not pending)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if still else SHORT_FRAME_SECONDS if pending else FRAME_SECONDS):
                await self._wake.wait()
        self._wake.clear()

    async def _step(self, seconds: float) -> None:
        if self._goal is not None:
            raise Taken("a step is under way")
        self._pause(True)
        self._goal = self._world.now + seconds
        self._stepped.clear()
        self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(STEP_WAIT_SECONDS):
                await self._stepped.wait()

    def _pause(self, paused: bool) -> None:
        if self._goal is not None:
            self._end_step()
        if paused != self._paused:
            self._paused = paused
            self._world.pause(paused)
            self._rebase()
            self._push_anew()
        self._wake.set()

    def _end_step(self) -> None:
        self._goal = None
        self._stepped.set()
        self._push_anew()

    def _push_anew(self) -> None:
        for errand in self._errands:
            errand.limit = self._world.now + PUSH_SECONDS

    def _rebase(self) -> None:
        self._since = (monotonic(), self._world.now)

    def _pending(self) -> list[Errand]:
        return [errand for errand in self._errands if not errand.answer.done()]
