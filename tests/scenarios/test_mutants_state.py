"""Bugs about what is known and what is left behind, each by one small patch at run time, and the invariant that catches it."""

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
from tests.scenarios.test_mutants_jobs import caught

ONE = range(1, 2)


def test_mutant_24_an_empty_listing_that_is_taken_for_absence_breaks_d9() -> None:
    sound_list = SimHypervisor.list

    async def often_empty(self: SimHypervisor) -> tuple[Domain, ...]:
        """What an agent that has just been restarted might say."""
        found = await sound_list(self)
        return () if self._random() < 0.2 else found

    invariant, what = caught(
        "ha/storage-loss.yaml", lambda patch: patch.setattr(SimHypervisor, "list", often_empty), ONE
    )
    assert invariant == "D9", what


def test_mutant_15_a_decision_that_checks_nothing_it_has_read_breaks_d3() -> None:
    def anyhow(held: Role) -> Check:
        return Check(Role, held.id, {})

    invariant, what = caught("jobs/store-lag.yaml", lambda patch: patch.setattr(active, "still_held", anyhow), ONE)
    assert invariant == "D3", what


def test_a_vm_found_off_whose_volumes_nobody_lets_go_breaks_s12() -> None:
    async def nothing(ports: Ports, vm: VM) -> None:
        return None

    invariant, what = caught("ha/host-loss.yaml", lambda patch: patch.setattr(reconcile, "_let_go", nothing), ONE)
    assert invariant == "S12", what


def test_a_target_that_forgets_what_it_acknowledged_breaks_s5() -> None:
    sound_put = Records.put

    def forgetful(self: Records, vm: str, epoch: int, record: int) -> None:
        if record % 7:
            sound_put(self, vm, epoch, record)

    invariant, what = caught("ha/host-loss.yaml", lambda patch: patch.setattr(Records, "put", forgetful), ONE)
    assert invariant == "S5", what
