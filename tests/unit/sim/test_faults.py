"""What each fault does to the simulated world, looked up in that world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ha.timing import HUNG_SECONDS, LOOP_SECONDS, PROFILES
from ave.model.host import Host, HostState
from ave.operations import MigrateVMs
from ave.ports.hypervisor import DomainState, Stamp
from drivers.sim import physics
from drivers.sim.block import SimBlock
from drivers.sim.facts import Disturbed, Gone, Paused, Powered, Refusing, Resumed, Wrote
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.machine import Phase
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime
from sim import faults
from sim.cluster import GIB, SimCluster
from sim.faults import FAULTS
from sim.oracle import Oracle
from sim.scenario.model import Fleet, Forever, Shape, Topology
from sim.user import User

MANAGEMENT, STORAGE = Plane.MANAGEMENT, Plane.STORAGE
LEASE = PROFILES["seed"].give_up
HOST = "host-5"  # no master


class World(SimCluster):
    """Six hosts in three zones, with three VMs each, judged by every invariant."""

    def __init__(self) -> None:
        zones = {"a": 2, "b": 2, "c": 2}
        super().__init__(Topology(shapes=(Shape(6, 16, 65536, 0),), masters=3, zones=zones, networks=("vm",)), seed=5)
        self.facts: list[tuple[float, Any]] = []
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.oracle = Oracle(self)
        self.user = User(self, self.oracle.stage.acknowledged)
        self.listeners.append(lambda fact: self.facts.append((self.world.now, fact)))
        self.world.tell = lambda *said: self.told.append(said)
        self.power_on([Fleet("web", 18, 1, 1024, GIB, True, "medium", Forever())])
        self.advance(20.0)

    def __enter__(self) -> World:
        return self

    def advance(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def begin(self, name: str, *names: str, **given: Any) -> Callable[[], None]:
        """Returns what ends it."""
        full = {p.name: p.default for p in FAULTS[name].kind.parameters if p.default is not None} | given
        faults.begin(self, name, names, full, lasting=FAULTS[name].kind.lasting)
        return lambda: faults.end(self, name, names, full)

    def during(self, seconds: float, *kinds: type) -> list[Any]:
        """What the world tells meanwhile."""
        before = len(self.facts)
        self.advance(seconds)
        return [fact for _, fact in self.facts[before:] if isinstance(fact, kinds)]

    def here(self, host: str) -> list[str]:
        return list(self.machines[host].guests)

    def states(self, host: str) -> list[DomainState]:
        return list(dict.fromkeys(guest.state for guest in self.machines[host].guests.values()))

    def state(self, host: str) -> HostState:
        return self.store.ledger.get(Host, host).state

    def ask(self, call: Any, within: float = 60.0) -> Any:
        """The answer of a port to somebody on a host, or what it raises."""
        got: list[Any] = []

        async def asked() -> None:
            try:
                got.append(await call)
            except (Unavailable, UnknownOutcome, Refused) as error:
                got.append(error)

        end = self.world.now + within
        SimRuntime(self.world, "asker").spawn(asked(), name="ask")
        while not got and self.world.now < end:
            self.world.step()
        return got[0] if got else None

    def block(self, host: str) -> SimBlock:
        return SimBlock(self.storage, SimRuntime(self.world, f"{host}/test"), host)

    def hypervisor(self, host: str) -> SimHypervisor:
        return SimHypervisor(self.machines[host], SimRuntime(self.world, f"{host}/test"), self.machines)

    def migrate(self, vm: str) -> None:
        self.user.spawn("vm.migrate", MigrateVMs(vms=(vm,)))


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


# Power


def test_a_host_that_reboots_is_back_when_it_was_said_with_another_boot_id(world: World) -> None:
    before = world.machines[HOST].facts.boot
    world.begin("host-reboot", HOST, seconds=30.0)
    assert world.during(29.9, Powered) == []
    assert world.during(0.2, Powered) == [Powered(HOST, True)]
    assert world.machines[HOST].facts.boot != before


def test_a_zone_that_crashes_takes_all_its_hosts_and_no_other(world: World) -> None:
    end = world.begin("zone-crash", zone="b")
    assert [name for name, machine in world.machines.items() if not machine.powered] == ["host-3", "host-4"]
    assert next(f for _, f in world.facts if isinstance(f, Disturbed)).harms == ("host-3", "host-4")
    end()
    world.advance(91.0)
    assert all(machine.powered for machine in world.machines.values())


@pytest.mark.parametrize(("name", "who"), [("leader-crash", "storage"), ("primary-crash", "store")])
def test_who_leads_is_found_when_it_begins_and_remembered_until_it_ends(world: World, name: str, who: str) -> None:
    world.begin("storage-failover")
    world.advance(15.0)
    host = world.storage.leader if who == "storage" else world.store.primary
    end = world.begin(name)
    assert [name for name, machine in world.machines.items() if not machine.powered] == [host]
    world.advance(20.0)
    assert host != (world.storage.leader if who == "storage" else world.store.primary)
    end()
    world.advance(91.0)
    assert host is not None
    assert world.machines[host].powered


# Processes


def test_a_node_that_hangs_lets_its_lease_end_and_the_guard_freezes_its_vms(world: World) -> None:
    end = world.begin("node-stall", HOST)
    assert world.during(LEASE - 5.0, Paused) == []
    assert {fact.host for fact in world.during(25.0, Paused)} == {HOST}
    assert any(event == "guard froze VMs" for _, event, _ in world.told)
    end()
    assert {fact.host for fact in world.during(10.0, Resumed)} == {HOST}


def test_a_node_that_is_seen_to_hang_is_ended_by_the_guard_and_started_anew_and_no_vm_stops(world: World) -> None:
    node = world.machines[HOST].running["node"]
    end = world.begin("node-stall", HOST, seen=True)
    assert world.during(HUNG_SECONDS - 1.0, Paused, Gone) == []
    assert world.machines[HOST].running["node"] is node
    assert world.during(6.0, Paused, Gone) == []
    assert world.machines[HOST].running["node"] is not node
    end()
    assert world.during(LEASE + 60.0, Paused, Gone) == []
    host: Host = world.store.ledger.get(Host, HOST)
    assert (host.state, host.epoch) == (HostState.ONLINE, 1)


def test_a_node_that_goes_on_in_time_is_not_ended(world: World) -> None:
    node = world.machines[HOST].running["node"]
    for _ in range(3):
        end = world.begin("node-stall", HOST, seen=True)
        world.advance(HUNG_SECONDS - 1.0)
        end()
        world.advance(0.5)
    world.advance(HUNG_SECONDS)
    assert world.machines[HOST].running["node"] is node


def test_a_guard_that_hangs_stops_nobody(world: World) -> None:
    end = world.begin("guard-stall", HOST)
    assert world.during(200.0, Paused, Gone) == []
    end()
    assert world.during(200.0, Paused, Gone) == []


def test_a_process_that_hangs_alone_goes_on_hanging_when_its_host_goes_on(world: World) -> None:
    node = world.machines[HOST].running["node"]
    end = world.begin("node-stall", HOST)
    world.begin("host-stall", HOST)()
    assert node.halted
    end()
    assert not node.halted


def test_a_process_in_a_crash_loop_is_started_again_and_again_and_no_vm_stops(world: World) -> None:
    end = world.begin("crash-loop", HOST, process="node", seconds=10.0)
    started = [world.machines[HOST].running.get("node")]
    for _ in range(12):
        assert world.during(5.0, Paused, Gone) == []
        started.append(world.machines[HOST].running.get("node"))
    assert len(dict.fromkeys(started)) > 5
    assert world.store.ledger.get(Host, HOST).state is HostState.UNMANAGED, "it gets no new VM"
    end()
    world.advance(5.0)
    last = world.machines[HOST].running["node"]
    world.advance(LOOP_SECONDS)
    assert world.machines[HOST].running["node"] is last
    assert world.store.ledger.get(Host, HOST).state is HostState.ONLINE


def test_a_leader_whose_process_hangs_stays_leader(world: World) -> None:
    leader = world.storage.leader
    end = world.begin("leader-stall")
    world.advance(30.0)
    assert world.storage.leader == leader
    assert leader is not None
    assert world.machines[leader].running["node"].halted
    end()
    assert not world.machines[leader].running["node"].halted


# Network


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


@pytest.mark.parametrize("name", ["storage-flap", "management-flap", "crash-loop"])
def test_what_comes_again_and_again_may_overlap_with_itself(world: World, name: str) -> None:
    given = {"process": "node", "seconds": 10.0} if name == "crash-loop" else {"period": 10.0}
    ends = [world.begin(name, HOST, **given) for _ in range(2)]
    for end in ends:
        world.advance(20.0)
        end()
    world.advance(LOOP_SECONDS)
    assert world.network.whole
    assert world.store.ledger.get(Host, HOST).state is HostState.ONLINE
    assert not any(world.undo.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("storage-loss", "storage-loss"),
        ("storage-loss", "partition"),
        ("partition", "half-open"),
        ("storage-flap", "storage-loss"),
        ("packet-loss", "network-delay"),
    ],
)
def test_the_end_of_one_fault_does_not_end_another_like_it(world: World, one: str, other: str) -> None:
    given = {"period": 2.0, "share": 0.1, "seconds": 0.1}
    ends = [world.begin(name, HOST, **given) for name in (one, other)]
    world.advance(5.0)
    for end in ends:
        assert not world.network.whole
        end()
    assert world.network.whole


def test_a_half_open_connection_is_silent_before_it_is_known_to_be_dead(world: World) -> None:
    ports, _ = world.client(HOST, SimRuntime(world.world, f"{HOST}/test"))
    watch = world.ask(ports.store.watch([Host]))
    world.begin("half-open", HOST)
    began = world.world.now
    while not isinstance(world.ask(watch.next()), Unavailable):
        pass
    assert world.world.now - began == pytest.approx(5.0, abs=0.1)


# Storage


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


# Store


def test_a_minority_of_the_store_is_cut_off_and_the_rest_goes_on(world: World) -> None:
    primary = world.store.primary
    end = world.begin("store-minority")
    apart = [host for host in world.store.members if not world.store.serves(host)]
    assert len(apart) == 1
    assert world.during(120.0, Paused, Gone) == []
    assert world.store.primary == primary
    assert world.state(apart[0]) is HostState.UNMANAGED
    end()
    world.advance(30.0)
    assert world.state(apart[0]) is HostState.ONLINE


@pytest.mark.parametrize(("back", "sign"), [(False, 1.0), (True, -1.0)])
def test_store_time_steps_when_the_next_primary_takes_over(world: World, back: bool, sign: float) -> None:
    world.begin("store-clock-step", seconds=3600.0, back=back)
    assert world.store.now() == pytest.approx(world.world.now)
    world.advance(10.0)
    assert world.store.now() == pytest.approx(world.world.now + sign * 3600.0)


# Guests


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


# Migration


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize(
    ("name", "off"),
    [("migration-cut", ""), ("migration-source-crash", "source"), ("migration-target-crash", "target")],
)
def test_a_migration_is_struck_in_its_phase_and_the_next_one_is_not(
    world: World, name: str, off: str, phase: Phase
) -> None:
    vm = world.here(HOST)[0]
    world.begin(name, phase=str(phase))
    world.migrate(vm)
    world.advance(30.0)
    down = [host for host, machine in world.machines.items() if not machine.powered]
    if off:
        assert len(down) == 1
        assert (down == [HOST]) is (off == "source")
    else:
        assert not down
        assert not world.network.whole
    assert all(machine.at_phase is None for machine in world.machines.values())
    world.advance(400.0)
    assert world.network.whole
    assert sum(vm in world.here(host) for host in world.machines) == 1


def test_the_source_of_a_migration_may_lose_its_process(world: World) -> None:
    before = world.machines[HOST].running["node"]
    world.begin("migration-kill", phase="copy")
    world.migrate(world.here(HOST)[0])
    world.advance(30.0)
    assert world.machines[HOST].running["node"] is not before


@pytest.mark.parametrize("moment", ["lead", "place", "start"])
@pytest.mark.parametrize("name", ["rescue-crash", "rescue-kill", "rescue-failover", "rescue-election"])
def test_a_rescue_is_struck_when_it_is_at_that_and_the_next_one_is_not(world: World, name: str, moment: str) -> None:
    before = (
        world.storage.term,
        world.store.term,
        {host: machine.running["node"] for host, machine in world.machines.items()},
    )
    world.begin(name, moment=moment)
    world.advance(60.0)
    assert (world.storage.term, world.store.term) == before[:2], "it waits for a rescue"
    listeners = len(world.store.ledger.listeners)
    world.machines[HOST].power_off()
    world.advance(110.0)
    down = [host for host, machine in world.machines.items() if not machine.powered and host != HOST]
    killed = [
        host for host, machine in world.machines.items() if machine.running.get("node") not in (before[2][host], None)
    ]
    assert len(down) == (name == "rescue-crash")
    assert len(killed) == (name == "rescue-kill")
    assert world.storage.term - before[0] == (name == "rescue-failover" or down == ["host-1"])
    assert world.store.term - before[1] == (name == "rescue-election" or down == ["host-1"])
    assert len(world.store.ledger.listeners) == listeners - 1
    world.advance(400.0)
    assert sum(len(world.here(host)) for host in world.machines) == 18, "all run again"


def test_a_vm_that_rewrites_its_memory_too_fast_is_not_migrated_and_runs_on(world: World) -> None:
    vm = world.here(HOST)[0]
    end = world.begin("busy-memory", HOST, factor=20.0)
    world.migrate(vm)
    assert [fact for fact in world.during(400.0, Paused, Gone) if fact.host == HOST] == []
    end()
    world.migrate(vm)
    world.advance(30.0)
    assert vm not in world.here(HOST)
