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


class ProcessMachine(Vigil):
    def __init__(self, home: Home, domains: Domains, runtime: Runtime) -> None:
        super().__init__(home.host, home.signs, home.is_read_only, runtime)
        self._home, self._domains = home, domains

    async def facts(self) -> Facts:
        return self._home.facts()

    async def health(self, unlike: Health | None = None) -> Health:
        while True:
            health = await aside(f"health of {self._home.host}", self._health)
            if health != unlike:
                return health
            await self._runtime.sleep(LOOK_AGAIN_SECONDS)

    def _health(self) -> Health:
        home = self._home
        return Health(read_only=home.is_read_only(), full=home.is_full(), down=home.unplugged())

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
