"""The Machine port of one process on a real host. It works without libvirt, and without its library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.machine import Facts, Health
from ave.runtime import Runtime
from drivers.disk import aside
from drivers.libvirt import bridges, processes
from drivers.libvirt.host import HostFiles, Settings
from drivers.vigil import Vigil

LOOK_AGAIN_SECONDS = 5.0  # at what may break
NETWORK_DEVICES = Path("/sys/class/net")

Size = Callable[[], Awaitable[tuple[int, int]]]  # CPUs, and MiB of memory, as somebody knows who asked the hardware


class LibvirtMachine(Vigil):
    def __init__(
        self, settings: Settings, runtime: Runtime, size: Size | None = None, devices: Path = NETWORK_DEVICES
    ) -> None:
        """Without ``size``, as a guard has none, facts are those of the configuration alone."""
        self._files = HostFiles(settings)
        self._files.make()
        super().__init__(settings.facts.host, self._files.signs, self._files.is_read_only, runtime)
        self._settings, self._size, self._devices = settings, size, devices

    async def facts(self) -> Facts:
        """What the configuration says, and of the CPUs and the memory, where it says nothing, what libvirt does."""
        facts = msgspec.structs.replace(self._settings.facts, boot=self._files.boot())
        if (facts.cpus and facts.memory_mib) or self._size is None:
            return facts
        cpus, memory_mib = await self._size()
        return msgspec.structs.replace(facts, cpus=facts.cpus or cpus, memory_mib=facts.memory_mib or memory_mib)

    async def health(self, unlike: Health | None = None) -> Health:
        while True:
            health = await aside(f"health of {self._host}", self._health)
            if health != unlike:
                return health
            await self._runtime.sleep(LOOK_AGAIN_SECONDS)

    def _health(self) -> Health:
        return Health(
            read_only=self._files.is_read_only(),
            full=self._files.is_full(),
            down=tuple(bridges.down(self._settings.bridges, self._devices)),
        )

    async def freeze(self) -> int:
        """By what the kernel says is running: libvirt is not asked."""
        try:
            return await aside(f"freeze {self._host}", lambda: processes.stop_all(self._files.pids))
        except (Unavailable, UnknownOutcome):
            return 0  # the next look comes at once, and finds what still runs
