"""What faults of the storage and the hosts' ways to it do to the simulated world, looked up in that world."""

from __future__ import annotations

import pytest

from ave.errors import Refused, Unavailable
from ave.model.alarm import Alarm
from ave.model.host import HostState
from ave.ports.hypervisor import DomainState, Stamp
from drivers.sim import physics
from drivers.sim.facts import Gone, Paused, Refusing, Resumed, Wrote
from tests.unit.sim.laboratory import HOST, LEASE, World


def test_a_volume_that_answers_with_errors_stops_its_vm_and_no_other(world: World) -> None:
    vm = world.here(HOST)[0]
    end = world.begin("volume-error", vm)
    assert [(fact.vm, fact.host) for fact in world.during(30.0, Paused, Gone)] == [(vm, HOST)]
    assert world.state(HOST) is HostState.ONLINE
    end()
    assert [fact.vm for fact in world.during(10.0, Resumed)] == [vm]


def test_a_volume_that_answers_nobody_takes_no_writes_and_stops_nobody(world: World) -> None:
    vm = world.here(HOST)[0]
    end = world.begin("volume-silent", vm)
    told = world.during(60.0, Wrote, Paused, Gone)
    assert all(vm not in [write[1] for write in fact.writes] for fact in told)
    end()
    assert any(vm in [write[1] for write in fact.writes] for fact in world.during(10.0, Wrote))


def test_writes_that_are_held_are_sent_however_old_and_those_of_the_past_are_refused(world: World) -> None:
    vm, other = world.here(HOST)[:2]
    end = world.begin("write-hold", HOST)
    assert all(fact.host != HOST for fact in world.during(100.0, Wrote))
    volume = world.storage.volumes[f"{vm}-disk-1"]
    volume.owner, volume.epoch = "host-6", volume.epoch + 1  # as when it was fenced meanwhile
    before = len(world.facts)
    end()
    told = [fact for _, fact in world.facts[before:]]
    assert any(isinstance(f, Refusing) and f.volume == f"{vm}-disk-1" for f in told)
    assert any(isinstance(f, Wrote) and other in [write[1] for write in f.writes] for f in told)


@pytest.mark.parametrize("name", ["write-hold", "storage-loss", "storage-deaf"])
def test_what_is_not_known_to_have_arrived_at_the_storage_does_not_migrate(world: World, name: str) -> None:
    vm = world.here(HOST)[0]
    world.begin(name, HOST)
    world.advance(physics.GUEST_WRITE_SECONDS)
    world.migrate(vm)
    world.advance(30.0)
    assert world.states(HOST) == [DomainState.RUNNING]
    assert vm in world.here(HOST)


def test_slow_storage_is_slow_for_that_host_and_its_lease_is_well(world: World) -> None:
    world.begin("storage-slow", HOST, factor=100.0)
    for host, least, most in ((HOST, 4.0, 6.0), ("host-6", 0.0, 0.1)):
        before = world.world.now
        world.ask(world.block(host).create(f"new-{host}", 1, Stamp(job="job", token=1)))
        assert least < world.world.now - before < most
    assert world.during(200.0, Paused, Gone) == []
    assert world.state(HOST) is HostState.ONLINE


def test_storage_that_is_far_too_slow_answers_nobody_in_time(world: World) -> None:
    world.begin("storage-slow", HOST, factor=1000.0)
    before = world.world.now
    assert isinstance(world.ask(world.block(HOST).create("new", 1, Stamp(job="job", token=1))), Unavailable)
    assert world.world.now - before == pytest.approx(30.0)


@pytest.mark.parametrize(("name", "service"), [("storage-failover", "storage"), ("store-failover", "store")])
def test_an_election_takes_as_long_as_is_said(world: World, name: str, service: str) -> None:
    world.begin(name, seconds=25.0)
    world.advance(24.9)
    assert (world.storage.leader if service == "storage" else world.store.primary) is None
    world.advance(0.2)
    assert (world.storage.leader if service == "storage" else world.store.primary) is not None


def test_without_a_majority_of_the_meta_service_all_vms_pause_none_dies_and_all_go_on(world: World) -> None:
    end = world.begin("storage-quorum-loss")
    assert world.during(LEASE - 10.0, Paused, Gone) == []
    assert len(world.during(35.0, Paused)) == 18
    assert world.during(90.0, Gone) == []
    end()
    told = world.during(20.0, Gone, Resumed)
    assert [type(fact) for fact in told] == [Resumed] * 18
    assert {world.state(host) for host in world.machines} == {HostState.ONLINE}


def test_storage_that_restarts_keeps_what_it_had_acknowledged(world: World) -> None:
    owners = {name: (volume.owner, volume.epoch) for name, volume in world.storage.volumes.items()}
    world.begin("storage-restart")
    assert world.during(4.9, Wrote, Paused, Gone) == []
    assert not world.storage.reached_by(HOST)
    told = world.during(60.0, Wrote, Paused, Gone)
    assert {type(fact) for fact in told} == {Wrote}
    assert {name: (volume.owner, volume.epoch) for name, volume in world.storage.volumes.items()} == owners


def test_on_full_storage_vms_pause_and_volumes_are_grown_and_deleted_but_not_made(world: World) -> None:
    assert world.ask(world.block(HOST).create("old", 1, Stamp(job="job", token=1))) is None
    end = world.begin("storage-full")
    assert len(world.during(10.0, Paused)) == 18
    assert isinstance(world.ask(world.block(HOST).create("new", 1, Stamp(job="job", token=1))), Refused)
    assert world.ask(world.block(HOST).grow("old", 2, Stamp(job="job", token=1))) is None
    assert world.ask(world.block(HOST).delete("old", Stamp(job="job", token=1))) is None
    end()
    assert len(world.during(10.0, Resumed)) == 18


# What a host notes for itself


def test_on_a_full_host_nothing_is_done_that_must_be_noted_and_everything_else_goes_on(world: World) -> None:
    vm = world.here(HOST)[0]
    end = world.begin("fs-full", HOST)
    assert isinstance(world.ask(world.hypervisor(HOST).suspend(vm, Stamp(job="job", token=1, epoch=1))), Unavailable)
    node, counter = world.machines[HOST].running["node"], world.storage.leases[HOST].counter
    assert world.during(60.0, Paused, Gone) == []
    assert world.machines[HOST].running["node"] is node
    assert world.storage.leases[HOST].counter > counter + 8
    assert world.state(HOST) is HostState.UNMANAGED
    alarm = world.store.ledger.get(Alarm, f"full/{HOST}")
    assert alarm is not None
    assert "make room there" in alarm.what
    end()
    world.advance(10.0)
    assert world.state(HOST) is HostState.ONLINE
    assert world.store.ledger.get(Alarm, f"full/{HOST}") is None


def test_a_torn_hold_stops_nobody_who_knows_it_and_is_written_anew(world: World) -> None:
    machine = world.machines[HOST]
    known = machine.held()
    world.begin("torn-hold", HOST)
    assert machine.held() == (0.0, 0)
    assert world.during(6.0, Paused, Gone) == []
    assert machine.held()[0] > known[0]
    assert machine.held()[1] == known[1]


def test_who_starts_with_a_torn_hold_believes_nothing_of_it_and_asks_the_store(world: World) -> None:
    machine, vms = world.machines[HOST], world.here(HOST)
    machine.kill("node")
    world.begin("torn-hold", HOST)
    told = world.during(6.0, Paused, Resumed, Gone)
    assert [(type(fact), fact.vm) for fact in told] == [(kind, vm) for kind in (Paused, Resumed) for vm in vms]
    assert machine.held()[1] == 1
    assert world.during(60.0, Paused, Gone) == []


def test_a_host_that_is_off_or_has_no_lease_has_no_hold_to_tear(world: World) -> None:
    world.begin("host-crash", HOST)
    world.begin("torn-hold", HOST)
    world.machines[HOST].restart(0.0, boots=False)
    world.advance(30.0)
    assert world.machines[HOST].held()[1] > 0
