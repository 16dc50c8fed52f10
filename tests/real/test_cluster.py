"""The control plane on real hosts: VMs are made on real libvirts and iSCSI volumes, move, and survive the loss of a host."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest

from ave.model.vm import VM, VMState
from ave.model.work import WorkState
from ave.operations import CreateVMs, GrowVolumes, MigrateVMs, NameVMs, NewVM
from drivers.libvirt.record import uuid_of
from tests.real.bed import Bed
from tests.real.cluster import NETWORK, VERDICT, RealCluster
from tests.real.guests import libvirt_of
from tests.real.operator import BOOT_SECONDS, operator_of
from tests.real.replica_set import replica_set_on

VMS = ("web-1", "web-2")

# pymongo leaves sockets to members that went away to the garbage collector, which is called for as long as this holds.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module")
def cluster(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """As an operator would have it, with a replica set on the hosts themselves: who loses its power takes a member along."""
    with (
        replica_set_on(bed) as replicas,
        RealCluster(bed, tmp_path_factory.mktemp("cluster"), store=replicas.uri) as made,
    ):
        yield made


@pytest.mark.timeout(600)
def test_vms_are_made_move_and_survive_the_loss_of_their_host(
    bed: Bed, cluster: RealCluster, record_property: Callable[[str, object], None]
) -> None:
    seconds = asyncio.run(_story(bed, cluster))
    gc.collect()
    record_property("note", f"a VM of a host that lost its power runs elsewhere after {seconds:.0f} s")


def _seen(bed: Bed, vm: VM) -> int:
    """Bytes of the VM's first disk, as its QEMU shows it to the guest."""
    with libvirt_of(next(host for host in bed.hosts if host.name == vm.host)) as connection:
        return int(connection.lookupByUUIDString(uuid_of(vm.id)).blockInfo("sda")[0])


async def _story(bed: Bed, cluster: RealCluster) -> float:
    """Answers how long the rescue took."""
    async with operator_of(cluster) as operator:
        await operator.all_online()
        wanted = tuple(NewVM(id=name, vcpus=1, memory_mib=256, disks_gib=(1,), networks=(NETWORK,)) for name in VMS)
        made = await operator.ask("vm.create", CreateVMs(vms=wanted))
        assert made.state is WorkState.DONE, f"{made.results} {cluster.said()}"
        for name in VMS:
            assert (await operator.vm(name)).state is VMState.RUNNING
        assert sum(len(host.pids("qemu-system-x86_64")) for host in bed.hosts) == len(VMS)

        before = await operator.vm("web-1")
        grown = await operator.ask("volume.grow", GrowVolumes(sizes_gib={"web-1-disk-1": 2}))
        assert (grown.state, grown.results["web-1-disk-1"].why) == (WorkState.DONE, ""), (
            f"{grown.results} {cluster.said()}"
        )
        assert _seen(bed, before) == 2 * 2**30, "its guest sees it at once"

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
