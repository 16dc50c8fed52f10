"""A store whose searches are behind: what they find is a hint, and nothing is lost or done twice because of it."""

from functools import partial

import pytest

from ave.model.work import Result, Step, WorkState
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    NINE_STEPS,
    JobCenter,
    holds_what_was_promised,
    nothing_is_left,
)
from tests.unit.jobs.test_dag import NINE

LAGS = [0.01, 0.5, 20.0]
ONE_STEP = {"x": Step(function="do", resource="x", host="one")}


@pytest.mark.parametrize("lag", LAGS)
def test_the_nine_tasks_run_once_each(lag):
    with JobCenter(NINE_STEPS) as center:
        center.store.set_lag(lag)
        (job,) = center.finish(center.submit(DAG, "a"))
        holds_what_was_promised(center, job, NINE_STEPS)
        assert job.results == {name: Result(True) for name in NINE}
        assert sorted(center.ran()) == sorted(NINE)


@pytest.mark.parametrize("lag", LAGS)
def test_a_claim_whose_answer_was_lost_is_found(lag):
    with JobCenter(ONE_STEP) as center:
        job = center.submit(DAG, "a", lane="two")
        center.store.set_lag(lag)
        center.until(lambda: center.work(f"{job}/x") is not None)
        center.store.lost_answers = 1.0
        center.until(lambda: center.running(f"{job}/x"))
        center.run_on(4.9)  # the answers to beats are lost as well, so that the worker has heard of nothing later
        center.store.lost_answers = 0.0
        (ended,) = center.finish(job, limit=20.0)  # long before the worker looks by itself
        assert ended.state is WorkState.DONE
        assert center.ran() == ["x"]
        nothing_is_left(center)


@pytest.mark.parametrize("lag", LAGS)
def test_who_looks_for_a_lost_claim_does_not_begin_again_what_has_just_ended(lag):
    steps = {str(n): Step(function="do", resource=str(n), host="one") for n in range(60)}
    for seed in range(4):
        with JobCenter(steps, seconds=0.2, seed=seed) as center:
            center.store.set_lag(lag)
            job = center.submit(DAG, "a", lane="two")
            center.store.lost_answers = 0.3
            center.at(center.world.now + 30.0, partial(setattr, center.store, "lost_answers", 0.0))
            center.finish(job, limit=200.0)
            assert sorted(center.ran()) == sorted(steps), f"seed {seed}"
            assert center.late == []


@pytest.mark.parametrize("lag", LAGS)
def test_locks_and_job_queues_go_on(lag):
    with JobCenter() as center:
        center.store.set_lag(lag)
        locked = [center.submit(EACH, "a", door=HOSTS[n % 3]) for n in range(5)]
        queued = [center.submit(EACH, name, flag="ha", door="one") for name in "bcdef"]
        jobs = center.finish(*locked, *queued, limit=120.0)
        assert {job.state for job in jobs} == {WorkState.DONE}
        assert [job for job in center.order() if job in queued] == queued
        center.run_on(2 * lag)
        nothing_is_left(center)


@pytest.mark.parametrize("lag", LAGS)
def test_a_cancellation_misses_no_task(lag):
    groups = {f"g{n}": {"x": Step(function="stoppable", resource=f"r{n}", undo="undo")} for n in range(4)}
    with JobCenter({}, groups=groups) as center:
        center.store.set_lag(lag)
        job = center.submit(DAG, "a")
        center.until(lambda: all(center.running(f"{job}/group/{name}/x") for name in groups))
        center.cancel(job)
        (ended,) = center.finish(job, limit=60.0)
        assert ended.state is WorkState.CANCELLED
        assert len(center.undone) == 4
        center.run_on(2 * lag)
        nothing_is_left(center)
