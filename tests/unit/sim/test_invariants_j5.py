"""What a lock may outlive, and for how long: each exception of J5, and what is just beside it."""

from __future__ import annotations

from typing import Any

import pytest

from ave.model.cluster import Lock
from sim.invariants.j5_lock_life import LockLife
from tests.unit.sim.history import History, W, job, of, task

pytestmark = of(LockLife)

RECOVERED_SECONDS = 45.0


def test_locks_that_come_and_go_with_their_job_are_well(history: History) -> None:
    history.put(job("j", W.READY))
    history.put(job("j", W.WAITING, tokens={"vm/a": 1, "vm/b": 1}), Lock(id="vm/a", job="j"), Lock(id="vm/b", job="j"))
    history.wait(60)
    history.put(job("j", W.DONE, tokens={"vm/a": 1, "vm/b": 1}), Lock(id="vm/a"), Lock(id="vm/b"))
    history.wait(60)
    history.end()
    assert history.armed == 1


@pytest.mark.parametrize("disturbed", [False, True])
def test_a_lock_that_outlives_its_job_breaks_j5(history: History, disturbed: bool) -> None:
    """Whatever is done to the world starts the clock again."""
    history.put(job("j", W.WAITING, tokens={"vm/a": 1}), Lock(id="vm/a", job="j"))
    history.put(job("j", W.FAILED, tokens={"vm/a": 1}))
    history.wait(4)
    if disturbed:
        history.disturb()
        history.wait(4)
    with history.broken("vm/a", "j"):
        history.wait(3)


@pytest.mark.parametrize(
    ("docs", "named"),
    [
        pytest.param([Lock(id="vm/a", job="ghost")], ("vm/a", "ghost"), id="a lock of nobody"),
        pytest.param(
            [job("j", W.RUNNING), Lock(id="vm/a", job="j")], ("j", "vm/a"), id="one marked before its job begins"
        ),
        pytest.param(
            [job("j", W.WAITING, tokens={"vm/a": 1, "vm/b": 1}), Lock(id="vm/a", job="j")],
            ("j", "vm/b"),
            id="a job that lacks one",
        ),
    ],
)
def test_locks_and_jobs_that_do_not_match_break_j5(history: History, docs: list[Any], named: tuple[str, ...]) -> None:
    with history.broken(*named):
        history.put(*docs)
        history.wait(10)


def test_work_of_a_lost_worker_is_given_away_in_time(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    history.wait(44)
    history.put(task("j", "a", W.READY, 1))
    history.wait(100)
    assert history.armed == 1


def test_work_that_stays_with_a_lost_worker_breaks_j5(history: History) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.launch("host-2", start=2)  # the one who had it is gone
    history.wait(44)
    with history.broken("j/a", "j"):
        history.wait(4)


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


def restarted(history: History, round: int, *hosts: str) -> None:
    for host in hosts:
        history.launch(host, start=10 + round)
    history.wait(RECOVERED_SECONDS - 5)


@pytest.mark.parametrize(
    ("rounds", "last"),
    [
        pytest.param(4, (), id="all, again and again: nobody sees it"),
        pytest.param(1, ("host-1",), id="one stays: it does"),
    ],
)
def test_only_a_worker_that_stays_sees_who_is_lost(history: History, rounds: int, last: tuple[str, ...]) -> None:
    history.put(task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    for round in range(rounds):
        restarted(history, round, "host-1", "host-3")
    with history.broken("j/a", "j"):
        restarted(history, rounds, *last)


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
