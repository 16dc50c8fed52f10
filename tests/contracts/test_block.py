"""What every block storage promises: one owner per volume whatever comes late, and leases that end for good."""

from contextlib import closing

import pytest

from ave.errors import Refused, Unavailable
from ave.ports.block import Grant, Lease
from ave.ports.hypervisor import Stamp
from tests.contracts.labs import LABS


def stamp(epoch, token=1, job="job", task="task", attempt=1):
    return Stamp(job=job, task=task, attempt=attempt, lock="vm/web", epoch=epoch, token=token)


def under_own_lock(token=1, job="job"):
    return Stamp(job=job, task="task", attempt=1, lock="volume/disk", token=token)


@pytest.fixture(params=LABS)
def lab(request, tmp_path, finish):
    with closing(LABS[request.param](tmp_path, finish)) as lab:
        yield lab


@pytest.fixture
def do(lab):
    """``do(host, verb, …)`` answers as that call of that host's block storage does."""
    return lambda host, verb, *given, **named: lab.call(host, 1, verb, *given, **named)


@pytest.fixture
def disk(do):
    """A volume of host a, at epoch 1."""
    do("a", "create", "disk", 20, stamp(1))
    do("a", "attach", "disk", "a", stamp(1))
    return "disk"


# Volumes


def test_a_new_volume_has_no_owner_and_takes_no_write(lab, do):
    do("a", "create", "disk", 20, stamp(1))
    assert do("b", "owner", "disk") == ("", 0)
    assert not lab.write("disk", "a", 0)


def test_a_volume_is_made_once_however_often_it_is_asked_for(lab, do, disk):
    do("a", "create", disk, 20, stamp(1))
    assert do("a", "owner", disk) == ("a", 1)
    assert lab.volumes() == [disk]


@pytest.mark.parametrize("size_gib", [10, 30])
def test_a_volume_of_another_size_is_another_volume(do, disk, size_gib):
    with pytest.raises(Refused, match="disk exists and has 20 GiB"):
        do("a", "create", disk, size_gib, stamp(1))


def test_a_volume_grows_while_it_is_written_to_and_never_shrinks(lab, do, disk):
    for _ in range(2):
        do("b", "grow", disk, 30, stamp(1))
        assert lab.write(disk, "a", 1)
    with pytest.raises(Refused, match="disk has 30 GiB and cannot shrink to 20"):
        do("a", "grow", disk, 20, stamp(1))
    do("a", "create", disk, 30, stamp(1))


def test_only_the_owner_may_write_and_only_at_its_epoch(lab, disk):
    assert [lab.write(disk, *who) for who in (("a", 1), ("a", 0), ("a", 2), ("b", 1))] == [True, False, False, False]


def test_to_attach_again_is_to_change_nothing(lab, do, disk):
    do("a", "attach", disk, "a", stamp(1))
    assert do("a", "owner", disk) == ("a", 1)
    assert lab.write(disk, "a", 1)


def test_a_newer_epoch_takes_the_volume_and_the_older_one_is_fenced_when_that_is_answered(lab, do, disk):
    do("b", "attach", disk, "b", stamp(2))
    assert do("a", "owner", disk) == ("b", 2)
    assert (lab.write(disk, "a", 1), lab.write(disk, "b", 2)) == (False, True)


def test_any_host_may_give_a_volume_to_any_other(lab, do, disk):
    do("a", "attach", disk, "c", stamp(2))
    assert (lab.write(disk, "a", 2), lab.write(disk, "c", 2)) == (False, True)


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_older_epoch_or_anothers_same_one_is_refused_by_name(lab, do, disk, epoch):
    with pytest.raises(Refused, match="volume disk belongs to a at epoch 1"):
        do("b", "attach", disk, "b", stamp(epoch))
    assert lab.write(disk, "a", 1)


@pytest.mark.parametrize(
    ("verb", "given"),
    [("attach", ("none", "a", stamp(1))), ("grow", ("none", 10, stamp(1))), ("owner", ("none",))],
)
def test_a_volume_that_is_not_there_can_be_neither_attached_nor_grown_nor_asked_about(do, verb, given):
    with pytest.raises(Refused, match="there is no volume none"):
        do("a", verb, *given)


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("create", (20,)),
        ("grow", (30,)),
        ("attach", ("a",)),
        ("attach", ("b",)),
        ("admit", ("b",)),
        ("detach", ()),
        ("delete", ()),
    ],
)
@pytest.mark.parametrize(
    "old", [stamp(1, 4, "old"), stamp(2, 4, "old"), stamp(1, 5, "new", attempt=1)], ids=["lock", "epoch", "attempt"]
)
def test_a_right_that_a_later_one_has_outdated_changes_nothing(lab, do, disk, verb, given, old):
    do("a", "attach", disk, "a", stamp(1, 5, "new", attempt=2))
    with pytest.raises(Refused):
        do("a", verb, disk, *given, old)
    assert do("a", "owner", disk) == ("a", 1)
    assert lab.write(disk, "a", 1)


def test_the_same_job_may_repeat_itself_and_a_later_one_goes_on(do, disk):
    for token in (5, 5, 6):
        do("a", "attach", disk, "a", stamp(1, token))
        do("a", "detach", disk, stamp(1, token))
    assert do("a", "owner", disk) == ("", 1)


def test_tokens_of_the_volumes_lock_and_of_its_vms_say_nothing_about_each_other(do, disk):
    do("a", "grow", disk, 30, under_own_lock(token=9))
    do("a", "attach", disk, "a", stamp(1, token=2))
    do("a", "grow", disk, 40, under_own_lock(token=10))
    with pytest.raises(Refused, match="grow by old is outdated; job came after it"):
        do("a", "grow", disk, 50, under_own_lock(token=9, job="old"))
    with pytest.raises(Refused, match="attach by old is outdated; job came after it"):
        do("a", "attach", disk, "a", stamp(1, token=1, job="old"))


def test_a_detached_volume_takes_no_write_and_may_be_detached_again(lab, do, disk):
    for _ in range(2):
        do("a", "detach", disk, stamp(1))
        assert do("a", "owner", disk) == ("", 1)
        assert not lab.write(disk, "a", 1)
    do("a", "attach", disk, "a", stamp(1))
    assert lab.write(disk, "a", 1)


def test_to_detach_what_a_newer_epoch_holds_or_what_is_gone_changes_nothing(lab, do, disk):
    do("b", "attach", disk, "b", stamp(2))
    do("a", "detach", disk, stamp(1))
    do("a", "detach", "none", stamp(1))
    assert lab.write(disk, "b", 2)


def test_who_is_admitted_for_a_migration_owns_nothing_and_the_owner_writes_on(lab, do, disk):
    for _ in range(2):
        do("a", "admit", disk, "b", stamp(1))
        assert do("b", "owner", disk) == ("a", 1)
        assert lab.write(disk, "a", 1)


def test_who_was_admitted_owns_the_volume_once_it_is_attached(lab, do, disk):
    do("a", "admit", disk, "b", stamp(1))
    do("a", "attach", disk, "b", stamp(2))
    assert (lab.write(disk, "a", 1), lab.write(disk, "b", 2)) == (False, True)


@pytest.mark.parametrize(
    ("verb", "given"),
    [("attach", ("a", stamp(1))), ("attach", ("c", stamp(2))), ("admit", ("c", stamp(1))), ("detach", (stamp(1),))],
    ids=["stays", "goes elsewhere", "is to go elsewhere", "ends"],
)
def test_who_was_admitted_is_fenced_when_the_volume_does_not_come_to_it(lab, do, disk, verb, given):
    do("a", "admit", disk, "b", stamp(1))
    do("a", verb, disk, *given)
    assert not lab.write(disk, "b", 2)
    assert do("a", "owner", disk)[0] != "b"


@pytest.mark.parametrize("epoch", [0, 2])
def test_only_for_the_vm_that_has_the_volume_is_anybody_admitted(do, disk, epoch):
    with pytest.raises(Refused, match="volume disk belongs to a at epoch 1"):
        do("a", "admit", disk, "b", stamp(epoch))
    with pytest.raises(Refused, match="there is no volume none"):
        do("a", "admit", "none", "b", stamp(1))
    do("a", "detach", disk, stamp(1))
    with pytest.raises(Refused, match="volume disk belongs to nobody at epoch 1"):
        do("a", "admit", disk, "b", stamp(1))


def test_a_deleted_volume_is_gone_and_may_be_deleted_again(lab, do, disk):
    do("a", "detach", disk, stamp(1))
    for _ in range(2):
        do("a", "delete", disk, stamp(1))
        assert lab.volumes() == []
    assert not lab.write(disk, "a", 1)


def test_a_detached_volume_may_be_handed_on_to_a_vm_whose_lock_is_younger(lab, do, disk):
    """Whose epoch must be newer than all it was attached under; then nothing of the VM that had it counts any more."""
    new = Stamp(job="new", lock="vm/younger", token=2, epoch=8)
    do("a", "attach", disk, "a", stamp(7, 30, "old"))
    with pytest.raises(Refused, match="belongs to vm/web, for which it is attached to a"):
        do("a", "attach", disk, "b", new)
    do("a", "detach", disk, stamp(7, 30, "old"))
    do("a", "attach", disk, "b", new)
    with pytest.raises(Refused, match="belongs to"):
        do("a", "attach", disk, "a", stamp(9, 31, "old"))
    do("a", "detach", disk, stamp(9, 31, "old"))
    assert do("a", "owner", disk) == ("b", 8)
    assert lab.write(disk, "b", 8)


def test_a_volume_is_deleted_only_when_it_is_detached(lab, do, disk):
    with pytest.raises(Refused, match="volume disk is attached to a: detach it first"):
        do("a", "delete", disk, under_own_lock())
    assert lab.write(disk, "a", 1)
    do("a", "detach", disk, stamp(1))
    do("a", "delete", disk, under_own_lock())
    assert lab.volumes() == []


# Leases


def lease_of(do, host):
    return next((lease for lease in do("a", "leases") if lease.host == host), None)


def test_a_host_that_joined_renews_and_each_renewal_counts_one(do):
    do("d", "join", "d", "boot-1")
    assert lease_of(do, "d") == Lease("d", 0, False)
    assert do("d", "renew", "d", "boot-1") == Grant("a", 1)
    do("d", "renew", "d", "boot-1")
    assert lease_of(do, "d") == Lease("d", 2, False)


def test_to_join_twice_under_one_boot_is_to_join_once(do):
    for _ in range(2):
        do("d", "join", "d", "boot-1")
        do("d", "renew", "d", "boot-1")
    assert lease_of(do, "d") == Lease("d", 2, False)


def test_without_a_lease_or_under_another_boot_nothing_is_renewed(do):
    with pytest.raises(Refused, match="the storage lease of d"):
        do("d", "renew", "d", "boot-1")
    do("d", "join", "d", "boot-1")
    do("d", "join", "d", "boot-2")
    with pytest.raises(Refused):
        do("d", "renew", "d", "boot-1")
    do("d", "renew", "d", "boot-2")


def test_a_counter_never_goes_back_not_even_under_a_new_boot(do):
    counters = []
    for boot in ("boot-1", "boot-2", "boot-3"):
        do("d", "join", "d", boot)
        counters.append(lease_of(do, "d").counter)
        do("d", "renew", "d", boot)
        counters.append(lease_of(do, "d").counter)
    assert counters == sorted(set(counters))


def test_a_turn_begins_when_it_is_asked_for_and_with_every_new_lease_and_never_goes_back(do):
    do("d", "join", "d", "boot-1")
    assert do("d", "renew", "d", "boot-1").turn == 1
    assert do("d", "renew", "d", "boot-1", anew=True).turn == 2
    assert do("d", "renew", "d", "boot-1").turn == lease_of(do, "d").turn == 2
    do("d", "join", "d", "boot-1")
    assert lease_of(do, "d").turn == 2, "it holds one already"
    do("d", "join", "d", "boot-2")
    assert do("d", "renew", "d", "boot-2").turn == 3
    with pytest.raises(Refused):
        do("d", "renew", "d", "boot-1", anew=True)
    assert lease_of(do, "d").turn == 3


def test_only_the_meta_leader_is_told_the_leases(do):
    do("d", "join", "d", "boot-1")
    for host in ("b", "c", "d"):
        with pytest.raises(Unavailable, match="does not lead"):
            do(host, "leases")


def test_who_steps_aside_leads_no_more_and_another_member_does(do):
    for host in ("a", "b"):
        do(host, "join", host, "boot")
    before = do("a", "renew", "a", "boot")
    with pytest.raises(Unavailable, match="does not lead"):
        do("b", "step_aside", 300.0)
    do("a", "step_aside", 300.0)
    with pytest.raises(Unavailable):
        do("a", "leases")
    after = elected(do, "b")
    assert after.leader in ("b", "c")
    assert after.term > before.term
    assert do("a", "renew", "a", "boot").leader == after.leader


def elected(do, host):
    """Who leads once somebody does."""
    for _ in range(20):
        try:
            return do(host, "renew", host, "boot")
        except Unavailable:
            pass  # not yet: it takes a renewal's deadline each time
    raise AssertionError("nobody is elected")


def test_a_revoked_lease_is_not_renewed_and_may_be_revoked_again(do):
    do("d", "join", "d", "boot-1")
    for _ in range(2):
        do("a", "revoke", "d", 0)
        assert lease_of(do, "d") == Lease("d", 0, True)
    with pytest.raises(Refused, match="revoked"):
        do("d", "renew", "d", "boot-1")


def test_a_lease_that_was_renewed_since_it_was_looked_at_is_not_revoked(do):
    do("d", "join", "d", "boot-1")
    seen = lease_of(do, "d").counter
    do("d", "renew", "d", "boot-1")
    with pytest.raises(Refused, match="d renewed its storage lease meanwhile"):
        do("a", "revoke", "d", seen)
    do("d", "renew", "d", "boot-1")


def test_to_revoke_the_lease_of_a_host_that_has_none_changes_nothing(do):
    do("a", "revoke", "d", 0)
    assert lease_of(do, "d") is None


def test_after_its_lease_was_revoked_a_host_may_join_anew(do):
    do("d", "join", "d", "boot-1")
    do("a", "revoke", "d", 0)
    do("d", "join", "d", "boot-1")
    assert lease_of(do, "d") == Lease("d", 1, False, 2)
    do("d", "renew", "d", "boot-1")
    with pytest.raises(Refused):
        do("a", "revoke", "d", 0)
