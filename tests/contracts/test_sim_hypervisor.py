"""What is true of the simulated hypervisor alone: what it tells the world, how long it takes, and what is lost on the way."""

from typing import Any

import msgspec
import pytest

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, DomainState, Stamp
from ave.ports.machine import Facts
from drivers.sim import physics
from drivers.sim.facts import Gone, Paused, Resumed, Started
from drivers.sim.guest import Instances
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.machine import Machine
from drivers.sim.network import Network, Plane
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.storage import Storage

HOSTS = ("a", "b", "c")
RUNNING, PAUSED, INCOMING = DomainState.RUNNING, DomainState.PAUSED, DomainState.INCOMING
SMALL = VM(id="vm", vcpus=1, memory_mib=2048, volumes=("disk",))
LARGE = msgspec.structs.replace(SMALL, memory_mib=64 * 1024)
COPY_SECONDS = 1.5 * LARGE.memory_mib / physics.MIGRATION_MIB_PER_SECOND  # with what it dirties meanwhile


class Lab:
    def __init__(self, world):
        self.world = world
        self.network = Network(HOSTS)
        self.facts: list[Any] = []
        self.storage = Storage(world, self.network, HOSTS, self.facts.append)
        instances = Instances()
        self.machines = {
            host: Machine(world, self.network, self.storage, self.facts.append, instances, facts(host), {})
            for host in HOSTS
        }
        self.runtimes = {host: SimRuntime(world, host) for host in HOSTS}
        self.hypervisors = {
            host: SimHypervisor(machine, self.runtimes[host], self.machines) for host, machine in self.machines.items()
        }
        for machine in self.machines.values():
            machine.power_on()
            machine.held_until = float("inf")  # its lease does not end here
        self.storage.place("disk", 20, "a", 1)

    def told(self, *kinds):
        return [fact for fact in self.facts if isinstance(fact, kinds)]

    def domains(self):
        """Where the VM has domains, and how they are."""
        return {
            (host, guest.epoch): guest.state
            for host, machine in self.machines.items()
            for guest in machine.guests.values()
        }

    def advance(self, seconds):
        self.world.advance(self.world.now + seconds)


def facts(host):
    return Facts(
        host=host,
        boot="",
        cpus=8,
        memory_mib=65536,
        reserve_mib=0,
        zone="",
        primary=False,
        master=False,
        cpu_model="any",
        networks=(),
    )


def stamp(epoch=1, token=1, job="job"):
    return Stamp(job=job, epoch=epoch, token=token)


@pytest.fixture
def lab():
    with World(seed=1) as world:
        yield Lab(world)


@pytest.fixture
def begin(lab):
    """``begin(host, verb, …)`` is that call of that host's hypervisor, under way."""
    return lambda host, verb, *given: lab.runtimes[host].spawn(getattr(lab.hypervisors[host], verb)(*given), name=verb)


@pytest.fixture
def do(lab, begin, finish):
    """``do(host, verb, …)`` answers as that call does."""
    return lambda host, verb, *given: finish(lab.world, begin(host, verb, *given))


@pytest.fixture
def up(lab, do):
    """The VM runs on host a, at epoch 1."""
    do("a", "start", LARGE, stamp())
    return LARGE


# What the world is told


def test_each_start_pause_and_end_of_a_domain_is_told_once_however_often_it_is_asked_for(lab, do):
    for verb, given in (
        ("start", (SMALL, stamp())),
        ("pause", ("vm",)),
        ("resume", ("vm", stamp())),
        ("destroy", ("vm", stamp())),
    ):
        for _ in range(2):
            do("a", verb, *given)
    assert lab.told(Started, Paused, Resumed, Gone) == [
        Started("vm", "a", 1, 1, 2048, False, "job"),
        Paused("vm", "a", 1),
        Resumed("vm", "a", 1, 1),
        Gone("vm", "a", 1),
    ]


def test_power_loss_ends_every_domain(lab, do, up):
    lab.machines["a"].power_off()
    assert lab.told(Gone) == [Gone("vm", "a", 1)]


@pytest.mark.parametrize("how", ["finish", "abort"])
def test_after_a_migration_one_of_the_copies_is_resumed_once(lab, do, up, how):
    do("a", "migrate", up, "b", stamp())
    for _ in range(2):
        do("a", f"{how}_migration", "vm", "b", stamp(2 if how == "finish" else 1))
    assert lab.told(Resumed) == [Resumed("vm", "b", 2, 2) if how == "finish" else Resumed("vm", "a", 1, 1)]


# How long it takes


def test_a_guest_takes_its_time_to_shut_down(lab, do, up):
    low, high = physics.SHUTDOWN_SECONDS
    before = lab.world.now
    do("a", "shutdown", "vm", stamp(), 180.0)
    assert low <= lab.world.now - before <= high + 0.1


def test_a_guest_that_took_too_long_to_shut_down_does_not_do_so_later(lab, do, up):
    with pytest.raises(Refused, match=r"vm did not shut down within 1\.5 s; force it off with poweroff"):
        do("a", "shutdown", "vm", stamp(), 1.5)
    lab.advance(60.0)
    assert lab.domains() == {("a", 1): RUNNING}


def test_a_vm_stands_still_within_milliseconds(lab, do, up):
    before = lab.world.now
    do("a", "pause", "vm")
    assert lab.world.now - before < 0.05


# Migration


def test_a_migration_leaves_both_copies_standing_and_the_source_ran_until_the_last_moment(lab, do, begin, up):
    under_way = begin("a", "migrate", up, "b", stamp())
    lab.advance(LARGE.memory_mib / physics.MIGRATION_MIB_PER_SECOND)
    assert lab.domains() == {("a", 1): RUNNING, ("b", 2): INCOMING}
    lab.advance(COPY_SECONDS)
    assert under_way.done()
    assert lab.domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}
    assert do("b", "list") == (Domain(vm="vm", state=INCOMING, epoch=2, memory_mib=LARGE.memory_mib),)


def test_a_target_that_cannot_be_reached_is_found_out_at_once(lab, do, up):
    lab.network.cut(("b",), (Plane.MANAGEMENT,))
    before = lab.world.now
    with pytest.raises(Unavailable, match="b cannot be reached from a"):
        do("a", "migrate", up, "b", stamp())
    assert lab.world.now - before < 1.0
    assert lab.domains() == {("a", 1): RUNNING}


@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
@pytest.mark.parametrize("how", ["power", "network"])
def test_a_target_that_is_lost_during_the_copy_leaves_the_source_running(lab, begin, up, share, how):
    under_way = begin("a", "migrate", up, "b", stamp())
    joined = lab.runtimes["c"].spawn(raises(Unavailable, under_way.join()), name="joiner")
    lab.advance(share * LARGE.memory_mib / physics.MIGRATION_MIB_PER_SECOND)
    if how == "power":
        lab.machines["b"].power_off()
    else:
        lab.network.cut(("b",), (Plane.MANAGEMENT,))
    lab.advance(2 * COPY_SECONDS)
    assert joined.value
    assert lab.domains()["a", 1] is RUNNING
    assert lab.told(Paused) == []


def test_a_target_that_is_lost_in_the_switch_over_leaves_the_source_running(lab, begin, up):
    under_way = begin("a", "migrate", up, "b", stamp())
    joined = lab.runtimes["c"].spawn(raises(Unavailable, under_way.join()), name="joiner")
    while not lab.told(Paused):
        lab.world.step()
    lab.network.cut(("b",), (Plane.MANAGEMENT,))
    lab.advance(1.0)
    assert joined.value
    assert lab.domains()["a", 1] is RUNNING


def test_a_migration_that_does_not_converge_leaves_the_source_running(lab, do, up, monkeypatch):
    monkeypatch.setattr(physics, "DIRTY_MIB_PER_SECOND", 3 * physics.MIGRATION_MIB_PER_SECOND)
    with pytest.raises(Unavailable, match="migration of vm does not converge"):
        do("a", "migrate", up, "b", stamp())
    assert lab.domains() == {("a", 1): RUNNING}


def test_a_failed_migration_leaves_a_vm_that_was_paused_meanwhile_paused(lab, do, begin, up):
    """Its host's lease ended during the copy: whoever paused it will resume it, and nobody else."""
    under_way = begin("a", "migrate", up, "b", stamp())
    joined = lab.runtimes["c"].spawn(raises(Unavailable, under_way.join()), name="joiner")
    lab.advance(10.0)
    do("a", "pause", "vm")
    lab.network.cut(("b",), (Plane.MANAGEMENT,))
    lab.advance(2 * COPY_SECONDS)
    assert joined.value
    assert lab.domains()["a", 1] is PAUSED


def test_a_migration_whose_node_was_killed_takes_nothing_of_the_line_from_the_next_one(lab, do, begin, up):
    begin("a", "migrate", up, "b", stamp())
    lab.advance(10.0)
    lab.runtimes["a"].kill()
    lab.runtimes["a"] = SimRuntime(lab.world, "a")
    lab.hypervisors["a"] = SimHypervisor(lab.machines["a"], lab.runtimes["a"], lab.machines)
    do("a", "abort_migration", "vm", "b", stamp())
    before = lab.world.now
    do("a", "migrate", up, "b", stamp())
    assert lab.world.now - before < COPY_SECONDS


def test_the_copy_of_a_source_that_lost_power_stays_behind_and_does_not_run(lab, begin, up):
    begin("a", "migrate", up, "b", stamp())
    lab.advance(10.0)
    lab.machines["a"].power_off()
    lab.runtimes["a"].kill()
    lab.advance(2 * COPY_SECONDS)
    assert lab.domains() == {("b", 2): INCOMING}


async def raises(kind, awaited):
    try:
        await awaited
    except kind:
        return True
    return False
