"""The same for the invariants of what users and schedules are promised, and of how long it may take."""

from __future__ import annotations

import pytest

from ave.jobs.worker import ALONE, ATTEMPTS_MAX
from ave.model.alarm import Alarm
from ave.model.cluster import JobQueue, Key, Lock
from drivers.sim.facts import Thawed
from sim.answers import Answered
from sim.invariants.j7_every_job_ends import CLAIMS_MAX, STILL_SECONDS, EveryJobEnds
from sim.invariants.j8_one_job_per_key import OneJobPerKey
from sim.invariants.j10_no_late_effect import NoLateEffect
from sim.invariants.j11_every_cycle_once import PERIODS, EveryCycleOnce
from tests.unit.sim.history import History, W, job, of, task

# J7


@of(EveryJobEnds)
def test_a_job_that_waits_for_one_that_moves_is_well(history: History) -> None:
    history.put(job("k", W.WAITING, "a"), task("k", "a", W.RUNNING, 1), Lock(id="vm/a", job="k"))
    history.put(job("j", W.QUEUED, waits="vm/a"), job("q", W.QUEUED, flag="f"), JobQueue(id="f", running="k"))
    for attempt in range(2, 6):
        history.wait(STILL_SECONDS - 60)
        history.put(task("k", "a", W.READY, attempt - 1))
    history.disturb()
    history.wait(1)
    history.put(job("j", W.DONE), job("k", W.DONE), job("q", W.DONE))
    history.end()
    assert history.armed == 3


@of(EveryJobEnds)
def test_a_chain_in_which_nothing_moves_breaks_j7(history: History) -> None:
    history.put(job("j", W.QUEUED, waits="vm/a"), Lock(id="vm/a", job="k"))
    history.put(job("k", W.WAITING, "a"), task("k", "a", W.RUNNING, 1))
    history.wait(STILL_SECONDS - 20)
    with history.broken("j", "k", "k/a"):
        history.put(task("other", "a", W.READY, host="host-3"))
        history.wait(40)


@of(EveryJobEnds)
def test_a_task_may_wait_for_jobs_of_its_own(history: History) -> None:
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.RUNNING, 1))
    history.put(job("vm.migrate-j-web-1", W.WAITING, "p"), task("vm.migrate-j-web-1", "p", W.READY, host="scheduler"))
    history.cluster.storage.leader = None
    history.wait(3 * STILL_SECONDS)
    history.cluster.storage.leader = "host-2"
    history.wait(STILL_SECONDS - 20)
    with history.broken("j", "j/a", "vm.migrate-j-web-1"):
        history.wait(40)


@of(EveryJobEnds)
def test_a_queue_whose_turn_nobody_has_breaks_j7(history: History) -> None:
    history.put(job("j", W.QUEUED, flag="f"), JobQueue(id="f", running=""))
    history.wait(STILL_SECONDS - 20)
    with history.broken("j"):
        history.wait(40)


@of(EveryJobEnds)
def test_a_guest_that_was_given_an_hour_may_take_it(history: History) -> None:
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.RUNNING, 1, arguments={"seconds": 3600.0}))
    history.wait(3600 + STILL_SECONDS - 20)
    with history.broken("j", "j/a"):
        history.wait(40)


@of(EveryJobEnds)
def test_a_lane_that_moves_is_waited_for(history: History) -> None:
    history.put(job("j", W.READY, lane="host-2"))
    history.wait(STILL_SECONDS - 20)
    history.put(task("k", "a", W.RUNNING, 1, "host-2"))
    history.wait(STILL_SECONDS - 20)
    with history.broken("j", "host-2"):
        history.wait(40)


@of(EveryJobEnds)
def test_the_lane_of_a_role_that_nobody_can_hold_is_waited_for(history: History) -> None:
    """Without a meta leader there is neither a scheduler nor a monitor."""
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.READY, host="scheduler"))
    history.cluster.storage.leader = None
    history.wait(3 * STILL_SECONDS)
    history.cluster.storage.leader = "host-2"
    history.wait(STILL_SECONDS - 20)
    with history.broken("j", "j/a"):
        history.wait(40)


@of(EveryJobEnds)
def test_the_lane_of_a_role_whose_holder_hangs_is_waited_for(history: History) -> None:
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.READY, host="scheduler"))
    history.cluster.storage.leader = "host-2"
    history.cluster.machines["host-2"].stall_process("node")
    history.wait(3 * STILL_SECONDS)
    history.launch("host-2", 2)
    history.cluster.machines["host-2"].unstall_process("node")
    history.wait(STILL_SECONDS - 20)
    with history.broken("j", "j/a"):
        history.wait(40)


@of(EveryJobEnds)
def test_the_lane_of_a_host_that_hangs_is_not_waited_for(history: History) -> None:
    """It is judged dead, and what only it could do is given up."""
    history.cluster.storage.leader = "host-1"
    history.put(job("j", W.READY, lane="host-2"))
    history.cluster.machines["host-2"].stall_process("node")
    history.wait(STILL_SECONDS - 20)
    with history.broken("j", "host-2"):
        history.wait(40)


@of(EveryJobEnds)
def test_work_that_is_tried_for_ever_breaks_j7(history: History) -> None:
    for attempt in range(1, CLAIMS_MAX + 1):
        history.put(task("j", "a", W.RUNNING, attempt))
        history.put(task("j", "a", W.READY, attempt))
    with history.broken("j/a", "j"):
        history.put(task("j", "a", W.RUNNING, CLAIMS_MAX + 1))


@of(EveryJobEnds)
def test_work_that_has_effects_in_more_attempts_than_it_may_have_breaks_j7(history: History) -> None:
    for attempt in (1, 2, 3, ATTEMPTS_MAX - 1, ALONE):
        history.effect("vm/web", "j", attempt=attempt)
        history.effect("vm/web", "j", attempt=attempt)
    with history.broken("j/a", "j"):
        history.effect("vm/web", "j", attempt=ALONE + 1)


@of(EveryJobEnds)
def test_poison_that_is_given_up_with_an_alarm_is_well(history: History) -> None:
    history.oracle.stage.poisoned["j/a"] = None
    history.put(task("j", "a", W.RUNNING, 5))
    history.put(task("j", "a", W.FAILED, 5), Alarm(id="poison/j/a", what="it was given up"))
    history.wait(2)


@of(EveryJobEnds)
@pytest.mark.parametrize(("state", "alarm"), [(W.FAILED, False), (W.DONE, True)])
def test_poison_that_ends_in_another_way_breaks_j7(history: History, state: W, alarm: bool) -> None:
    history.oracle.stage.poisoned["j/a"] = None
    history.put(task("j", "a", W.RUNNING, 5))
    if alarm:
        history.put(Alarm(id="poison/j/a", what="it was given up"))
    with history.broken("j/a"):
        history.put(task("j", "a", state, 5))
        history.wait(2)


# J8


@of(OneJobPerKey)
def test_the_same_answer_to_the_same_question_is_well(history: History) -> None:
    history.put(job("j", W.READY), Key(id="k", job="j"))
    history.saw(Answered("k", "create web", "j"))
    history.saw(Answered("k", "create web", "j"))
    assert history.armed == 1


@of(OneJobPerKey)
@pytest.mark.parametrize(("request_text", "answer"), [("create web", "other"), ("create db", "j")])
def test_another_answer_or_question_breaks_j8(history: History, request_text: str, answer: str) -> None:
    history.put(job("j", W.READY), job("other", W.READY))
    history.saw(Answered("k", "create web", "j"))
    with history.broken("j"):
        history.saw(Answered("k", request_text, answer))


@of(OneJobPerKey)
def test_an_answer_that_names_no_job_breaks_j8(history: History) -> None:
    with history.broken("j"):
        history.saw(Answered("k", "create web", "j"))


@of(OneJobPerKey)
def test_a_key_that_changes_its_job_breaks_j8(history: History) -> None:
    history.put(Key(id="k", job="j"))
    with history.broken("j", "i"):
        history.put(Key(id="k", job="i"))


# J10


@of(NoLateEffect)
def test_an_effect_within_the_lease_of_a_lost_worker_is_tolerated(history: History) -> None:
    history.put(job("j", W.WAITING, "a"), task("j", "a", W.RUNNING, 1, "host-2"))
    history.lose("host-2")
    history.put(task("j", "a", W.FAILED, 1), job("j", W.FAILED))
    history.wait(40)
    history.effect("vm/web", "j")
    assert history.armed == 2


@of(NoLateEffect)
def test_a_late_effect_breaks_j10(history: History) -> None:
    history.put(job("j", W.WAITING, "a"))
    history.put(job("j", W.CANCELLED))
    history.put(job("i", W.WAITING, "a"))
    history.wait(50)
    history.effect("vm/web", "i")
    history.saw(Thawed("host-2"))
    history.wait(4)
    history.effect("vm/web", "j", what="a call that was under way when its host stood still")
    history.wait(2)
    with history.broken("web", "j"):
        history.effect("vm/web", "j")


# J11


def cycle(history: History, operation: str, number: int) -> None:
    history.put(job(f"{operation}@{number}", W.READY, operation=operation))


@of(EveryCycleOnce)
def test_a_cycle_every_period_is_well(history: History) -> None:
    for second in range(0, 1200, 30):
        for operation, period in PERIODS.items():
            if second and second % period == 0:
                cycle(history, operation, int(second // period))
        history.wait(30)
    history.end()
    assert history.armed == 39 + 19 + 3 + 1


@of(EveryCycleOnce)
def test_a_cycle_that_nobody_submits_breaks_j11(history: History) -> None:
    cycle(history, "vm.synchronise", 0)
    history.wait(44)
    with history.broken("vm.synchronise"):
        history.wait(3)


@of(EveryCycleOnce)
def test_a_cycle_that_comes_twice_breaks_j11(history: History) -> None:
    cycle(history, "vm.synchronise", 1)
    history.drop(job("vm.synchronise@1", W.READY))
    with history.broken("vm.synchronise@1"):
        cycle(history, "vm.synchronise", 1)


@of(EveryCycleOnce)
def test_a_scheduled_job_outside_the_cycles_breaks_j11(history: History) -> None:
    with history.broken("vm.synchronise-1f"):
        history.put(job("vm.synchronise-1f", W.READY, operation="vm.synchronise"))


@of(EveryCycleOnce)
def test_a_task_of_a_cycle_that_is_repeated_breaks_j11(history: History) -> None:
    cycle(history, "vm.synchronise", 1)
    history.put(task("vm.synchronise@1", "host-1", W.RUNNING, 1, operation="vm.synchronise"))
    with history.broken("vm.synchronise@1"):
        history.put(task("vm.synchronise@1", "host-1", W.RUNNING, 2, operation="vm.synchronise"))
