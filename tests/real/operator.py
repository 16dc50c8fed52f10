"""Who asks a real cluster for things, as an API would, and looks at its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from ave.errors import Unavailable
from ave.jobs.crew import Crew
from ave.jobs.submit import job_id, submit
from ave.model.host import Host, HostState
from ave.model.vm import VM
from ave.model.work import ENDED, Work
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import StoreConfig
from drivers.stores import open_store
from tests.real.cluster import RealCluster

BOOT_SECONDS = 120.0  # of an emulated machine, when this one is busy
LOOK_SECONDS = 0.2


class Operator:
    def __init__(self, store: Any, cluster: RealCluster) -> None:
        self._ports = Ports("operator", AsyncioRuntime("operator"), store, None, None, None)  # type: ignore[arg-type]
        self._crew = Crew(self._ports)
        self._cluster = cluster

    @property
    def store(self) -> Any:
        return self._ports.store

    async def submit(self, operation: str, request: Any) -> str:
        """The Job's id."""
        id = job_id(operation, self._ports.runtime.random)
        return await submit(self._ports, self._crew, operation, request, id=id)

    async def ask(self, operation: str, request: Any, seconds: float = BOOT_SECONDS) -> Work:
        """The Job when it has ended."""
        return await self.end_of(await self.submit(operation, request), seconds)

    async def end_of(self, id: str, seconds: float = BOOT_SECONDS) -> Work:
        async def ended() -> bool:
            return (await self._job(id)).state in ENDED

        await self.until(ended, f"{id} ends", seconds)
        return await self._job(id)

    async def _job(self, id: str) -> Work:
        found: Work | None = await self._ports.store.get(Work, id)
        assert found is not None, f"Job {id} is lost"
        return found

    async def vm(self, name: str) -> VM:
        found: VM | None = await self._ports.store.get(VM, name)
        assert found is not None, f"{name} is gone"
        return found

    async def hosts(self) -> dict[str, Host]:
        return {host.id: host for host in await self._ports.store.find(Host)}

    async def find(self, kind: type[Any], where: dict[str, Any] | None = None) -> list[Any]:
        return list(await self._ports.store.find(kind, where))

    async def all_online(self) -> None:
        """Every host of the bed takes VMs."""
        names = {host.name for host in self._cluster.bed.hosts}

        async def online() -> bool:
            found = await self.hosts()
            return {name for name, host in found.items() if host.state is HostState.ONLINE} == names

        await self.until(online, "all hosts are online", BOOT_SECONDS)

    async def until(self, done: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await self._is(done):
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"not so after {seconds:g} s: {what}\n{self._cluster.said()}") from None

    async def _is(self, done: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await done()
        except Unavailable:  # the store, while it elects
            return False


@asynccontextmanager
async def operator_of(cluster: RealCluster) -> AsyncIterator[Operator]:
    store = await open_store(StoreConfig(url=cluster.store), AsyncioRuntime("operator"))
    try:
        yield Operator(store, cluster)
    finally:
        await store.close()
