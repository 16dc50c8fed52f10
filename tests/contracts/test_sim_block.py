"""What is true of the simulated block storage alone: writes in flight, hosts cut off from it, and elections."""

from typing import Any

import pytest

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.block import Lease
from ave.ports.hypervisor import Stamp
from ave.ports.machine import Facts
from drivers.sim import physics
from drivers.sim.block import SimBlock
from drivers.sim.facts import Joined, Owned, Refusing, Revoked, Wrote
from drivers.sim.guest import Instances
from drivers.sim.machine import Machine
from drivers.sim.network import Network, Plane
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.storage import RENEW_SECONDS, Storage

MEMBERS = ("a", "b", "c")
HOSTS = (*MEMBERS, "d")  # one host is no member of the meta service
STORAGE = (Plane.STORAGE,)
ELECTED = physics.META_ELECTION_SECONDS[1] + 0.1


class Lab:
    def __init__(self, world):
        self.world = world
        self.network = Network(HOSTS)
        self.facts: list[Any] = []
        self.storage = Storage(world, self.network, MEMBERS, self.facts.append)
        self.runtimes = {host: SimRuntime(world, host) for host in HOSTS}
        self.blocks = {host: SimBlock(self.storage, self.runtimes[host], host) for host in HOSTS}

    def told(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def write(self, host, epoch):
        """One write that arrives at the target now; is it acknowledged?"""
        before = len(self.told(Wrote))
        self.storage.accept(host, [("disk", "vm", epoch, epoch, 0)])
        return len(self.told(Wrote)) > before

    def machine(self, name):
        facts = Facts(
            host=name,
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
        machine = Machine(self.world, self.network, self.storage, self.facts.append, Instances(), facts, {})
        machine.power_on()
        return machine

    def advance(self, seconds):
        self.world.advance(self.world.now + seconds)


@pytest.fixture
def lab():
    with World(seed=1) as world:
        yield Lab(world)


@pytest.fixture
def do(lab, finish):
    """``do(host, verb, …)`` answers as that call of that host's block storage does."""
    return lambda host, verb, *given: finish(
        lab.world, lab.runtimes[host].spawn(getattr(lab.blocks[host], verb)(*given), name=verb)
    )


@pytest.fixture
def disk(do):
    """A volume of host a, at epoch 1."""
    do("a", "create", "disk", 20, stamp(1))
    do("a", "attach", "disk", "a", stamp(1))
    return "disk"


def stamp(epoch, token=1, job="job"):
    return Stamp(job=job, lock="vm/web", epoch=epoch, token=token)


# Volumes


def test_a_volume_is_not_deleted_by_an_older_namesake_of_its_vm(lab, do):
    """A VM was deleted and another of its name made: the epochs begin anew, the tokens of their common lock do not."""
    do("a", "create", "disk", 20, stamp(0, 9, "new"))
    with pytest.raises(Refused, match="delete by old is outdated; new came after it"):
        do("a", "delete", "disk", stamp(5, 3, "old"))
    assert list(lab.storage.volumes) == ["disk"]


def test_growing_takes_no_right_from_the_vm_and_needs_none_of_it(lab, do, disk):
    """Tokens of the volume's lock and of its VM's are never compared, whichever is larger."""
    do("a", "attach", disk, "a", stamp(3, 40))
    for token, size_gib in ((1, 30), (2, 40), (50, 41)):
        do("b", "grow", disk, size_gib, Stamp(job="own", lock="volume/disk", token=token))
        do("a", "attach", disk, "a", stamp(3, 40))
        assert lab.storage.volumes[disk].size_gib == size_gib
        assert lab.write("a", 3)


@pytest.mark.parametrize("verb", ["create", "attach", "detach", "delete", "owner"])
def test_a_host_without_storage_learns_so_within_its_deadline_and_changed_nothing(lab, do, disk, verb):
    given = {"create": ("new", 20, stamp(1)), "attach": (disk, "d", stamp(2)), "owner": (disk,)}
    lab.network.cut(("d",), STORAGE)
    before = lab.world.now
    with pytest.raises(Unavailable):
        do("d", verb, *given.get(verb, (disk, stamp(1))))
    assert RENEW_SECONDS <= lab.world.now - before < RENEW_SECONDS + 0.1
    assert list(lab.storage.volumes) == [disk]
    assert do("a", "owner", disk) == ("a", 1)


def test_a_process_that_dies_before_its_request_arrives_has_changed_nothing(lab, do, disk):
    lab.runtimes["b"].spawn(lab.blocks["b"].attach(disk, "b", stamp(2)), name="attach")
    lab.advance(physics.ATTACH_SECONDS / 2)
    lab.runtimes["b"].kill()
    lab.advance(1.0)
    assert do("a", "owner", disk) == ("a", 1)


# Writes in flight


def running(lab, disk):
    """Host d runs a guest of epoch 1 that writes to the volume."""
    machine = lab.machine("d")
    lab.storage.place(disk, 20, "d", 1)
    machine.add(VM(id="vm", vcpus=1, memory_mib=1024, volumes=(disk,)), 1, incoming=False)
    return machine


def test_a_guest_writes_until_its_volume_is_attached_elsewhere_and_never_again(lab, do):
    running(lab, "disk")
    lab.advance(20.0)
    written = lab.told(Wrote)
    assert written
    assert [write.writes for write in written] == [
        (("disk", "vm", 1, 1, number),) for number in range(1, len(written) + 1)
    ]
    do("a", "attach", "disk", "a", stamp(2))
    lab.advance(20.0)
    assert lab.told(Wrote) == written
    assert lab.told(Refusing)


def test_a_write_that_was_on_its_way_when_the_volume_was_attached_elsewhere_is_refused(lab, do):
    machine = running(lab, "disk")
    machine.disk_factor = 3.0 / physics.WRITE_SECONDS
    lab.advance(physics.GUEST_WRITE_SECONDS)
    assert (lab.told(Wrote), lab.told(Refusing)) == ([], []), "the first write is on its way"
    do("a", "attach", "disk", "a", stamp(2))
    lab.advance(3.0)
    assert (lab.told(Wrote), lab.told(Refusing)) == ([], [Refusing("d", "disk", 1, 1)])


def test_what_a_host_had_queued_for_a_lost_session_is_refused_if_the_volume_was_attached_elsewhere(lab, do):
    running(lab, "disk")
    lab.network.cut(("d",), STORAGE)
    lab.advance(2 * physics.GUEST_WRITE_SECONDS + 1.0)
    do("a", "attach", "disk", "a", stamp(2))
    assert (lab.told(Wrote), lab.told(Refusing)) == ([], [])
    lab.network.heal(("d",), STORAGE)
    assert lab.told(Wrote) == []
    assert len(lab.told(Refusing)) == 2


@pytest.mark.parametrize("here", [True, False])
def test_what_a_host_had_queued_is_written_in_time_and_what_is_old_is_done_again_by_who_is_still_there(lab, here):
    machine = running(lab, "disk")
    lab.network.cut(("d",), STORAGE)
    lab.advance(physics.REPLACEMENT_SECONDS + 4 * physics.GUEST_WRITE_SECONDS)
    if not here:
        machine.remove(machine.guests["vm"])
    lab.network.heal(("d",), STORAGE)
    kept = int(physics.REPLACEMENT_SECONDS / physics.GUEST_WRITE_SECONDS)
    assert len(lab.told(Wrote)) == kept + here


def test_what_a_host_had_queued_is_gone_when_it_loses_power(lab):
    machine = running(lab, "disk")
    lab.network.cut(("d",), STORAGE)
    lab.advance(2 * physics.GUEST_WRITE_SECONDS + 1.0)
    machine.power_off()
    machine.power_on()
    lab.network.heal(("d",), STORAGE)
    lab.advance(20.0)
    assert lab.told(Wrote) == []


# Leases


def leases(do):
    return {lease.host: lease for lease in do("a", "leases")}


@pytest.mark.parametrize("late", [delay / 10 * physics.HOP_SECONDS for delay in range(-12, 13, 2)])
def test_of_a_renewal_and_a_revocation_at_once_exactly_one_takes_place(lab, do, late):
    do("d", "join", "d", "boot-1")
    answers = {}

    async def ask(host, verb, *given, after):
        await lab.runtimes[host].sleep(after)
        try:
            await getattr(lab.blocks[host], verb)(*given)
            answers[verb] = True
        except Refused:
            answers[verb] = False

    lab.runtimes["d"].spawn(ask("d", "renew", "d", "boot-1", after=max(0.0, late)), name="renew")
    lab.runtimes["a"].spawn(ask("a", "revoke", "d", 0, after=max(0.0, -late)), name="revoke")
    lab.advance(1.0)
    assert sorted(answers.items()) in ([("renew", True), ("revoke", False)], [("renew", False), ("revoke", True)])
    assert leases(do)["d"].revoked is answers["revoke"]


@pytest.mark.parametrize(
    ("verb", "given"), [("renew", ("d", "boot-1")), ("join", ("d", "boot-2")), ("revoke", ("d", 0)), ("leases", ())]
)
def test_a_host_that_cannot_reach_the_meta_leader_learns_so_within_its_deadline(lab, do, verb, given):
    do("d", "join", "d", "boot-1")
    lab.network.cut(("d",), STORAGE)
    before = lab.world.now
    with pytest.raises(Unavailable):
        do("d", verb, *given)
    assert RENEW_SECONDS <= lab.world.now - before < RENEW_SECONDS + 0.1
    assert leases(do) == {"d": Lease("d", 0, False)}


def test_without_a_meta_leader_no_lease_is_renewed_and_volumes_go_on(lab, do, disk):
    do("d", "join", "d", "boot-1")
    lab.storage.step_down()
    with pytest.raises(Unavailable):
        do("d", "renew", "d", "boot-1")
    do("b", "attach", disk, "b", stamp(2))
    assert lab.write("b", 2)


def test_leases_survive_a_change_of_the_meta_leader_and_the_term_grows(lab, do):
    do("d", "join", "d", "boot-1")
    terms = []
    for _ in range(4):
        lab.storage.step_down()
        lab.advance(ELECTED)
        grant = do("d", "renew", "d", "boot-1")
        assert grant.leader == lab.storage.leader in MEMBERS
        terms.append(grant.term)
    assert terms == [2, 3, 4, 5]
    assert do(lab.storage.leader, "leases") == (Lease("d", 4, False),)


def test_each_member_that_steps_aside_is_followed_by_one_that_has_not_until_all_have(lab):
    led = []
    for _ in MEMBERS:
        led.append(lab.storage.leader)
        lab.storage.step_aside(300.0)
        assert lab.storage.leader is None
        lab.advance(ELECTED)
    assert sorted(led) == sorted(MEMBERS)
    assert lab.storage.leader in MEMBERS


def test_a_meta_leader_that_loses_its_majority_is_replaced_by_one_who_has_it(lab, do):
    do("d", "join", "d", "boot-1")
    lab.network.cut(("a",), STORAGE)
    lab.advance(ELECTED)
    assert lab.storage.leader in ("b", "c")
    with pytest.raises(Unavailable):
        do("a", "leases")
    do("d", "renew", "d", "boot-1")


def test_nobody_leads_while_no_member_has_a_majority_and_somebody_does_once_one_has(lab, do):
    do("d", "join", "d", "boot-1")
    for member in MEMBERS:
        lab.network.cut((member,), STORAGE)
    lab.advance(100.0)
    assert lab.storage.leader is None
    lab.network.heal(HOSTS, STORAGE)
    lab.advance(ELECTED)
    do("d", "renew", "d", "boot-1")


def test_owners_are_told_to_whoever_judges_in_the_order_in_which_they_came(lab, do, disk):
    do("b", "attach", disk, "b", stamp(2))
    do("b", "attach", disk, "c", stamp(3))
    assert lab.told(Owned) == [Owned("disk", "a", 1), Owned("disk", "b", 2), Owned("disk", "c", 3)]


def test_each_lease_is_told_once_when_it_begins_and_when_it_ends_however_often_it_is_asked_for(lab, do):
    for verb, given in (("join", ("d", "boot-1")), ("revoke", ("d", 0))):
        for _ in range(2):
            do("a", verb, *given)
    assert lab.told((Joined, Revoked)) == [Joined("d", "boot-1"), Revoked("d")]
