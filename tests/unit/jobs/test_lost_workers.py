"""Workers that die: what they held is given to somebody who lives."""

from functools import cache, partial

import pytest

from ave.jobs.recovery import LEASE_SECONDS, SWEEP_SECONDS
from ave.model.work import ENDED, Result, Step, WorkState
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    NINE_STEPS,
    RECOVERED_SECONDS,
    JobCenter,
    holds_what_was_promised,
)
from tests.unit.jobs.test_dag import NINE

PARTS = 3  # of the moments, so that test processes can share them


@cache
def moments(part: int, count: int = 60) -> list[float]:
    """Every third of evenly spread moments of the nine-task Job's life at which something happens."""
    with JobCenter(NINE_STEPS) as center:
        job = center.submit(DAG, "a", lane="one")
        times = {center.world.now: None}
        while center.work(job).state not in ENDED:
            center.world.step()
            times[center.world.now] = None
    every = list(times)
    return [every[number * len(every) // count] for number in range(part, count, PARTS)]


JUST_AFTER = 1e-7


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("again", [2.0, None], ids=["relaunched", "left dead"])
def test_a_job_ends_whenever_its_worker_is_killed(again, part):
    for moment in moments(part):
        with JobCenter(NINE_STEPS) as center:
            job = center.submit(DAG, "a", lane="one")
            center.at(moment + JUST_AFTER, partial(center.kill, "one"))
            if again is not None:
                center.at(moment + again, partial(center.launch, "one"))
            (ended,) = center.finish(job)
            center.world.advance(center.world.now + 20.0)
            holds_what_was_promised(center, ended, NINE_STEPS)
            failed = {name: result.why for name, result in ended.results.items() if not result.ok}
            # Killed between its deed and its word, a step has failed as far as anybody can know.
            may_fail = again is None
            must_fail = may_fail and "4" not in center.ran()
            lost = dict.fromkeys("479", "one does not answer")
            assert failed == lost if must_fail else failed in ({}, lost) if may_fail else not failed, f"at {moment:.4f}"


@pytest.mark.parametrize("part", range(PARTS))
def test_a_job_is_done_and_each_step_once_whenever_the_store_elects(part):
    for moment in moments(part):
        with JobCenter(NINE_STEPS) as center:
            job = center.submit(DAG, "a", lane="one")
            center.at(moment + JUST_AFTER, center.store.step_down)
            (ended,) = center.finish(job)
            center.world.advance(center.world.now + 20.0)
            holds_what_was_promised(center, ended, NINE_STEPS)
            assert ended.state is WorkState.DONE, f"stepped down at {moment:.4f}: {ended.results}"
            assert sorted(center.ran()) == sorted(NINE), f"stepped down at {moment:.4f}"


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_job_is_done_and_each_step_once_while_answers_of_the_store_are_lost(share):
    for seed in range(15):
        with JobCenter(NINE_STEPS, seed=seed) as center:
            job = center.submit(DAG, "a")
            center.store.lost_answers = share
            (ended,) = center.finish(job, limit=600.0)
            center.store.lost_answers = 0.0
            center.world.advance(center.world.now + 20.0)
            holds_what_was_promised(center, ended, NINE_STEPS)
            assert ended.state is WorkState.DONE, f"seed {seed}: {ended.results}"
            assert sorted(center.ran()) == sorted(NINE), f"seed {seed}"


def test_jobs_that_wait_for_a_lock_run_after_its_holder_was_killed():
    with JobCenter(seconds=5.0) as center:
        holder = center.submit(EACH, "a", lane="one")
        center.until(lambda: center.locked() == ["vm/a"])
        waiting = [center.submit(EACH, "a", lane=host) for host in HOSTS]
        center.until(lambda: all(center.work(job).waits for job in waiting))
        center.kill("one")
        jobs = center.finish(holder, *waiting, limit=2 * RECOVERED_SECONDS)
        assert {job.state for job in jobs} == {WorkState.DONE}
        assert center.locked() == []


def test_a_job_queue_goes_on_when_its_leader_is_killed():
    with JobCenter(seconds=5.0) as center:
        jobs = [center.submit(EACH, name, flag="ha", lane="one") for name in "abc"]
        center.until(lambda: center.began == jobs[:1])
        center.kill("one")
        assert {job.state for job in center.finish(*jobs, limit=3 * RECOVERED_SECONDS)} == {WorkState.DONE}
        assert center.order() == jobs


def test_a_task_bound_to_a_host_that_is_gone_fails_and_an_unbound_one_moves():
    steps = {"bound": Step(function="do", resource="bound", host="one"), "free": Step(function="do", resource="free")}
    for seed in range(6):
        with JobCenter(steps, seed=seed) as center:
            center.kill("one")
            (job,) = center.finish(center.submit(DAG, "a"))
            assert job.results == {"bound": Result(False, "one does not answer"), "free": Result(True)}
            assert {effect.host for effect in center.effects} <= {"two", "three"}


def test_a_bound_task_waits_for_a_host_that_comes_back_in_time():
    with JobCenter({"bound": Step(function="do", resource="bound", host="one")}) as center:
        center.kill("one")
        job = center.submit(DAG, "a", lane="two")
        center.at(center.world.now + LEASE_SECONDS / 2, lambda: center.launch("one"))
        assert center.finish(job)[0].state is WorkState.DONE


def test_a_task_bound_to_a_host_whose_worker_never_came_fails_too():
    with JobCenter({"bound": Step(function="do", resource="bound", host="four")}) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=600.0)
        assert job.state is WorkState.FAILED
        assert center.locked() == []


def test_what_an_earlier_start_of_a_worker_had_claimed_is_given_to_the_new_one_at_the_next_sweep():
    with JobCenter({"bound": Step(function="do", resource="bound", host="one")}, seconds=3.0) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.work(f"{job}/bound") is not None)
        center.until(lambda: center.work(f"{job}/bound").state is WorkState.RUNNING)
        center.kill("one")
        center.launch("one")
        assert center.finish(job, limit=2 * SWEEP_SECONDS + 5.0)[0].state is WorkState.DONE
        assert center.ran() == ["bound"]
        assert center.work(f"{job}/bound").attempt == 2
