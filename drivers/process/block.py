"""The BlockStorage port on one folder, which every host's processes share."""

from __future__ import annotations

from collections.abc import Callable

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.block import Grant, Lease, Slot
from ave.ports.hypervisor import Stamp
from ave.runtime import Runtime
from drivers import beats
from drivers.disk import aside
from drivers.meta import MetaService
from drivers.process.home import Home
from drivers.process.volumes import Volumes


class ProcessBlock:
    luns_per_target, targets_max = 1, 0  # there are only files

    def __init__(self, home: Home, runtime: Runtime) -> None:
        self._home, self._runtime = home, runtime
        self._volumes = Volumes(home.root)
        self._meta = MetaService(home.root, home.host, runtime.now)

    async def create(self, volume: str, size_gib: int, stamp: Stamp, slot: Slot | None = None) -> None:
        await aside(f"create volume {volume}", lambda: self._volumes.create(volume, size_gib, stamp))

    async def delete(self, volume: str, stamp: Stamp) -> None:
        await aside(f"delete volume {volume}", lambda: self._volumes.delete(volume, stamp))

    async def grow(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        await aside(f"grow volume {volume}", lambda: self._volumes.grow(volume, size_gib, stamp))

    async def attach(self, volume: str, owner: str, stamp: Stamp) -> None:
        await aside(f"attach volume {volume}", lambda: self._volumes.attach(volume, owner, stamp))

    async def admit(self, volume: str, host: str, stamp: Stamp) -> None:
        await aside(f"admit {host} to volume {volume}", lambda: self._volumes.admit(volume, host, stamp))

    async def detach(self, volume: str, stamp: Stamp) -> None:
        await aside(f"detach volume {volume}", lambda: self._volumes.detach(volume, stamp))

    async def owner(self, volume: str) -> tuple[str, int]:
        try:
            return await aside(f"volume {volume}", lambda: self._volumes.owner(volume))
        except UnknownOutcome as lost:
            raise Unavailable(*lost.args) from lost

    async def join(self, host: str, boot: str) -> None:
        await aside(f"join {host}", lambda: self._meta.join(host, boot))

    async def renew(self, host: str, boot: str, *, anew: bool = False) -> Grant:
        return await aside(f"renew {host}", lambda: self._renew(host, boot, anew))

    async def keep(
        self, host: str, boot: str, grant: Grant, renewed: Callable[[float], bool], *, every: float
    ) -> Grant:
        return await beats.keep(self._runtime, lambda: self.renew(host, boot), grant, renewed, every)

    async def leases(self) -> tuple[Lease, ...]:
        try:
            return await aside("storage leases", self._meta.leases)
        except UnknownOutcome as lost:
            raise Unavailable(*lost.args) from lost

    async def revoke(self, host: str, counter: int) -> None:
        await aside(f"revoke {host}", lambda: self._meta.revoke(host, counter))

    async def step_aside(self, seconds: float) -> None:
        await aside("step aside", lambda: self._meta.step_aside(seconds))

    def _renew(self, host: str, boot: str, anew: bool) -> Grant:
        return self._meta.renew(host, boot, may_lead=self._home.facts().master, anew=anew)
