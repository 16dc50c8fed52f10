"""Each invariant of Jobs on a history that breaks it and on one that does not, and is at stake in both."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ave.jobs.worker import ALONE
from ave.model.cluster import Lock
from ave.model.volume import Volume
from ave.ports.hypervisor import Stamp
from drivers.sim.facts import Effect, Gone, Owned, Started
from sim.invariants.j3_effectively_once import EffectivelyOnce
from sim.invariants.j4_locks import Locks
from sim.invariants.j5_lock_life import LockLife
from sim.invariants.j6_no_lost_wakeup import NoLostWakeup
from sim.invariants.s3_epochs_grow import EpochsGrow
from sim.violation import Violation
from tests.unit.sim.history import History, W, job, of, task

# J3


@of(EffectivelyOnce)
def test_work_that_is_given_back_may_be_claimed_again(history: History) -> None:
    history.put(task("j", "a", W.READY))
    history.put(task("j", "a", W.RUNNING, 1))
    history.effect("vm/web", "j", attempt=1)
    history.put(task("j", "a", W.READY, 1))
    history.put(task("j", "a", W.RUNNING, 2, "host-2"))
    history.effect("vm/web", "j", attempt=2)
    history.put(task("j", "a", W.DONE, 2))
    history.put(task("j", "a", W.DONE, 2, stop=True))
    assert history.armed == 1


@of(EffectivelyOnce)
def test_a_claim_of_what_another_holds_breaks_j3(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1))
    with history.broken("j/a", "j"):
        history.put(task("j", "a", W.RUNNING, 2, "host-2"))


@of(EffectivelyOnce)
def test_a_second_claim_by_the_same_worker_breaks_j3(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1))
    with history.broken("j/a"):
        history.put(task("j", "a", W.RUNNING, 2))


@of(EffectivelyOnce)
def test_work_that_begins_again_after_its_end_breaks_j3(history: History) -> None:
    history.put(task("j", "a", W.CANCELLED))
    with history.broken("j/a"):
        history.put(task("j", "a", W.RUNNING, 1))


@of(EffectivelyOnce)
def test_an_effect_of_an_earlier_attempt_after_a_later_one_breaks_j3(history: History) -> None:
    history.effect("vm/web", "j", attempt=2)
    history.effect("vm/other", "j", attempt=1)
    history.effect("vm/web", "j", "b", attempt=1)
    with history.broken("web", "j/a", "j"):
        history.effect("vm/web", "j", attempt=1)


@of(EffectivelyOnce)
def test_a_job_may_start_again_what_is_gone(history: History) -> None:
    history.saw(Started("web", "host-1", 1, 1, 1024, False, "j"))
    history.saw(Started("other", "host-1", 2, 1, 1024, False, "j"))
    history.saw(Gone("web", "host-1", 1))
    history.saw(Started("web", "host-2", 3, 2, 1024, False, "j"))


@of(EffectivelyOnce)
def test_two_domains_started_by_one_job_break_j3(history: History) -> None:
    history.saw(Started("web", "host-1", 1, 1, 1024, False, "j"))
    with history.broken("web", "j"):
        history.saw(Started("web", "host-2", 2, 1, 1024, True, "j"))


@of(EffectivelyOnce)
def test_a_worker_may_note_that_it_begins_its_own_work_for_the_last_time(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 7))
    history.put(task("j", "a", W.RUNNING, ALONE))
    history.put(task("j", "a", W.FAILED, ALONE))


@of(EffectivelyOnce)
@pytest.mark.parametrize(("attempt", "host"), [(ALONE, "host-2"), (ALONE - 1, "host-1"), (ALONE + 1, "host-1")])
def test_no_other_worker_or_attempt_is_so_noted(history: History, attempt: int, host: str) -> None:
    history.put(task("j", "a", W.RUNNING, 7))
    with history.broken("j/a"):
        history.put(task("j", "a", W.RUNNING, attempt, host))


@of(EffectivelyOnce)
@pytest.mark.parametrize("state", [W.DONE, W.FAILED, W.CANCELLED])
def test_work_that_was_forgotten_may_come_again(history: History, state: W) -> None:
    history.put(task("j", "a", state, 1))
    history.drop(task("j", "a", state, 1))
    history.put(task("j", "a", W.RUNNING, 1))
    history.put(task("j", "a", state, 1))
    with history.broken("j/a"):
        history.put(task("j", "a", W.READY, 1))


@of(EffectivelyOnce)
def test_a_host_that_clears_itself_acts_for_no_job(history: History) -> None:
    for attempt in (2, 1):
        history.effect("vm/web", "", attempt=attempt)


@of(EffectivelyOnce)
def test_a_volume_that_was_deleted_knows_no_attempts(history: History) -> None:
    history.effect("volume/disk", "j", attempt=2, what="create")
    history.effect("volume/disk", "j", attempt=2, what="delete")
    history.effect("volume/disk", "j", attempt=1, what="create")
    history.effect("volume/disk", "j", attempt=2, what="create")
    with history.broken("disk"):
        history.effect("volume/disk", "j", attempt=1, what="create")


@of(EffectivelyOnce)
@pytest.mark.parametrize(("resource", "what"), [("volume/other", "delete"), ("volume/disk", "detach")])
def test_one_that_was_not_still_does(history: History, resource: str, what: str) -> None:
    history.effect("volume/disk", "j", attempt=2, what="create")
    history.effect(resource, "j", attempt=2, what=what)
    with history.broken("disk"):
        history.effect("volume/disk", "j", attempt=1, what="create")


@of(EffectivelyOnce)
def test_an_earlier_attempt_may_not_delete_either(history: History) -> None:
    history.effect("volume/disk", "j", attempt=2, what="create")
    with history.broken("disk"):
        history.effect("volume/disk", "j", attempt=1, what="delete")


@of(EffectivelyOnce)
def test_a_domain_that_no_job_started_is_no_jobs_matter(history: History) -> None:
    history.saw(Started("web", "host-1", 1, 1, 1024, False))
    history.saw(Started("web", "host-3", 4, 1, 1024, False))
    history.saw(Started("web", "host-2", 2, 1, 1024, False, "j"))
    history.saw(Gone("web", "host-1", 1))
    with history.broken("web", "j"):
        history.saw(Started("web", "host-1", 3, 1, 1024, False, "j"))


# J6


@of(NoLostWakeup)
def test_ends_that_are_folded_are_well(history: History) -> None:
    history.put(job("j", W.WAITING, "a", "b"), task("j", "a", W.RUNNING, 1), task("j", "b", W.RUNNING, 1))
    history.put(task("j", "a", W.DONE, 1))
    history.wait(14)
    history.put(job("j", W.WAITING, "b"))
    history.wait(60)
    history.put(task("j", "b", W.DONE, 1), job("j", W.READY))
    history.wait(60)
    assert history.armed == 1, "the second end was folded by its own commit"


@of(NoLostWakeup)
def test_an_end_that_nobody_folds_breaks_j6(history: History) -> None:
    history.put(job("j", W.WAITING, "a", "b"), task("j", "a", W.RUNNING, 1), task("j", "b", W.RUNNING, 1))
    history.put(task("j", "a", W.DONE, 1))
    with history.broken("j/a", "j"):
        history.wait(17)


@of(NoLostWakeup)
def test_a_last_end_after_which_the_job_only_changes_its_mind_breaks_j6(history: History) -> None:
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.RUNNING, 1))
    history.put(task("j", "a", W.DONE, 1))
    history.put(job("j", W.WAITING, "a", stop=True))
    with history.broken("j/a", "j"):
        history.wait(17)


@of(NoLostWakeup)
def test_a_task_that_outlives_its_job_breaks_j6(history: History) -> None:
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.RUNNING, 1))
    history.put(job("j", W.FAILED))
    history.wait(10)
    with history.broken("j/a", "j"):
        history.wait(7)


@of(NoLostWakeup)
def test_a_task_whose_job_is_no_more_breaks_j6(history: History) -> None:
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.RUNNING, 1))
    history.drop(job("j", W.WAITING))
    with history.broken("j/a"):
        history.put(task("j", "a", W.DONE, 1))
        history.wait(2)


# What the oracle itself adds


@of(LockLife)
def test_the_clock_ticks_once_a_second_however_much_happens(history: History) -> None:
    seen: list[float] = []
    history.oracle._handlers["tick"].append(seen.append)
    for _ in range(40):
        history.wait(0.25)
        history.disturb()
    assert len(seen) in (10, 11)
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(seen))


@of(LockLife)
def test_the_slice_of_a_scheduled_job_follows_what_it_acted_on(history: History) -> None:
    history.put(job("vm.synchronise@1", W.WAITING, tokens={"vm/a": 1}), Lock(id="vm/a", job="vm.synchronise@1"))
    history.put(task("vm.synchronise@1", "host-1", W.READY))
    history.put(job("unrelated", W.READY))
    history.put(job("vm.synchronise@1", W.FAILED))
    with pytest.raises(Violation) as broken:
        history.wait(10)
    texts = [event.text for event in history.oracle.slice(broken.value)]
    assert len(texts) == 3
    assert not any("unrelated" in text for text in texts)


# Names that are used again


def by(job: str, token: int, epoch: int) -> Effect:
    return Effect("vm/web", Stamp(job=job, task=f"{job}/a", attempt=1, token=token, epoch=epoch), "start")


@of(Locks)
def test_a_vm_made_again_begins_with_a_small_epoch_and_a_large_token(history: History) -> None:
    history.saw(by("old", token=3, epoch=5))
    history.saw(by("new", token=7, epoch=1))
    assert history.armed == 1
    with history.broken("web", "old", "new"):
        history.saw(by("old", token=3, epoch=5))


@of(EpochsGrow)
def test_a_volume_made_again_begins_anew(history: History) -> None:
    history.put(Volume(id="disk", size_gib=1))
    history.saw(Owned("disk", "host-1", 3))
    history.drop(Volume(id="disk", size_gib=1))
    history.put(Volume(id="disk", size_gib=1))
    history.saw(Owned("disk", "host-2", 1))
    history.saw(Owned("disk", "host-1", 2))
    assert history.armed == 1
    with history.broken("disk"):
        history.saw(Owned("disk", "host-2", 1))
