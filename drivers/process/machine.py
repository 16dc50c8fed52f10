"""The Machine port of one process on such a host."""

from __future__ import annotations

import signal

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.machine import Facts, Health
from ave.runtime import Runtime
from drivers.disk import aside
from drivers.process import life
from drivers.process.domains import Domains
from drivers.process.home import Home
from drivers.vigil import Vigil

LOOK_AGAIN_SECONDS = 5.0  # at what may break


class ProcessMachine:
    def __init__(self, home: Home, domains: Domains, runtime: Runtime) -> None:
        self._home, self._domains, self._runtime = home, domains, runtime
        self._vigil = Vigil(home.host, home.signs, home.is_read_only, runtime)

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

    def hold_until(self, moment: float, epoch: int) -> None:
        self._vigil.hold_until(moment, epoch)

    def held_until(self) -> float:
        return self._vigil.held_until()

    def held_for(self) -> int:
        return self._vigil.held_for()

    async def lapse(self, grace: float = 0.0) -> None:
        await self._vigil.lapse(grace)

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
        await self._vigil.live()

    async def hung(self, seconds: float) -> None:
        await self._vigil.hung(seconds)

    async def end_node(self) -> None:
        await self._vigil.end_node()
