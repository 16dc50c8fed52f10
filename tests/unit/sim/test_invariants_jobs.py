"""Each invariant of Jobs on a history that breaks it and on one that does not, and is at stake in both."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

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
from tests.unit.sim.history import History, W, job, task


@pytest.fixture
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    with History(request.param) as history:
        yield history


def of(invariant: type) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("history", [invariant], indirect=True, ids=[invariant.__name__])


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


# J5


@of(LockLife)
def test_locks_that_come_and_go_with_their_job_are_well(history: History) -> None:
    history.put(job("j", W.READY))
    history.put(job("j", W.WAITING, tokens={"vm/a": 1, "vm/b": 1}), Lock(id="vm/a", job="j"), Lock(id="vm/b", job="j"))
    history.wait(60)
    history.put(job("j", W.DONE, tokens={"vm/a": 1, "vm/b": 1}), Lock(id="vm/a"), Lock(id="vm/b"))
    history.wait(60)
    history.end()
    assert history.armed == 1


@of(LockLife)
def test_a_lock_that_outlives_its_job_breaks_j5(history: History) -> None:
    history.put(job("j", W.WAITING, tokens={"vm/a": 1}), Lock(id="vm/a", job="j"))
    history.put(job("j", W.FAILED, tokens={"vm/a": 1}))
    history.wait(4)
    with history.broken("vm/a", "j"):
        history.wait(3)


@of(LockLife)
def test_a_lock_that_is_marked_before_its_job_begins_breaks_j5(history: History) -> None:
    history.put(job("j", W.RUNNING))
    with history.broken("j", "vm/a"):
        history.put(Lock(id="vm/a", job="j"))
        history.wait(2)


@of(LockLife)
def test_a_job_that_lacks_one_of_its_locks_breaks_j5(history: History) -> None:
    history.put(job("j", W.WAITING, tokens={"vm/a": 1, "vm/b": 1}), Lock(id="vm/a", job="j"))
    with history.broken("j", "vm/b"):
        history.wait(2)


@of(LockLife)
def test_a_lock_of_nobody_breaks_j5(history: History) -> None:
    history.put(Lock(id="vm/a", job="ghost"))
    with history.broken("vm/a", "ghost"):
        history.wait(10)


@of(LockLife)
def test_work_of_a_lost_worker_is_given_away_in_time(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    history.wait(44)
    history.put(task("j", "a", W.READY, 1))
    history.wait(100)
    assert history.armed == 1


@of(LockLife)
def test_work_that_stays_with_a_lost_worker_breaks_j5(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.launch("host-2", start=2)  # the one who had it is gone
    history.wait(44)
    with history.broken("j/a", "j"):
        history.wait(4)


@of(LockLife)
def test_what_befalls_the_store_stops_the_clock_of_j5(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    history.wait(40)
    history.cluster.store.lost_answers = 0.1
    history.wait(40)
    history.cluster.store.lost_answers = 0.0
    history.wait(50)
    with history.broken("j/a"):
        history.wait(15)


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
