"""The half of a Machine that is the same for every host of files: its hold, and its node's signs of life. A driver's
Machine is one of these, with facts, health and freeze of its own."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import count

from ave.errors import Unavailable, UnknownOutcome
from ave.runtime import Runtime
from drivers import beats
from drivers.disk import aside
from drivers.process import life
from drivers.signs import Signs

LIFE_SECONDS = 3.0  # from one sign of life to the next, and from one look for them to the next


class Vigil:
    def __init__(self, host: str, signs: Signs, is_read_only: Callable[[], bool], runtime: Runtime) -> None:
        self._host, self._signs, self._is_read_only, self._runtime = host, signs, is_read_only, runtime
        self._held = -math.inf

    def hold_until(self, moment: float, epoch: int) -> None:
        self._signs.hold_until(moment, epoch)

    def held_until(self) -> float:
        """It only grows: what cannot be read now was true when it could."""
        self._held = max(self._held, self._signs.held()[0])
        return self._held

    def held_for(self) -> int:
        return self._signs.held()[1]

    async def lapse(self, grace: float = 0.0) -> None:
        await beats.lapse(self._runtime, self.held_until, grace)

    async def live(self) -> None:
        itself = life.life_of(os.getpid())
        assert itself is not None, "this very process is there"
        for number in count():
            try:
                await aside(f"life of {self._host}", partial(self._signs.show_life, itself, number))
            except (OSError, Unavailable, UnknownOutcome) as trouble:
                self._runtime.log("no sign of life could be given", why=str(trouble))
            await self._runtime.sleep(LIFE_SECONDS)

    async def hung(self, seconds: float) -> None:
        """A gap between two looks is not watching. Nor is a sign missed where nobody can give one."""
        seen: tuple[life.Life, int] | None = None
        since = looked = self._runtime.now()
        while True:
            sign, now = await self._sign(), self._runtime.now()
            if sign is None or sign != seen or now - looked > 2 * LIFE_SECONDS:
                seen, since = sign, now
            elif now - since >= seconds:
                return
            looked = now
            await self._runtime.sleep(LIFE_SECONDS)

    async def _sign(self) -> tuple[life.Life, int] | None:
        def look() -> tuple[life.Life, int] | None:
            sign = self._signs.shown_life()
            return None if sign is None or not life.is_there(sign[0]) or self._is_read_only() else sign

        try:
            return await aside(f"life of {self._host}", look)
        except (Unavailable, UnknownOutcome):
            return None

    async def end_node(self) -> None:
        if (sign := await self._sign()) is not None:
            life.send(sign[0], signal.SIGKILL)
