"""Cancelling a Job, at every moment of its life."""

from functools import partial

import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.cancel import cancel
from ave.jobs.crew import Crew
from ave.jobs.locks import QUEUE_MAX
from ave.model.cluster import Lock
from ave.model.work import Result, Step, WorkState
from drivers.sim.network import Plane
from tests.unit.jobs.center import DAG, EACH, HOSTS, NINE_STEPS, JobCenter, nothing_is_left

CANCELLED, DONE = WorkState.CANCELLED, WorkState.DONE


def ends_cancelled(center: JobCenter, job: str, limit: float = 30.0) -> None:
    (ended,) = center.finish(job, limit=limit)
    assert ended.state is CANCELLED, ended.results
    nothing_is_left(center)


def waits(center: JobCenter, job: str) -> bool:
    return center.work(job).waits != ""


# Before it begins


def test_a_job_that_waits_for_its_turn_is_withdrawn_and_the_next_keeps_its_own():
    with JobCenter(seconds=5.0) as center:
        jobs = [center.submit(EACH, name, flag="ha") for name in "abcd"]
        center.cancel(jobs[1])
        assert center.work(jobs[1]).state is CANCELLED
        assert center.work(jobs[1]).results == {"request": Result(False, "cancelled")}
        center.finish(*jobs, limit=40.0)
        assert center.order() == [jobs[0], jobs[2], jobs[3]]
        nothing_is_left(center)


def test_the_job_whose_turn_it_is_is_cancelled_and_the_next_begins():
    with JobCenter({"x": Step(function="stoppable", resource="x")}) as center:
        first, second = center.submit(DAG, "a", flag="ha"), center.submit(EACH, "b", flag="ha")
        center.until(lambda: center.running(f"{first}/x"))
        center.cancel(first)
        assert [job.state for job in center.finish(first, second, limit=5.0)] == [CANCELLED, DONE]
        nothing_is_left(center)


def test_a_job_that_has_its_turn_and_waits_for_a_lock_gives_up_both():
    with JobCenter(seconds=20.0) as center:
        holder = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        first, second = center.submit(EACH, "a", flag="ha"), center.submit(EACH, "b", flag="ha")
        center.until(lambda: center.work(first).waits == "vm/a")
        center.cancel(first)
        assert center.all(Lock)[0].queue == (), "nobody counts as waiting who does not"
        center.until(lambda: center.running(f"{second}/b"), limit=2.0)
        center.finish(holder, first, second)
        nothing_is_left(center)


def test_jobs_that_were_withdrawn_do_not_fill_the_queue_of_a_lock():
    with JobCenter(seconds=60.0) as center:
        holder = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        for _ in range(QUEUE_MAX):
            job = center.submit(EACH, "a")
            center.until(partial(waits, center, job))
            center.cancel(job)
        last = center.submit(EACH, "a")
        center.finish(holder, last, limit=200.0)
        assert center.work(last).state is DONE


def test_those_behind_a_withdrawn_job_get_the_lock_at_once():
    with JobCenter(seconds=2.0) as center:
        jobs = [center.submit(EACH, "a")]
        for _ in range(3):
            jobs.append(center.submit(EACH, "a"))
            center.until(lambda: center.work(jobs[-1]).waits == "vm/a")
        center.cancel(jobs[1])
        center.finish(*jobs, limit=8.0)
        assert center.order() == [jobs[0], *jobs[2:]]
        nothing_is_left(center)


def test_a_job_that_nobody_has_begun_is_cancelled_when_somebody_does():
    with JobCenter() as center:
        center.kill("one")
        job = center.submit(EACH, "a", lane="one")
        center.cancel(job)
        center.launch("one")
        ends_cancelled(center, job)
        assert center.ran() == []


def test_a_woken_job_that_is_cancelled_wakes_the_one_behind_it():
    with JobCenter(seconds=3.0) as center:
        holder = center.submit(EACH, "a", lane="two")
        center.until(lambda: center.locked() == ["vm/a"])
        woken = center.submit(EACH, "a", lane="one")
        center.until(lambda: center.work(woken).waits == "vm/a")
        behind = center.submit(EACH, "a", lane="three")
        center.until(lambda: center.work(behind).waits == "vm/a")
        center.kill("one")
        center.until(lambda: center.work(woken).state is WorkState.READY)
        center.cancel(woken)
        center.launch("one")
        assert [job.state for job in center.finish(holder, woken, behind)] == [DONE, CANCELLED, DONE]
        nothing_is_left(center)


# While it runs


def test_what_has_not_begun_never_will_and_what_runs_ends_by_itself():
    steps = {"a": Step(function="do", resource="a"), "b": Step(function="do", resource="b", needs=("a",))}
    with JobCenter(steps, seconds=5.0) as center:
        job = center.submit(DAG, "a")
        center.until(lambda: center.running(f"{job}/a"))
        center.cancel(job)
        ends_cancelled(center, job)
        assert center.work(job).results == {"a": Result(True), "b": Result(False, "cancelled")}
        assert center.ran() == ["a"]


def test_a_job_with_nothing_left_to_cancel_is_done():
    with JobCenter(seconds=5.0) as center:
        job = center.submit(EACH, "a")
        center.until(lambda: center.running(f"{job}/a"))
        center.cancel(job)
        (ended,) = center.finish(job)
        assert (ended.state, ended.results) == (DONE, {"a": Result(True)})
        assert center.work(f"{job}/a").story[-1] == "running -> done: did it"
        nothing_is_left(center)


@pytest.mark.parametrize("undo", ["undo", ""])
def test_a_stoppable_task_is_stopped_at_once_and_undone(undo):
    with JobCenter({"x": Step(function="stoppable", resource="x", host="one", undo=undo)}) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.running(f"{job}/x"))
        center.run_on(1.0)
        center.cancel(job)
        ends_cancelled(center, job, limit=3.0)
        assert center.undone == (["undo/x"] if undo else [])


def test_a_cancellation_on_the_heels_of_the_claim_is_not_missed():
    """The wish comes when the store has given the task to the worker, and the worker has not heard so."""
    for number in range(20):
        with JobCenter({"x": Step(function="stoppable", resource="x", host="one")}) as center:
            job = center.submit(DAG, "a", lane="two")
            ports = center.ports()
            center.until(lambda: center.work(f"{job}/x") is not None)  # noqa: B023 - called at once
            center.run_on(number * 0.0002)
            center.begin(cancel(ports, Crew(ports), job))
            ends_cancelled(center, job, limit=5.0)


def test_a_cancellation_that_is_older_than_the_claim_is_not_missed_when_the_answer_was_lost():
    with JobCenter({"x": Step(function="stoppable", resource="x", host="one")}) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.work(f"{job}/x") is not None)
        center.store.lost_answers = 1.0
        center.until(lambda: center.running(f"{job}/x"))
        center.run_on(0.01)
        center.store.lost_answers = 0.0
        center.cancel(job)
        ends_cancelled(center, job)


def test_a_stopped_task_whose_worker_died_is_not_begun_again():
    with JobCenter({"x": Step(function="stoppable", resource="x", undo="undo")}, seconds=1.0) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.running(f"{job}/x"))
        host = center.work(f"{job}/x").lane
        center.kill(host)
        center.cancel(job, door=host)
        center.launch(host)
        ends_cancelled(center, job, limit=60.0)
        assert center.undone == ["undo/x"]


def test_an_undo_that_waits_for_a_worker_is_not_cancelled():
    steps = {
        "bad": Step(function="fail", resource="bad", host="one", undo="undo"),
        "x": Step(function="stoppable", resource="x", host="two"),
    }
    with JobCenter(steps) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.work(f"{job}/undo/bad") is not None)
        center.kill("one")
        center.cancel(job)
        assert center.work(f"{job}/undo/bad").state in (WorkState.READY, WorkState.RUNNING)
        center.launch("one")
        ends_cancelled(center, job)
        assert center.undone == ["undo/bad"]
        assert center.work(job).results["bad"] == Result(False, "bad will not")


def test_groups_are_cancelled_with_their_job():
    chain = {"1": Step(function="do", resource="r"), "2": Step(function="do", resource="r", needs=("1",))}
    groups = {
        "runs": chain,
        "stops": {"1": Step(function="stoppable", resource="s", undo="undo")},
    }
    with JobCenter({"first": Step(function="do", resource="f")}, groups=groups, seconds=2.0) as center:
        job = center.submit(DAG, "a")
        center.until(lambda: center.running(f"{job}/group/stops/1") and center.running(f"{job}/group/runs/1"))
        center.cancel(job)
        ends_cancelled(center, job)
        assert {center.work(f"{job}/group/{name}").state for name in groups} == {CANCELLED}
        assert center.work(job).results["r"] == Result(False, "cancelled")
        assert center.plan(job).progress == 1.0
        assert center.work(f"{job}/group/runs/2") is None


def test_groups_that_have_not_begun_never_do():
    groups = {str(n): {"x": Step(function="do", resource=f"r{n}")} for n in range(3)}
    steps = {"first": Step(function="do", resource="f")}
    with JobCenter(steps, groups=groups, groups_need=("first",), seconds=2.0) as center:
        job = center.submit(DAG, "a")
        center.until(lambda: center.running(f"{job}/first"))
        center.cancel(job)
        ends_cancelled(center, job)
        assert center.ran() == ["first"]
        assert center.work(job).results == {"f": Result(True)} | {f"r{n}": Result(False, "cancelled") for n in range(3)}


# Who may cancel what, and how often


def test_cancelling_twice_is_cancelling_once():
    with JobCenter({"x": Step(function="stoppable", resource="x", undo="undo")}) as center:
        job = center.submit(DAG, "a")
        center.until(lambda: center.running(f"{job}/x"))
        for door in HOSTS:
            center.cancel(job, door)
        ends_cancelled(center, job)
        assert center.undone == ["undo/x"]
        center.cancel(job)


def test_a_job_that_has_ended_and_one_that_does_not_exist_cannot_be_cancelled():
    with JobCenter() as center:
        job = center.submit(EACH, "a")
        center.finish(job)
        with pytest.raises(Refused, match=f"Job {job} is done already"):
            center.cancel(job)
        with pytest.raises(Refused, match="there is no Job nothing"):
            center.cancel("nothing")
        with pytest.raises(Refused, match=f"there is no Job {job}/a"):
            center.cancel(f"{job}/a")


def test_who_is_told_that_nothing_happened_can_rely_on_it():
    """Unavailable is "did not happen and will not"."""
    for number in range(24):
        with JobCenter({"x": Step(function="stoppable", resource="x")}) as center:
            job = center.submit(DAG, "a", lane="one")
            center.until(partial(center.running, f"{job}/x"))
            center.at(center.world.now + number * 0.0005, partial(center.network.cut, ("three",), (Plane.MANAGEMENT,)))
            try:
                center.cancel(job)
                heard = True
            except UnknownOutcome:
                continue
            except Unavailable:
                heard = False
            center.run_on(1.0)
            assert center.work(job).stop is heard, f"cut after {number * 0.5} ms"


@pytest.mark.parametrize("number", range(0, 40, 3))
def test_a_cancellation_that_meets_the_end_ends_the_job_one_way_or_the_other(number):
    with JobCenter() as center:
        job = center.submit(EACH, "a", lane="one")
        center.until(lambda: bool(center.effects))
        ports = center.ports()
        center.run_on(number * 0.0003)
        answer = center.begin(cancel(ports, Crew(ports), job))
        (ended,) = center.finish(job, limit=10.0)
        center.until(answer.done)
        _, error = answer.value
        assert error is None or "already" in str(error)
        assert (ended.state, ended.results) == (DONE, {"a": Result(True)})
        nothing_is_left(center)


def moments_of(count: int) -> list[float]:
    with JobCenter(NINE_STEPS) as center:
        job, began = center.submit(DAG, "a", lane="one"), center.world.now
        center.finish(job)
        length = center.world.now - began
    return [length * number / count for number in range(count)]


@pytest.mark.parametrize("trouble", ["nothing", "election", "lost answers", "a killed worker"])
def test_whenever_a_job_is_cancelled_it_ends_and_leaves_nothing(trouble):
    for moment in moments_of(30):
        with JobCenter(NINE_STEPS) as center:
            job = center.submit(DAG, "a", lane="one")
            center.run_on(moment)
            if trouble == "election":
                center.at(center.world.now + 0.002, center.store.step_down)
            if trouble == "lost answers":
                center.store.lost_answers = 0.5
                center.at(center.world.now + 20.0, partial(setattr, center.store, "lost_answers", 0.0))
            if trouble == "a killed worker":
                center.at(center.world.now + 0.002, partial(center.kill, "one"))
                center.at(center.world.now + 3.0, partial(center.launch, "one"))
            try:
                center.cancel(job)
            except Refused:
                assert center.work(job).state is DONE
            (ended,) = center.finish(job, limit=90.0)
            center.store.lost_answers = 0.0
            assert ended.state in (CANCELLED, DONE), f"at {moment:.4f}: {ended.results}"
            assert ended.state is DONE or any(not result.ok for result in ended.results.values())
            center.run_on(20.0)
            nothing_is_left(center)
