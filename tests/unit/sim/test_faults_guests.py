"""What faults of VMs and the hypervisor under them do to the simulated world, looked up in that world."""

from __future__ import annotations

import pytest

from ave.errors import Unavailable
from ave.ports.hypervisor import DomainState, Stamp
from drivers.sim.facts import Disturbed, Gone, Paused
from tests.unit.sim.laboratory import HOST, LEASE, World


def test_a_vm_that_hangs_can_be_killed_late_or_not_at_all(world: World) -> None:
    first, second = world.here(HOST)[:2]
    epoch = world.machines[HOST].guests[first].epoch
    world.begin("vm-hang", first, unkillable=False)
    end = world.begin("vm-hang", second, unkillable=True)
    hypervisor = world.hypervisor(HOST)
    assert isinstance(world.ask(hypervisor.pause(first)), Unavailable)
    assert world.machines[HOST].guests[first].state is DomainState.RUNNING
    before = world.world.now
    assert isinstance(world.ask(hypervisor.destroy(second, Stamp(epoch=epoch))), Unavailable)
    assert world.world.now - before == pytest.approx(10.1, abs=0.1)
    end()
    world.witness(Disturbed("paused by hand", (HOST,)))
    assert world.ask(hypervisor.pause(second)) is None
    assert world.machines[HOST].guests[second].state is DomainState.PAUSED


def test_the_guard_freezes_what_answers_nobody(world: World) -> None:
    world.begin("vm-hang", world.here(HOST)[0])
    world.begin("storage-loss", HOST)
    world.advance(LEASE + 20.0)
    assert world.states(HOST) == [DomainState.PAUSED]


def test_a_hypervisor_that_does_not_say_what_runs_is_never_taken_for_an_empty_one(world: World) -> None:
    end = world.begin("listing-fails", HOST)
    assert isinstance(world.ask(world.hypervisor(HOST).list()), Unavailable)
    world.machines[HOST].kill("node")
    assert world.during(120.0, Paused, Gone) == []
    end()
    assert len(world.ask(world.hypervisor(HOST).list())) == 3


def test_a_guest_ends_by_its_process_or_by_itself_or_hangs(world: World) -> None:
    crashed, shut, hung = world.here(HOST)
    before = len(world.facts)
    world.begin("vm-crash", crashed)
    world.begin("guest-shutdown", shut)
    world.begin("guest-hang", hung)
    told = [fact for _, fact in world.facts[before:] if isinstance(fact, Gone)]
    assert [(fact.vm, fact.itself) for fact in told] == [(crashed, "crashed"), (shut, "shutdown")]
    assert world.machines[HOST].guests[hung].hung_at is not None


def test_networks_of_vms_that_carry_nothing_there(world: World) -> None:
    end = world.begin("vm-network-loss", HOST)
    assert world.machines[HOST].networks_down == ("vm",)
    end()
    assert world.machines[HOST].networks_down == ()


def test_a_host_that_can_write_no_files_starts_nothing_and_takes_no_vm(world: World) -> None:
    end = world.begin("fs-readonly", HOST)
    assert world.machines[HOST].read_only
    assert world.during(10.0, Gone) == []
    end()
    assert not world.machines[HOST].read_only
