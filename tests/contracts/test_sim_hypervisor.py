"""What the simulated hypervisor promises: one domain per right, older rights refused, and a migration that leaves one owner."""

from typing import Any

import msgspec
import pytest

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, DomainState, Stamp
from ave.ports.machine import Facts
from drivers.sim import physics
from drivers.sim.block import Storage
from drivers.sim.facts import Gone, Paused, Resumed, Started
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.machine import Instances, Machine
from drivers.sim.network import Network, Plane
from drivers.sim.runtime import SimRuntime, World

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


# Start and stop


def test_a_started_vm_runs_and_is_listed(lab, do):
    do("a", "start", SMALL, stamp())
    assert do("a", "list") == (Domain(vm="vm", state=RUNNING, epoch=1, memory_mib=2048),)
    assert do("b", "list") == ()
    assert lab.told(Started) == [Started("vm", "a", 1, 1, 2048, False, "job")]


def test_to_start_again_under_the_same_right_is_to_change_nothing(lab, do):
    for token in (1, 1, 2):
        do("a", "start", SMALL, stamp(token=token))
    assert len(lab.told(Started)) == 1


@pytest.mark.parametrize(("owner", "epoch"), [("b", 1), ("", 1), ("a", 2), ("a", 0)])
def test_a_vm_whose_volume_is_not_attached_here_at_its_epoch_is_not_started(lab, do, owner, epoch):
    lab.storage.place("disk", 20, owner, epoch)
    with pytest.raises(Refused, match="vm cannot open volume disk: a is not its owner"):
        do("a", "start", SMALL, stamp())
    assert lab.domains() == {}


def test_a_vm_without_one_of_its_volumes_is_not_started(lab, do):
    with pytest.raises(Refused, match="cannot open volume none"):
        do("a", "start", msgspec.structs.replace(SMALL, volumes=("disk", "none")), stamp())
    assert lab.domains() == {}


def test_a_vm_is_not_started_beside_a_domain_of_another_epoch(lab, do, up):
    lab.storage.place("disk", 20, "a", 2)
    with pytest.raises(Refused, match="vm already has a running domain of epoch 1 on a"):
        do("a", "start", up, stamp(epoch=2))
    assert lab.domains() == {("a", 1): RUNNING}


def test_a_destroyed_vm_is_gone_and_may_be_destroyed_again(lab, do, up):
    for _ in range(2):
        do("a", "destroy", "vm", stamp())
        assert lab.domains() == {}
    assert len(lab.told(Gone)) == 1


def test_a_guest_shuts_down_when_it_is_asked_and_asking_again_is_no_error(lab, do, up):
    low, high = physics.SHUTDOWN_SECONDS
    before = lab.world.now
    do("a", "shutdown", "vm", stamp(), 180.0)
    assert low <= lab.world.now - before <= high + 0.1
    assert lab.domains() == {}
    do("a", "shutdown", "vm", stamp(), 180.0)


def test_a_guest_that_takes_too_long_to_shut_down_runs_on_and_the_next_step_is_named(lab, do, up):
    with pytest.raises(Refused, match=r"vm did not shut down within 1\.5 s; force it off with poweroff"):
        do("a", "shutdown", "vm", stamp(), 1.5)
    lab.advance(60.0)
    assert lab.domains() == {("a", 1): RUNNING}


def test_a_guest_that_stands_still_does_not_shut_down(lab, do, up):
    do("a", "pause", "vm")
    with pytest.raises(Refused):
        do("a", "shutdown", "vm", stamp(), 20.0)
    assert lab.domains() == {("a", 1): PAUSED}


def test_power_loss_leaves_no_domain(lab, do, up):
    lab.machines["a"].power_off()
    lab.machines["a"].power_on()
    assert do("a", "list") == ()
    assert len(lab.told(Gone)) == 1


# Pausing


def test_a_paused_vm_stands_still_within_milliseconds_and_goes_on_when_resumed(lab, do, up):
    before = lab.world.now
    for _ in range(2):
        do("a", "pause", "vm")
        assert lab.domains() == {("a", 1): PAUSED}
    assert lab.world.now - before < 0.05
    for _ in range(2):
        do("a", "resume", "vm", 1)
        assert lab.domains() == {("a", 1): RUNNING}
    assert (len(lab.told(Paused)), len(lab.told(Resumed))) == (1, 1)


def test_to_pause_what_is_not_there_is_no_error(do):
    do("a", "pause", "vm")


@pytest.mark.parametrize("epoch", [0, 2])
def test_only_a_domain_of_that_epoch_is_resumed(lab, do, up, epoch):
    do("a", "pause", "vm")
    with pytest.raises(Refused, match=f"vm has no domain of epoch {epoch} on a"):
        do("a", "resume", "vm", epoch)
    assert lab.domains() == {("a", 1): PAUSED}


def test_what_is_not_there_cannot_be_resumed(do):
    with pytest.raises(Refused):
        do("a", "resume", "vm", 1)


@pytest.mark.parametrize("verb", ["resume", "abort", "finish"])
def test_nothing_begins_to_run_where_the_lease_is_over(lab, do, up, verb):
    target = "b" if verb == "finish" else "a"
    if verb == "resume":
        do("a", "pause", "vm")
    else:
        do("a", "migrate", up, "b", stamp())
    lab.machines[target].held_until = lab.machines[target].clock.now()
    if verb == "resume":
        do("a", "resume", "vm", 1)
    elif verb == "abort":
        do("a", "abort_migration", "vm", "b", stamp())
    else:
        do("a", "finish_migration", "vm", "b", stamp(2))
    assert RUNNING not in lab.domains().values()


# Older rights


OLDER_LOCK, OLDER_EPOCH = stamp(1, 4, "old"), stamp(0, 9, "old")


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("start", (LARGE, OLDER_LOCK)),
        ("start", (LARGE, OLDER_EPOCH)),
        ("shutdown", ("vm", OLDER_LOCK, 60.0)),
        ("shutdown", ("vm", OLDER_EPOCH, 60.0)),
        ("destroy", ("vm", OLDER_LOCK)),
        ("destroy", ("vm", OLDER_EPOCH)),
        ("migrate", (LARGE, "b", OLDER_LOCK)),
    ],
)
def test_an_outdated_right_is_refused_by_name_and_changes_nothing(lab, do, up, verb, given):
    do("a", "start", up, stamp(1, 5, "new"))
    with pytest.raises(Refused, match=f"vm: {verb} by old is outdated; new came after it"):
        do("a", verb, *given)
    assert lab.domains() == {("a", 1): RUNNING}


def test_the_newest_right_is_remembered_through_a_power_loss(lab, do, up):
    do("a", "destroy", "vm", stamp(1, 5, "new"))
    lab.machines["a"].power_off()
    lab.machines["a"].power_on()
    with pytest.raises(Refused, match="start by old is outdated"):
        do("a", "start", up, stamp(1, 4, "old"))
    assert lab.domains() == {}


def test_the_same_right_may_be_used_again_and_a_newer_one_too(do, up):
    for token, epoch in ((5, 1), (5, 1), (6, 1), (1, 2)):
        do("a", "destroy", "vm", stamp(epoch, token))


def test_an_outdated_job_cannot_abort_a_later_jobs_migration(lab, do, up):
    do("a", "migrate", up, "b", stamp(1, 5, "new"))
    with pytest.raises(Refused):
        do("a", "abort_migration", "vm", "b", stamp(1, 4, "old"))
    assert lab.domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}


def test_an_outdated_job_cannot_finish_what_a_later_one_has_in_hand(lab, do, up):
    do("a", "migrate", up, "b", stamp(1, 5))
    do("a", "finish_migration", "vm", "b", stamp(2, 5))
    do("b", "pause", "vm")
    with pytest.raises(Refused):
        do("b", "destroy", "vm", stamp(2, 4, "old"))
    with pytest.raises(Refused):
        do("a", "finish_migration", "vm", "b", stamp(2, 4, "old"))
    assert lab.domains() == {("b", 2): PAUSED}


# Migration


def test_a_migration_leaves_both_copies_standing_and_the_source_ran_until_the_last_moment(lab, do, begin, up):
    under_way = begin("a", "migrate", up, "b", stamp())
    lab.advance(LARGE.memory_mib / physics.MIGRATION_MIB_PER_SECOND)
    assert lab.domains() == {("a", 1): RUNNING, ("b", 2): INCOMING}
    lab.advance(COPY_SECONDS)
    assert under_way.done()
    assert lab.domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}
    assert do("b", "list") == (Domain(vm="vm", state=INCOMING, epoch=2, memory_mib=LARGE.memory_mib),)


def test_a_finished_migration_runs_the_target_alone_and_may_be_finished_again(lab, do, up):
    do("a", "migrate", up, "b", stamp())
    for _ in range(2):
        do("a", "finish_migration", "vm", "b", stamp(2))
        assert lab.domains() == {("b", 2): RUNNING}
    assert lab.told(Resumed) == [Resumed("vm", "b", 2, 2)]


def test_an_aborted_migration_runs_the_source_alone_and_may_be_aborted_again(lab, do, up):
    do("a", "migrate", up, "b", stamp())
    for _ in range(2):
        do("a", "abort_migration", "vm", "b", stamp())
        assert lab.domains() == {("a", 1): RUNNING}
    assert lab.told(Resumed) == [Resumed("vm", "a", 1, 1)]


def test_an_aborted_migration_may_be_tried_again(lab, do, up):
    for _ in range(2):
        do("a", "migrate", up, "b", stamp())
        do("a", "abort_migration", "vm", "b", stamp())
    do("a", "migrate", up, "c", stamp())
    do("a", "finish_migration", "vm", "c", stamp(2))
    assert lab.domains() == {("c", 2): RUNNING}


def test_a_source_whose_memory_was_given_away_does_not_go_on_until_its_migration_is_aborted(lab, do, up):
    do("a", "migrate", up, "b", stamp())
    with pytest.raises(Refused):
        do("a", "resume", "vm", 1)
    assert lab.domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}
    do("a", "abort_migration", "vm", "b", stamp())
    assert lab.domains() == {("a", 1): RUNNING}


def test_what_has_no_copy_of_that_epoch_there_cannot_be_finished(lab, do, up):
    with pytest.raises(Refused, match="vm has no copy of epoch 2 on b"):
        do("a", "finish_migration", "vm", "b", stamp(2))
    do("a", "migrate", up, "b", stamp())
    with pytest.raises(Refused, match="vm has no copy of epoch 3 on b"):
        do("a", "finish_migration", "vm", "b", stamp(3))
    assert lab.domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}


def test_a_vm_that_does_not_run_here_is_not_migrated(lab, do, up):
    with pytest.raises(Refused, match="vm does not run on b"):
        do("b", "migrate", up, "c", stamp())
    do("a", "pause", "vm")
    with pytest.raises(Refused, match="vm does not run on a"):
        do("a", "migrate", up, "c", stamp())
    assert lab.domains() == {("a", 1): PAUSED}


def test_a_vm_is_not_migrated_to_where_it_has_a_domain_already(lab, do, up):
    lab.machines["b"].add(up, 1, incoming=True)
    with pytest.raises(Refused, match="vm already has a domain on b"):
        do("a", "migrate", up, "b", stamp())
    assert lab.domains() == {("a", 1): RUNNING, ("b", 1): INCOMING}


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


@pytest.mark.parametrize("verb", ["destroy", "shutdown"])
@pytest.mark.parametrize("how", ["aborted", "failed"])
def test_after_a_migration_that_came_to_nothing_the_vm_obeys_the_next_job(lab, do, up, how, verb):
    """It still has its epoch: the next one was never given."""
    if how == "aborted":
        do("a", "migrate", up, "b", stamp(1, 1))
        do("a", "abort_migration", "vm", "b", stamp(1, 1))
    else:
        lab.network.cut(("b",), (Plane.MANAGEMENT,))
        with pytest.raises(Unavailable):
            do("a", "migrate", up, "b", stamp(1, 1))
    do("a", verb, "vm", stamp(1, 2), *([60.0] if verb == "shutdown" else []))
    assert lab.domains() == {}


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
