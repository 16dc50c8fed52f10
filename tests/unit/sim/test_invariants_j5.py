"""What a lock may outlive, and for how long: each exception of J5, and what is just beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ave.model.cluster import Lock
from sim.invariants.j5_lock_life import LockLife
from tests.unit.sim.history import History, W, job, task

RECOVERED_SECONDS = 45.0


@pytest.fixture
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    with History(request.param) as history:
        yield history


def of(invariant: type) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("history", [invariant], indirect=True, ids=[invariant.__name__])


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


@of(LockLife)
def test_a_worker_that_is_back_was_not_lost(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    for _ in range(3):
        history.lose("host-2")
        history.wait(RECOVERED_SECONDS - 1)
        history.cluster.machines["host-2"].powered = True
        history.wait(2)
    history.lose("host-2")
    with history.broken("j/a"):
        history.wait(RECOVERED_SECONDS + 3)


@of(LockLife)
def test_whatever_is_done_to_the_world_starts_the_clocks_of_j5_again(history: History) -> None:
    history.put(job("j", W.WAITING, tokens={"vm/a": 1}), Lock(id="vm/a", job="j"))
    history.put(job("j", W.FAILED, tokens={"vm/a": 1}))
    history.wait(4)
    history.disturb()
    history.wait(4)
    with history.broken("vm/a", "j"):
        history.wait(3)


def restarted(history: History, round: int, *hosts: str) -> None:
    for host in hosts:
        history.launch(host, start=10 + round)
    history.wait(RECOVERED_SECONDS - 5)


@of(LockLife)
def test_workers_that_are_started_again_and_again_do_not_see_who_is_lost(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    for round in range(4):
        restarted(history, round, "host-1", "host-3")
    with history.broken("j/a", "j"):
        history.wait(10)


@of(LockLife)
def test_one_that_stays_does(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    restarted(history, 0, "host-1", "host-3")
    with history.broken("j/a", "j"):
        restarted(history, 1, "host-1")


@of(LockLife)
@pytest.mark.parametrize("hanging", [("host-1", "host-3"), ("host-1",)])
def test_workers_that_hang_see_nobody(history: History, hanging: tuple[str, ...]) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    for name in hanging:
        history.cluster.machines[name].stall_process("node")
    if len(hanging) == 2:
        history.wait(3 * RECOVERED_SECONDS)
        history.cluster.machines["host-3"].unstall_process("node")
    with history.broken("j/a", "j"):
        history.wait(RECOVERED_SECONDS + 3)
