"""What faults of lines between hosts do to the simulated world, looked up in that world."""

from __future__ import annotations

import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.ha.timing import PROFILES
from ave.model.host import Host, HostState
from ave.ports.hypervisor import DomainState, Stamp
from drivers.sim.facts import Gone, Paused
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime
from tests.unit.sim.laboratory import HOST, LEASE, MANAGEMENT, STORAGE, World


@pytest.mark.parametrize(
    ("name", "plane", "there", "back"),
    [
        ("storage-deaf", STORAGE, True, False),
        ("storage-mute", STORAGE, False, True),
        ("management-deaf", MANAGEMENT, True, False),
        ("management-mute", MANAGEMENT, False, True),
    ],
)
def test_one_way_only(world: World, name: str, plane: Plane, there: bool, back: bool) -> None:
    end = world.begin(name, HOST)
    other = MANAGEMENT if plane is STORAGE else STORAGE
    assert world.network.carries(HOST, "host-1", plane) is there
    assert world.network.carries("host-1", HOST, plane) is back
    assert not world.network.reaches(HOST, "host-1", plane)
    assert world.network.reaches(HOST, "host-1", other)
    assert world.network.reaches("host-1", "host-2", plane)
    end()
    assert world.network.whole


def test_of_a_deaf_host_what_is_sent_first_takes_effect_and_then_nothing(world: World) -> None:
    boot, lease = world.machines[HOST].facts.boot, world.storage.leases[HOST]
    block = world.block(HOST)
    world.machines[HOST].stall_process("node")  # nobody else renews
    end = world.begin("storage-deaf", HOST)
    counter = lease.counter
    assert isinstance(world.ask(block.renew(HOST, boot)), UnknownOutcome)
    assert lease.counter == counter + 1
    assert isinstance(world.ask(world.block(HOST).create("new", 1, Stamp(job="job", token=1))), UnknownOutcome)
    assert "new" in world.storage.volumes
    counter = lease.counter
    assert isinstance(world.ask(block.renew(HOST, boot)), Unavailable)
    assert lease.counter == counter
    end()
    assert world.ask(block.renew(HOST, boot)).leader == world.storage.leader


def test_a_host_that_is_deaf_to_its_storage_is_rescued_like_any_that_is_cut_off(world: World) -> None:
    vms = world.here(HOST)
    world.begin("storage-deaf", HOST)
    world.advance(PROFILES["seed"].verdict + 30.0)
    assert world.state(HOST) in (HostState.FENCED, HostState.RECOVERED)
    assert all(any(vm in world.here(host) for host in world.machines if host != HOST) for vm in vms)


def test_a_write_of_a_host_that_is_deaf_to_the_store_may_have_happened(world: World) -> None:
    ports, _ = world.client(HOST, SimRuntime(world.world, f"{HOST}/test"))
    known = world.ask(ports.store.get(Host, HOST))
    end = world.begin("management-deaf", HOST)
    revision = world.store.ledger.revision
    assert isinstance(world.ask(ports.store.get(Host, known.id)), Unavailable)
    world.advance(10.0)
    assert world.store.ledger.revision > revision
    assert isinstance(world.ask(ports.store.get(Host, known.id)), Unavailable)
    end()
    assert world.ask(ports.store.get(Host, known.id)).id == HOST


def test_a_link_that_is_cut_is_between_those_two_only(world: World) -> None:
    end = world.begin("link-cut", HOST, "host-6", host="host-1")
    for plane in Plane:
        assert not world.network.reaches(HOST, "host-1", plane)
        assert not world.network.reaches("host-6", "host-1", plane)
        assert world.network.reaches(HOST, "host-6", plane)
        assert world.network.reaches("host-2", "host-1", plane)
    end()
    assert world.network.whole


def test_zones_that_are_cut_off_from_each_other(world: World) -> None:
    end = world.begin("zone-link-cut", zone="a")
    assert not world.network.reaches("host-1", "host-3", MANAGEMENT)
    assert world.network.reaches("host-1", "host-5", MANAGEMENT)  # the witness
    assert world.network.reaches("host-3", "host-5", MANAGEMENT)
    end()
    end = world.begin("zones-apart")
    assert not world.network.reaches("host-3", "host-5", STORAGE)
    assert world.network.reaches("host-3", "host-4", STORAGE)
    end()
    assert world.network.whole


def test_lost_packets_make_answers_late_and_streams_slow(world: World) -> None:
    draws = iter([0.1, 0.1, 0.9, 0.9] * 10)
    end = world.begin("packet-loss", HOST, share=0.2)
    assert world.network.extra_seconds(HOST, "host-1", lambda: next(draws)) == pytest.approx(0.2 + 0.4)
    assert world.network.extra_seconds("host-2", "host-1", lambda: next(draws)) == 0.0
    assert world.network.mib_per_second(HOST, "host-1", 1100.0) < 20.0
    assert world.during(300.0, Paused, Gone) == []
    assert world.state(HOST) is HostState.ONLINE
    end()
    assert world.network.mib_per_second(HOST, "host-1", 1100.0) == 1100.0


def test_a_delay_below_the_deadline_costs_time_only_and_one_above_it_is_a_loss(world: World) -> None:
    end = world.begin("network-delay", HOST, seconds=0.9)
    assert world.during(300.0, Paused, Gone) == []
    end()
    counter = world.storage.leases[HOST].counter
    world.begin("network-crawl", HOST, seconds=2.0)
    world.advance(30.0)
    assert world.storage.leases[HOST].counter <= counter + 1  # that one which was under way
    world.advance(LEASE)
    assert DomainState.RUNNING not in world.states(HOST)


def test_a_meta_leader_that_crawls_renews_nobodys_lease_but_its_own(world: World) -> None:
    leader = world.storage.leader
    assert leader is not None
    end = world.begin("network-crawl", leader, seconds=2.0)
    assert [host for host in world.machines if world.storage.led_for(host)] == [leader]
    assert world.storage.leader == leader
    end()
    assert all(world.storage.led_for(host) for host in world.machines)


@pytest.mark.parametrize(("name", "plane"), [("storage-flap", STORAGE), ("management-flap", MANAGEMENT)])
def test_a_link_that_flaps_is_cut_half_of_the_time_and_well_at_the_end(world: World, name: str, plane: Plane) -> None:
    end = world.begin(name, HOST, period=10.0)
    seen = []
    for _ in range(8):
        world.advance(2.5)
        seen.append(world.network.reaches(HOST, "host-1", plane))
    assert seen[::2] == [False, True] * 2
    end()
    world.advance(7.5)
    assert world.network.whole


def test_a_half_open_connection_is_silent_before_it_is_known_to_be_dead(world: World) -> None:
    ports, _ = world.client(HOST, SimRuntime(world.world, f"{HOST}/test"))
    watch = world.ask(ports.store.watch([Host]))
    world.begin("half-open", HOST)
    began = world.world.now
    while not isinstance(world.ask(watch.next()), Unavailable):
        pass
    assert world.world.now - began == pytest.approx(5.0, abs=0.1)
