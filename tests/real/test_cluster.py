"""The control plane on real hosts: VMs are made on real libvirts and iSCSI volumes, move, and survive the loss of a host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ave.jobs.crew import Crew
from ave.jobs.submit import job_id, submit
from ave.kinds import KINDS, SCHEMA
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, Work, WorkState
from ave.operations import CreateVMs, MigrateVMs, NameVMs, NewVM
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.sqlite.store import SqliteStore
from tests.real.bed import Bed
from tests.real.cluster import NETWORK, VERDICT, RealCluster

VMS = ("web-1", "web-2")
BOOT_SECONDS = 120.0  # of an emulated machine, when this one is busy


class Operator:
    """Asks for things, and looks at the store."""

    def __init__(self, store: Any, cluster: RealCluster) -> None:
        self._ports = Ports("operator", AsyncioRuntime("operator"), store, None, None, None)  # type: ignore[arg-type]
        self._crew = Crew(self._ports)
        self._cluster = cluster

    async def ask(self, operation: str, request: Any, seconds: float = BOOT_SECONDS) -> Work:
        """The Job when it has ended."""
        id = await submit(self._ports, self._crew, operation, request, id=job_id(operation, self._ports.runtime.random))

        async def ended() -> bool:
            return (await self._job(id)).state in ENDED

        await self.until(ended, f"{operation} ends", seconds)
        return await self._job(id)

    async def _job(self, id: str) -> Work:
        found: Work | None = await self._ports.store.get(Work, id)
        assert found is not None, f"Job {id} is lost"
        return found

    async def vm(self, name: str) -> VM:
        found: VM | None = await self._ports.store.get(VM, name)
        assert found is not None, f"{name} is gone"
        return found

    async def hosts(self) -> dict[str, HostState]:
        return {host.id: host.state for host in await self._ports.store.find(Host)}

    async def until(self, done: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await done():
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"not so after {seconds:g} s: {what}\n{self._cluster.said()}") from None


@pytest.fixture(scope="module")
def cluster(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with RealCluster(bed, tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.mark.timeout(600)
def test_vms_are_made_move_and_survive_the_loss_of_their_host(
    bed: Bed, cluster: RealCluster, record_property: Callable[[str, object], None]
) -> None:
    seconds = asyncio.run(_story(bed, cluster))
    record_property("note", f"a VM of a host that lost its power runs elsewhere after {seconds:.0f} s")


async def _story(bed: Bed, cluster: RealCluster) -> float:
    """Answers how long the rescue took."""
    store = await SqliteStore.open(Path(cluster.store.removeprefix("sqlite:")), KINDS, schema=SCHEMA)
    try:
        operator = Operator(store, cluster)
        names = {host.name for host in bed.hosts}

        async def all_online() -> bool:
            return await operator.hosts() == dict.fromkeys(names, HostState.ONLINE)

        await operator.until(all_online, "all hosts are online", BOOT_SECONDS)
        wanted = tuple(NewVM(id=name, vcpus=1, memory_mib=256, disks_gib=(1,), networks=(NETWORK,)) for name in VMS)
        made = await operator.ask("vm.create", CreateVMs(vms=wanted))
        assert made.state is WorkState.DONE, f"{made.results} {cluster.said()}"
        for name in VMS:
            assert (await operator.vm(name)).state is VMState.RUNNING
        assert sum(len(host.pids("qemu-system-x86_64")) for host in bed.hosts) == len(VMS)

        before = await operator.vm("web-1")
        moved = await operator.ask("vm.migrate", MigrateVMs(vms=("web-1",)))
        assert moved.state is WorkState.DONE, f"{moved.results} {cluster.said()}"
        after = await operator.vm("web-1")
        assert after.host != before.host
        assert after.epoch == before.epoch + 1

        lost = next(host for host in bed.hosts if host.name == after.host)
        began = asyncio.get_running_loop().time()
        lost.crash()

        async def rescued() -> bool:
            now = await operator.vm("web-1")
            return now.state is VMState.RUNNING and now.host != lost.name

        await operator.until(rescued, "web-1 runs elsewhere", VERDICT + BOOT_SECONDS)
        seconds = asyncio.get_running_loop().time() - began
        assert (await operator.vm("web-1")).epoch > after.epoch
        gone = await operator.ask("vm.delete", NameVMs(vms=VMS))
        assert gone.state is WorkState.DONE, f"{gone.results} {cluster.said()}"
        assert sum(len(host.pids("qemu-system-x86_64")) for host in bed.hosts if host is not lost) == 0
        return seconds
    finally:
        await store.close()
