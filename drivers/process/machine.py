"""The Machine port of one process on such a host."""

from __future__ import annotations

import math
import os
import signal
from functools import partial
from itertools import count

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.machine import Facts, Health
from ave.runtime import Runtime
from drivers import beats
from drivers.disk import aside
from drivers.process import life
from drivers.process.domains import Domains
from drivers.process.home import Home

LIFE_SECONDS = 3.0  # from one sign of life to the next, and from one look for them to the next
LOOK_AGAIN_SECONDS = 5.0  # at what may break


class ProcessMachine:
    def __init__(self, home: Home, domains: Domains, runtime: Runtime) -> None:
        self._home, self._domains, self._runtime = home, domains, runtime
        self._held = -math.inf

    async def facts(self) -> Facts:
        return self._home.facts()

    async def health(self, unlike: Health | None = None) -> Health:
        while True:
            health = await aside(f"health of {self._home.host}", self._health)
            if health != unlike:
                return health
            await self._runtime.sleep(LOOK_AGAIN_SECONDS)

    def _health(self) -> Health:
        return Health(read_only=self._home.is_read_only(), down=self._home.unplugged())

    def hold_until(self, moment: float) -> None:
        self._home.hold_until(moment)

    def held_until(self) -> float:
        """It only grows: what cannot be read now was true when it could."""
        self._held = max(self._held, self._home.held_until())
        return self._held

    async def lapse(self, grace: float = 0.0) -> None:
        await beats.lapse(self._runtime, self.held_until, grace)

    async def freeze(self) -> int:
        """By what the kernel says is running: no record, no lock and no hypervisor is asked."""
        try:
            return await aside(f"freeze {self._home.host}", self._freeze)
        except (Unavailable, UnknownOutcome):
            return 0  # the next look comes at once, and finds what still runs

    def _freeze(self) -> int:
        running = [process for process in self._domains.processes() if not life.is_standing(process)]
        for process in running:
            life.send(process, signal.SIGSTOP)
        for process in running:
            life.wait_until_standing(process)
        return len(running)

    async def live(self) -> None:
        itself = life.life_of(os.getpid())
        assert itself is not None, "this very process is there"
        for number in count():
            try:
                await aside(f"life of {self._home.host}", partial(self._home.show_life, itself, number))
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
            sign = self._home.shown_life()
            return None if sign is None or not life.is_there(sign[0]) or self._home.is_read_only() else sign

        try:
            return await aside(f"life of {self._home.host}", look)
        except (Unavailable, UnknownOutcome):
            return None

    async def end_node(self) -> None:
        if (sign := await self._sign()) is not None:
            life.send(sign[0], signal.SIGKILL)
