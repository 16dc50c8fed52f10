"""What the benches of large clusters share: a thousand hosts with fifty thousand VMs, the control plane alone."""

from __future__ import annotations

from ave.operations import CreateVMs, NameVMs, NewVM
from drivers.sim.runtime import SimRuntime
from sim.cluster import GIB, SimCluster
from sim.scenario.model import Fleet, Forever, Shape, Topology
from sim.user import User

HOSTS, VMS = 1_000, 50_000
SETTLED = 60.0  # simulated seconds until a fresh cluster is quiet
FLEET = Fleet("web", VMS, 1, 4096, GIB, True, "medium", Forever())
TOPOLOGY = Topology(shapes=(Shape(HOSTS, 64, 512 * 1024, 8 * 1024),), masters=5, zones={}, networks=("default",))


def switched_on(cluster: SimCluster) -> SimCluster:
    """With nobody who judges, measures or records: neither the oracle nor what it lives on, the guests' writes."""
    for machine in cluster.machines.values():
        machine.probed = False
    cluster.power_on([FLEET])
    cluster.world.advance(SETTLED)
    return cluster


class Customers:
    """Ask for a VM now and then, and delete it minutes later: so many Jobs a day."""

    def __init__(self, cluster: SimCluster, jobs_per_day: float, life: float = 60.0) -> None:
        self._user = User(cluster, {})
        self._runtime = SimRuntime(cluster.world, "customers")
        self._pause, self._life = 2 * 86400.0 / jobs_per_day, life
        self.asked = 0
        self._runtime.spawn(self._ask(), name="ask")

    async def _ask(self) -> None:
        while True:
            await self._runtime.sleep(self._pause)
            self.asked += 1
            name = f"guest-{self.asked}"
            self._user.spawn(
                "vm.create", CreateVMs(vms=(NewVM(id=name, vcpus=1, memory_mib=1024, networks=("default",)),))
            )
            self._runtime.spawn(self._delete(name), name="delete")

    async def _delete(self, name: str) -> None:
        await self._runtime.sleep(self._life)
        self._user.spawn("vm.delete", NameVMs(vms=(name,)))
