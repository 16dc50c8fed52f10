"""The Machine port of one process on a real host. What a guard needs of it works without libvirt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.machine import Facts, Health
from ave.runtime import Runtime
from drivers.disk import aside
from drivers.libvirt import processes
from drivers.libvirt.host import HostFiles, Settings
from drivers.libvirt.lanes import Lanes
from drivers.libvirt.link import Link
from drivers.vigil import Vigil

LOOK_AGAIN_SECONDS = 5.0  # at what may break
NODE_INFO_SECONDS = 10.0
NETWORK_DEVICES = Path("/sys/class/net")


class LibvirtMachine:
    def __init__(
        self, settings: Settings, runtime: Runtime, link: Link | None = None, devices: Path = NETWORK_DEVICES
    ) -> None:
        """Without ``link``, as a guard has none, facts are those of the configuration alone."""
        self._settings, self._runtime, self._link, self._devices = settings, runtime, link, devices
        self._host = settings.facts.host
        self._files = HostFiles(settings)
        self._files.make()
        self._vigil = Vigil(self._host, self._files.signs, self._files.is_read_only, runtime)
        self._lanes = Lanes(self._host)

    async def facts(self) -> Facts:
        """What the configuration says, and of the CPUs and the memory, where it says nothing, what libvirt does."""
        facts = msgspec.structs.replace(self._settings.facts, boot=self._files.boot())
        if (facts.cpus and facts.memory_mib) or self._link is None:
            return facts
        cpus, memory = await self._lanes.look("what it is made of", self._node_info, NODE_INFO_SECONDS)
        return msgspec.structs.replace(facts, cpus=facts.cpus or cpus, memory_mib=facts.memory_mib or memory)

    def _node_info(self) -> tuple[int, int]:
        assert self._link is not None, "asked only with one"
        with self._link.doing("what it is made of", mutates=False) as connection:
            _model, memory_mib, cpus, *_ = connection.getInfo()
            return cpus, memory_mib

    async def health(self, unlike: Health | None = None) -> Health:
        while True:
            health = await aside(f"health of {self._host}", self._health)
            if health != unlike:
                return health
            await self._runtime.sleep(LOOK_AGAIN_SECONDS)

    def _health(self) -> Health:
        return Health(read_only=self._files.is_read_only(), down=tuple(down(self._settings.bridges, self._devices)))

    def hold_until(self, moment: float) -> None:
        self._vigil.hold_until(moment)

    def held_until(self) -> float:
        return self._vigil.held_until()

    async def lapse(self, grace: float = 0.0) -> None:
        await self._vigil.lapse(grace)

    async def freeze(self) -> int:
        """By what the kernel says is running: libvirt is not asked."""
        try:
            return await aside(f"freeze {self._host}", lambda: processes.stop_all(self._files.pids))
        except (Unavailable, UnknownOutcome):
            return 0  # the next look comes at once, and finds what still runs

    async def live(self) -> None:
        await self._vigil.live()

    async def hung(self, seconds: float) -> None:
        await self._vigil.hung(seconds)

    async def end_node(self) -> None:
        await self._vigil.end_node()


def down(bridges: Mapping[str, str], devices: Path) -> Iterator[str]:
    """Networks of VMs whose bridge is not there, is off, or has cables of which none carries anything. A bridge without
    cables, for VMs of one host alone, is up as long as it is on."""
    for network, bridge in bridges.items():
        ports = devices / bridge / "brif"
        if not ports.is_dir() or not _is_on(devices / bridge):
            yield network
            continue
        cables = [port.name for port in ports.iterdir() if not (devices / port.name / "tun_flags").exists()]
        if cables and not any(_carries(devices / cable) for cable in cables):
            yield network


def _is_on(device: Path) -> bool:
    try:
        return bool(int((device / "flags").read_text(), 16) & 1)
    except (OSError, ValueError):
        return False


def _carries(device: Path) -> bool:
    try:
        return (device / "carrier").read_text().strip() == "1"
    except OSError:
        return False  # as for one that is off
