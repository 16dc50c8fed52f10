"""What every hypervisor promises: one domain per right, older rights refused, and a migration that leaves one owner."""

from contextlib import closing, suppress

import msgspec
import pytest

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import Domain, DomainState, End, Ended, Stamp
from tests.contracts.labs import HOSTS, INCOMING, LABS, PAUSED, RUNNING, SUSPENDED

SMALL = VM(id="vm", vcpus=1, memory_mib=2048, volumes=("disk",))
DEAF = msgspec.structs.replace(SMALL, labels={"guest": "deaf"})


def stamp(epoch=1, token=1, job="job", task="task", attempt=1):
    return Stamp(job=job, task=task, attempt=attempt, epoch=epoch, token=token)


def own(epoch):
    """The host settles what is its own."""
    return Stamp(epoch=epoch)


@pytest.fixture(params=LABS)
def lab(request, tmp_path, finish):
    with closing(LABS[request.param](tmp_path, finish)) as lab:
        lab.place("disk", "a", 1)
        yield lab


@pytest.fixture
def do(lab):
    """``do(host, verb, …)`` answers as that call of that host's hypervisor does."""
    return lambda host, verb, *given: lab.call(host, 0, verb, *given)


@pytest.fixture
def domains(do):
    """Where the VM has domains, and how they are."""

    def look():
        found: dict[tuple[str, int], DomainState] = {}
        for host in HOSTS:
            with suppress(Unavailable):
                found |= {(host, domain.epoch): domain.state for domain in do(host, "list")}
        return found

    return look


@pytest.fixture
def up(do):
    """The VM runs on host a, at epoch 1."""
    do("a", "start", SMALL, stamp())
    return SMALL


# Start and stop


def test_a_started_vm_runs_and_is_listed(do):
    do("a", "start", SMALL, stamp())
    assert do("a", "list") == (Domain(vm="vm", state=RUNNING, epoch=1, memory_mib=2048),)
    assert do("b", "list") == ()


def test_to_start_again_under_the_same_right_is_to_change_nothing(lab, do):
    for token in (1, 1, 2):
        do("a", "start", SMALL, stamp(token=token))
    assert lab.started() == 1


@pytest.mark.parametrize(("owner", "epoch"), [("b", 1), ("", 1), ("a", 2), ("a", 0)])
def test_a_vm_whose_volume_is_not_attached_here_at_its_epoch_is_not_started(lab, do, domains, owner, epoch):
    lab.place("disk", owner, epoch)
    with pytest.raises(Refused, match="vm cannot open volume disk: a is not its owner"):
        do("a", "start", SMALL, stamp())
    assert domains() == {}


@pytest.mark.parametrize("lacking", [{"volumes": ("disk", "none")}, {"cdrom": "none"}])
def test_a_vm_without_one_of_its_volumes_is_not_started(do, domains, lacking):
    with pytest.raises(Refused, match="cannot open volume none"):
        do("a", "start", msgspec.structs.replace(SMALL, **lacking), stamp())
    assert domains() == {}


def test_a_vm_that_was_given_to_another_epoch_of_its_host_is_not_started(do, domains):
    with pytest.raises(Unavailable, match="epoch 7 of a"):
        do("a", "start", msgspec.structs.replace(SMALL, host_epoch=7), stamp())
    assert domains() == {}


def test_a_vm_is_not_started_beside_a_domain_of_another_epoch(lab, do, domains, up):
    lab.place("disk", "a", 2)
    with pytest.raises(Refused, match="vm already has a running domain of epoch 1 on a"):
        do("a", "start", up, stamp(epoch=2))
    assert domains() == {("a", 1): RUNNING}


def test_a_destroyed_vm_is_gone_may_be_destroyed_again_and_started_again(lab, do, domains, up):
    for _ in range(2):
        do("a", "destroy", "vm", stamp())
        assert domains() == {}
    do("a", "start", up, stamp())
    assert domains() == {("a", 1): RUNNING}
    assert lab.started() == 2


def test_a_guest_shuts_down_when_it_is_asked_and_asking_again_is_no_error(do, domains, up):
    for _ in range(2):
        do("a", "shutdown", "vm", stamp(), 180.0)
        assert domains() == {}


def test_a_guest_that_takes_too_long_to_shut_down_runs_on_and_the_next_step_is_named(do, domains):
    do("a", "start", DEAF, stamp())
    with pytest.raises(Refused, match=r"vm did not shut down within 0\.3 s; force it off with poweroff"):
        do("a", "shutdown", "vm", stamp(), 0.3)
    assert domains() == {("a", 1): RUNNING}


def test_a_guest_that_stands_still_does_not_shut_down_not_even_later(do, domains, up):
    do("a", "pause", "vm")
    with pytest.raises(Refused, match="vm did not shut down"):
        do("a", "shutdown", "vm", stamp(), 20.0)
    assert domains() == {("a", 1): PAUSED}
    do("a", "resume", "vm", stamp())
    assert domains() == {("a", 1): RUNNING}


@pytest.mark.parametrize(("how", "end"), [("kill_guest", End.CRASHED), ("shut_down_guest", End.SHUTDOWN)])
def test_how_a_domain_ended_by_itself_is_remembered_until_something_is_done_about_it(lab, do, domains, up, how, end):
    assert do("a", "ended") == ()
    getattr(lab, how)("a", "vm")
    assert domains() == {}
    for _ in range(2):
        assert do("a", "ended") == (Ended(vm="vm", epoch=1, end=end),)
    do("a", "hear")  # at once: it has happened already
    do("a", "start", SMALL, stamp())
    assert do("a", "ended") == ()
    assert domains() == {("a", 1): RUNNING}


@pytest.mark.parametrize("how", ["kill_guest", "shut_down_guest"])
def test_what_has_ended_and_was_destroyed_all_the_same_is_forgotten(lab, do, up, how):
    getattr(lab, how)("a", "vm")
    do("a", "destroy", "vm", stamp())
    assert do("a", "ended") == ()


def test_who_was_asked_to_shut_down_or_lost_its_power_has_not_ended_by_itself(lab, do, up):
    do("a", "shutdown", "vm", stamp(), 60.0)
    assert do("a", "ended") == ()
    do("a", "start", SMALL, stamp())
    lab.kill_guest("a", "vm")
    lab.power_off("a")
    lab.power_on("a")
    assert do("a", "ended") == ()


def test_power_loss_leaves_no_domain(lab, do, domains, up):
    lab.power_off("a")
    lab.power_on("a")
    assert domains() == {}


# Pausing


def test_a_paused_vm_stands_still_and_goes_on_when_resumed(do, domains, up):
    for _ in range(2):
        do("a", "pause", "vm")
        assert domains() == {("a", 1): PAUSED}
    for _ in range(2):
        do("a", "resume", "vm", own(1))
        assert domains() == {("a", 1): RUNNING}


def test_to_pause_what_is_not_there_is_no_error(do, domains):
    do("a", "pause", "vm")
    assert domains() == {}


@pytest.mark.parametrize("verb", ["resume", "suspend"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_only_a_domain_of_that_epoch_is_resumed_or_suspended(do, domains, up, verb, epoch):
    do("a", "pause", "vm")
    with pytest.raises(Refused):
        do("a", verb, "vm", stamp(epoch))
    assert domains() == {("a", 1): PAUSED}


@pytest.mark.parametrize("verb", ["resume", "suspend"])
def test_what_is_not_there_can_be_neither_resumed_nor_suspended(do, verb):
    with pytest.raises(Refused, match="vm has no domain of epoch 1 on a"):
        do("a", verb, "vm", stamp())


def test_what_its_user_suspended_goes_on_for_a_job_and_not_for_its_host(do, domains, up):
    for _ in range(2):
        do("a", "suspend", "vm", stamp())
        assert domains() == {("a", 1): SUSPENDED}
    do("a", "pause", "vm")
    with pytest.raises(Refused, match="suspended by its user"):
        do("a", "resume", "vm", own(1))
    assert domains() == {("a", 1): SUSPENDED}
    do("a", "resume", "vm", stamp(token=2))
    assert domains() == {("a", 1): RUNNING}


def test_what_its_host_paused_may_be_suspended(do, domains, up):
    do("a", "pause", "vm")
    do("a", "suspend", "vm", stamp())
    assert domains() == {("a", 1): SUSPENDED}


def test_what_is_complete_on_another_host_cannot_be_suspended(do, domains, up):
    do("a", "migrate", up, "b", stamp())
    for host, epoch in (("a", 1), ("b", 2)):
        with pytest.raises(Refused, match="vm is being migrated"):
            do(host, "suspend", "vm", stamp(epoch))
    assert domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}


@pytest.fixture(params=["resume", "go on", "abort", "finish"])
def held_back(request, lab, do):
    """(host, epoch) of what was asked to run after the host's lease had ended."""
    host, epoch = ("b", 2) if request.param == "finish" else ("a", 1)
    do("a", "start", SMALL, stamp())
    if request.param == "resume":
        do("a", "pause", "vm")
    elif request.param == "go on":
        do("a", "suspend", "vm", stamp())
    else:
        do("a", "migrate", SMALL, "b", stamp())
    lab.end_lease(host)
    if request.param == "abort":
        do("a", "abort_migration", "vm", "b", stamp())
    elif request.param == "finish":
        with suppress(Unavailable):
            do("a", "finish_migration", "vm", "b", stamp(2))
    else:
        do("a", "resume", "vm", stamp())
    return host, epoch


def test_nothing_begins_to_run_where_the_lease_is_over(domains, held_back):
    assert domains()[held_back] in (PAUSED, INCOMING)
    assert RUNNING not in domains().values()


def test_what_was_held_back_runs_when_the_lease_is_there_again(lab, do, domains, held_back):
    host, epoch = held_back
    lab.begin_lease(host)
    do(host, "resume", "vm", own(epoch))
    assert domains()[held_back] is RUNNING
    assert list(domains().values()).count(RUNNING) == 1


# What is used, seen and said


def test_every_process_is_counted_and_none_that_is_gone(lab, do, up):
    lab.idle(0.3)
    (first,) = do("a", "usage")
    assert (first.vm, first.epoch) == ("vm", 1)
    assert first.memory_mib > 0
    lab.idle(1.0)
    (second,) = do("a", "usage")
    assert second.cpu_seconds + second.writes > first.cpu_seconds + first.writes > 0.0
    do("a", "pause", "vm")
    assert len(do("a", "usage")) == 1, "it still has its memory"
    do("a", "destroy", "vm", stamp())
    assert do("a", "usage") == ()


def test_no_two_vms_have_one_console_and_who_is_not_here_has_none(do, up):
    do("a", "start", pinned("other", unpinned=True), stamp())
    found = [do("a", "console", name) for name in ("vm", "other")]
    for places in zip(*((one.screen, one.serial) for one in found), strict=True):
        assert places[0] != places[1] or places[0] == ""
    do("a", "destroy", "other", stamp())
    for verb, given in (("console", ("other",)), ("ask", ("other", "guest-ping", {}))):
        with pytest.raises(Refused, match=r"other has no (process|domain) on a"):
            do("a", verb, *given)


def test_the_agent_of_a_guest_that_stands_still_is_not_there(do, up):
    do("a", "pause", "vm")
    with pytest.raises(Unavailable, match="agent"):
        do("a", "ask", "vm", "guest-ping", {})


# Disks that grow


def test_a_guest_sees_that_its_disk_has_grown_once_it_is_told_and_is_told_again(lab, do, domains, up):
    lab.grow("disk", 2)
    for _ in range(2):
        do("a", "resize", "vm", "disk", 2, own(1))
        assert lab.seen_gib("a", "vm", "disk") == 2
    do("a", "resize", "vm", "disk", 1, own(1))
    assert lab.seen_gib("a", "vm", "disk") == 2, "to less than it is nobody makes it"
    assert domains() == {("a", 1): RUNNING}


def test_a_disk_that_it_has_not_and_a_domain_of_another_epoch_are_not_resized(lab, do, up):
    with pytest.raises(Refused, match="vm has no disk other"):
        do("a", "resize", "vm", "other", 2, own(1))
    for epoch in (0, 2):
        with pytest.raises(Refused):
            do("a", "resize", "vm", "disk", 2, own(epoch))
    do("a", "migrate", up, "b", stamp())
    with pytest.raises(Unavailable, match="vm is on its way"):
        do("a", "resize", "vm", "disk", 2, own(1))


def test_what_arrives_sees_how_large_its_disk_is_by_then(lab, do, up):
    lab.grow("disk", 2)
    do("a", "migrate", up, "b", stamp())
    do("a", "finish_migration", "vm", "b", stamp(2))
    assert lab.seen_gib("b", "vm", "disk") == 2


def test_nothing_is_on_its_way_when_nothing_is_copied(do, up):
    assert do("a", "progress", "vm") is None
    assert do("a", "progress", "nobody") is None
    do("a", "migrate", up, "b", stamp())
    for host in ("a", "b"):
        assert do(host, "progress", "vm") is None


# CPUs for a VM alone


def pinned(name, **changes):
    return VM(id=name, vcpus=1, memory_mib=64, pinned=True, **changes)


def cpus_of(do, host):
    return {domain.vm: domain.cpus for domain in do(host, "list") if domain.cpus}


@pytest.fixture
def exclusive(lab):
    """How many CPUs of each host are for pinned VMs."""
    return lab.dedicate()


def test_pinned_vms_have_cpus_that_no_other_has_and_one_that_gets_none_does_not_start(do, exclusive):
    names = [f"pinned-{number}" for number in range(exclusive)]
    for name in names:
        do("a", "start", pinned(name), stamp())
    had = cpus_of(do, "a")
    assert sorted(had) == names
    assert len({cpu for (cpu,) in had.values()}) == exclusive
    with pytest.raises(Unavailable, match="one-more wants 1 CPUs of a for itself"):
        do("a", "start", pinned("one-more"), stamp())
    assert cpus_of(do, "a") == had
    assert do("a", "ended") == ()
    do("a", "destroy", names[0], stamp())
    do("a", "start", pinned("one-more"), stamp())
    assert cpus_of(do, "a")["one-more"] == had[names[0]]


def test_who_is_not_pinned_or_was_rescued_without_has_no_cpu_for_itself(do, up, exclusive):
    do("a", "start", pinned("rescued", unpinned=True), stamp())
    assert cpus_of(do, "a") == {}


def test_a_vm_keeps_its_cpus_while_it_stands_still(do, exclusive):
    do("a", "start", pinned("vm"), stamp())
    had = cpus_of(do, "a")
    do("a", "pause", "vm")
    assert cpus_of(do, "a") == had
    do("a", "resume", "vm", own(1))
    assert cpus_of(do, "a") == had


@pytest.mark.parametrize("unpinned", [False, True])
def test_who_moves_has_cpus_of_the_other_host(do, exclusive, unpinned):
    vm = pinned("vm", unpinned=unpinned)
    do("a", "start", vm, stamp())
    do("a", "migrate", vm, "b", stamp())
    do("a", "finish_migration", "vm", "b", stamp(2))
    assert cpus_of(do, "a") == {}
    assert [*cpus_of(do, "b")] == ["vm"]


def test_who_does_not_move_after_all_has_the_cpus_that_it_had(do, exclusive):
    vm = pinned("vm")
    do("a", "start", vm, stamp())
    had = cpus_of(do, "a")
    do("a", "migrate", vm, "b", stamp())
    do("a", "abort_migration", "vm", "b", stamp())
    assert cpus_of(do, "a") == had
    assert cpus_of(do, "b") == {}


# Devices


def test_the_devices_of_a_running_vm_become_those_of_the_vm_however_often(lab, do, domains, up):
    lab.place("more", "a", 1)
    lab.place("cd", "a", 1)
    for volumes, cdrom in ((("disk", "more"), "cd"), (("disk", "more"), ""), (("disk",), "")):
        for _ in range(2):
            do("a", "plug", msgspec.structs.replace(up, volumes=volumes, cdrom=cdrom), stamp())
    assert domains() == {("a", 1): RUNNING}


@pytest.mark.parametrize(("owner", "epoch"), [("b", 1), ("", 1), ("a", 2), ("a", 0)])
@pytest.mark.parametrize("as_what", ["disk", "cdrom"])
def test_a_volume_that_is_not_attached_here_at_its_epoch_is_not_plugged(lab, do, up, owner, epoch, as_what):
    lab.place("more", owner, epoch)
    gained = {"volumes": ("disk", "more")} if as_what == "disk" else {"cdrom": "more"}
    with pytest.raises(Refused, match="vm cannot open volume more"):
        do("a", "plug", msgspec.structs.replace(up, **gained), stamp())


def test_what_it_has_already_is_no_obstacle_to_plugging(lab, do, domains, up):
    lab.place("disk", "b", 2)  # fenced: it stays plugged all the same
    do("a", "plug", msgspec.structs.replace(up, networks=("lan",)), stamp())
    assert domains() == {("a", 1): RUNNING}


@pytest.mark.parametrize("epoch", [0, 2])
def test_only_a_domain_of_that_epoch_is_plugged(do, up, epoch):
    with pytest.raises(Refused):
        do("a", "plug", up, stamp(epoch))


# Older rights


OLDER_LOCK, OLDER_EPOCH, EARLIER = stamp(1, 4, "old"), stamp(0, 5, "old"), stamp(1, 5, "new", "task", 1)


@pytest.mark.parametrize("old", [OLDER_LOCK, OLDER_EPOCH, EARLIER], ids=["lock", "epoch", "attempt"])
@pytest.mark.parametrize(
    "verb", ["start", "shutdown", "destroy", "suspend", "resume", "plug", "migrate", "abort_migration"]
)
def test_an_outdated_right_is_refused_by_name_and_changes_nothing(do, domains, up, verb, old):
    do("a", "start", up, stamp(1, 5, "new", "task", 2))
    given = {"start": (up, old), "shutdown": ("vm", old, 60.0), "plug": (up, old), "migrate": (up, "b", old)}
    with pytest.raises(Refused, match=f"by {old.job} is outdated; new came after it|means epoch 0, but 1 is here"):
        do("a", verb, *given.get(verb, ("vm", "b", old) if verb == "abort_migration" else ("vm", old)))
    assert domains() == {("a", 1): RUNNING}


def test_the_newest_right_is_remembered_through_a_power_loss(lab, do, domains, up):
    do("a", "destroy", "vm", stamp(1, 5, "new"))
    lab.power_off("a")
    lab.power_on("a")
    with pytest.raises(Refused, match="start by old is outdated"):
        do("a", "start", up, stamp(1, 4, "old"))
    assert domains() == {}


def test_the_same_right_may_be_used_again_and_a_newer_one_too(do, domains, up):
    """The last is of another VM of the same name: its epochs begin anew, the tokens of their lock do not."""
    for token, epoch, attempt in ((5, 1, 1), (5, 1, 1), (5, 1, 2), (6, 1, 1), (6, 2, 1), (7, 1, 1)):
        do("a", "destroy", "vm", stamp(epoch, token, attempt=attempt))
    assert domains() == {}


def test_a_host_that_settles_what_is_its_own_means_one_incarnation_and_leaves_no_stamp(do, domains, up):
    with pytest.raises(Refused, match="destroy means epoch 0, but 1 is here"):
        do("a", "destroy", "vm", own(0))
    assert domains() == {("a", 1): RUNNING}
    do("a", "destroy", "vm", own(9))
    do("a", "start", up, stamp())
    assert domains() == {("a", 1): RUNNING}


def test_an_outdated_job_cannot_abort_a_later_jobs_migration(do, domains, up):
    do("a", "migrate", up, "b", stamp(1, 5, "new"))
    with pytest.raises(Refused):
        do("a", "abort_migration", "vm", "b", stamp(1, 4, "old"))
    assert domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}


def test_an_outdated_job_cannot_finish_what_a_later_one_has_in_hand(do, domains, up):
    do("a", "migrate", up, "b", stamp(1, 5))
    do("a", "finish_migration", "vm", "b", stamp(2, 5))
    do("b", "pause", "vm")
    with pytest.raises(Refused):
        do("b", "destroy", "vm", stamp(2, 4, "old"))
    with pytest.raises(Refused):
        do("a", "finish_migration", "vm", "b", stamp(2, 4, "old"))
    assert domains() == {("b", 2): PAUSED}


# Migration


def test_a_migration_leaves_both_copies_standing(do, domains, up):
    do("a", "migrate", up, "b", stamp())
    assert domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}
    assert do("b", "list") == (Domain(vm="vm", state=INCOMING, epoch=2, memory_mib=2048),)


def test_a_finished_migration_runs_the_target_alone_and_may_be_finished_again(do, domains, up):
    do("a", "migrate", up, "b", stamp())
    for _ in range(2):
        do("a", "finish_migration", "vm", "b", stamp(2))
        assert domains() == {("b", 2): RUNNING}


def test_an_aborted_migration_runs_the_source_alone_and_may_be_aborted_again(do, domains, up):
    do("a", "migrate", up, "b", stamp())
    for _ in range(2):
        do("a", "abort_migration", "vm", "b", stamp())
        assert domains() == {("a", 1): RUNNING}


def test_a_copy_for_another_epoch_of_its_host_does_not_begin_to_run(do, domains, up):
    do("a", "migrate", msgspec.structs.replace(up, host_epoch=7), "b", stamp())
    with suppress(Unavailable):
        do("a", "finish_migration", "vm", "b", stamp(2))
    assert domains().get(("b", 2)) == INCOMING
    assert RUNNING not in domains().values()


def test_an_aborted_migration_may_be_tried_again(do, domains, up):
    for _ in range(2):
        do("a", "migrate", up, "b", stamp())
        do("a", "abort_migration", "vm", "b", stamp())
    do("a", "migrate", up, "c", stamp())
    do("a", "finish_migration", "vm", "c", stamp(2))
    assert domains() == {("c", 2): RUNNING}


def test_a_copy_whose_source_is_lost_may_be_taken_over_by_its_host(lab, do, domains, up):
    do("a", "migrate", up, "b", stamp())
    lab.power_off("a")
    assert domains() == {("b", 2): INCOMING}
    do("b", "resume", "vm", own(2))
    assert domains() == {("b", 2): RUNNING}


def test_a_source_whose_memory_was_given_away_does_not_go_on_until_its_migration_is_aborted(do, domains, up):
    do("a", "migrate", up, "b", stamp())
    for whose in (stamp(), own(1)):
        with pytest.raises(Refused, match="vm is complete on another host"):
            do("a", "resume", "vm", whose)
    assert domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}
    do("a", "abort_migration", "vm", "b", stamp())
    assert domains() == {("a", 1): RUNNING}


def test_a_migration_that_nobody_carries_on_is_aborted_by_the_host_itself(do, domains, up):
    """It may not know the target any more."""
    do("a", "migrate", up, "b", stamp())
    do("a", "abort_migration", "vm", "a", own(1))
    assert domains() == {("a", 1): RUNNING, ("b", 2): INCOMING}


def test_what_has_no_copy_of_that_epoch_there_cannot_be_finished(do, domains, up):
    with pytest.raises(Refused, match="vm has no copy of epoch 2 on b"):
        do("a", "finish_migration", "vm", "b", stamp(2))
    do("a", "migrate", up, "b", stamp())
    with pytest.raises(Refused, match="vm has no copy of epoch 3 on b"):
        do("a", "finish_migration", "vm", "b", stamp(3))
    assert domains() == {("a", 1): PAUSED, ("b", 2): INCOMING}


def test_a_vm_that_does_not_run_here_is_not_migrated(do, domains, up):
    with pytest.raises(Refused, match="vm does not run on b"):
        do("b", "migrate", up, "c", stamp())
    for stand_still, how in (("pause", PAUSED), ("suspend", SUSPENDED)):
        do("a", stand_still, "vm", *([stamp()] if stand_still == "suspend" else []))
        with pytest.raises(Refused, match="vm does not run on a"):
            do("a", "migrate", up, "c", stamp())
        assert domains() == {("a", 1): how}


def test_a_vm_is_not_migrated_to_where_it_has_a_domain_already(lab, do, domains, up):
    lab.place("disk", "b", 5)
    do("b", "start", up, stamp(5))
    with pytest.raises(Refused, match="vm already has a domain on b"):
        do("a", "migrate", up, "b", stamp())
    assert domains() == {("a", 1): RUNNING, ("b", 5): RUNNING}


def test_a_target_that_cannot_be_reached_leaves_the_source_running(lab, do, domains, up):
    lab.power_off("b")
    with pytest.raises(Unavailable):
        do("a", "migrate", up, "b", stamp())
    assert domains() == {("a", 1): RUNNING}


def test_without_its_target_a_migration_can_be_aborted_and_not_finished(lab, do, domains, up):
    do("a", "migrate", up, "b", stamp())
    lab.power_off("b")
    with pytest.raises(Unavailable):
        do("a", "finish_migration", "vm", "b", stamp(2))
    assert domains() == {("a", 1): PAUSED}
    do("a", "abort_migration", "vm", "b", stamp())
    assert domains() == {("a", 1): RUNNING}


@pytest.mark.parametrize("verb", ["destroy", "shutdown"])
@pytest.mark.parametrize("how", ["aborted", "failed"])
def test_after_a_migration_that_came_to_nothing_the_vm_obeys_the_next_job(lab, do, domains, up, how, verb):
    """It still has its epoch: the next one was never given."""
    if how == "aborted":
        do("a", "migrate", up, "b", stamp(1, 1))
        do("a", "abort_migration", "vm", "b", stamp(1, 1))
    else:
        lab.power_off("b")
        with pytest.raises(Unavailable):
            do("a", "migrate", up, "b", stamp(1, 1))
    do("a", verb, "vm", stamp(1, 2), *([60.0] if verb == "shutdown" else []))
    assert domains() == {}
