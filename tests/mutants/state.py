"""Bugs about what is known and what is left behind."""

from __future__ import annotations

from ave.model.cluster import Role
from ave.model.vm import VM
from ave.ports.hypervisor import Domain
from ave.ports.store import Check
from ave.ports.together import Ports
from ave.scheduler import active
from ave.vms import reconcile
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.records import Records
from tests.mutants.mutant import Mutant
from tests.mutants.patch import swap

sound_list = SimHypervisor.list
sound_put = Records.put


async def often_empty(self: SimHypervisor) -> tuple[Domain, ...]:
    """What an agent that has just been restarted might say."""
    found = await sound_list(self)
    return () if self._random() < 0.2 else found


async def let_nothing_go(ports: Ports, vm: VM) -> None:
    return None


def put_most(self: Records, vm: str, epoch: int, record: int) -> None:
    if record % 7:
        sound_put(self, vm, epoch, record)


ROWS = (
    Mutant(
        number=24,
        name="empty-means-gone",
        broken="an empty listing of a host's agent means that its VMs are gone",
        caught_by=("D9", "S2"),
        scenarios=("ha/storage-loss.yaml",),
        patches=(swap(SimHypervisor, "list", often_empty),),
    ),
    Mutant(
        name="unchecked-decision",
        broken="a decision checks nothing of what it was made by",
        caught_by=("D3", "P4"),
        scenarios=("jobs/store-lag.yaml",),
        patches=(swap(active, "still_held", lambda held: Check(Role, held.id, {})),),
    ),
    Mutant(
        name="volumes-not-let-go",
        broken="a VM is found off, and its volumes stay attached",
        caught_by=("S12",),
        scenarios=("ha/host-loss.yaml",),
        patches=(swap(reconcile, "_let_go", let_nothing_go),),
    ),
    Mutant(
        name="forgetful-target",
        broken="the storage forgets some of the writes that it acknowledged",
        caught_by=("S5",),
        scenarios=("ha/host-loss.yaml",),
        patches=(swap(Records, "put", put_most),),
    ),
)
