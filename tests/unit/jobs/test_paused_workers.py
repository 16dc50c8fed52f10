"""Workers that stand still for longer than anybody waits for them, and then go on as if nothing had been."""

from functools import partial
from random import Random

import pytest

from ave.jobs.recovery import LEASE_SECONDS, SWEEP_SECONDS
from ave.model.work import ENDED, LEAD, Result, Step, Work, WorkState
from tests.unit.jobs.center import DAG, EACH, HOSTS, NINE_STEPS, RECOVERED_SECONDS, JobCenter, nothing_is_left

DONE, FAILED = WorkState.DONE, WorkState.FAILED
LONG_SECONDS = 2 * (LEASE_SECONDS + 2 * SWEEP_SECONDS)


def pause(center: JobCenter, host: str, seconds: float) -> None:
    process = center.processes[host]
    process.halt()
    center.at(center.world.now + seconds, process.resume)


def ends_of(center: JobCenter, work: str) -> int:
    """How often it came to an end; the store's log remembers."""
    states = [doc.state for commit in center.store.ledger.log for _, id, doc in commit.changes if id == work]
    return sum(state in ENDED for state in states)


def test_what_a_paused_worker_held_is_done_by_another_and_it_changes_nothing_when_it_returns():
    with JobCenter({"x": Step(function="do", resource="x")}, seconds=5.0) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.work(f"{job}/x") is not None and center.running(f"{job}/x"))
        holder = center.work(f"{job}/x").lane
        pause(center, holder, LONG_SECONDS)
        (ended,) = center.finish(job, limit=2 * LONG_SECONDS)
        assert ended.state is DONE
        version = center.work(f"{job}/x").version
        center.run_on(LONG_SECONDS)
        assert center.work(f"{job}/x").version == version
        assert (ends_of(center, job), ends_of(center, f"{job}/x")) == (1, 1)
        center.late.clear()  # what it still did carries an old attempt, and is refused where it is done
        nothing_is_left(center)


def test_a_task_bound_to_a_paused_host_fails_and_its_success_comes_too_late():
    with JobCenter({"x": Step(function="do", resource="x", host="one", undo="undo")}, seconds=5.0) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.running(f"{job}/x"))
        pause(center, "one", LONG_SECONDS)
        (ended,) = center.finish(job, limit=2 * LONG_SECONDS)
        assert ended.state is FAILED
        assert ended.results["x"].why.startswith("one does not answer")
        center.run_on(LONG_SECONDS)
        assert center.work(job).results == ended.results
        assert (ends_of(center, job), ends_of(center, f"{job}/x")) == (1, 1)
        center.late.clear()
        nothing_is_left(center)


def test_a_short_pause_costs_nobody_anything():
    with JobCenter(NINE_STEPS) as center:
        job = center.submit(DAG, "a", lane="one")
        center.run_on(0.3)
        pause(center, "one", LEASE_SECONDS / 2)
        (ended,) = center.finish(job, limit=LEASE_SECONDS)
        assert set(ended.results.values()) == {Result(True)}
        assert max(work.attempt for work in center.all(Work)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_whoever_pauses_whenever_every_job_ends_once(seed):
    source = Random(seed)
    with JobCenter(NINE_STEPS, seed=seed, seconds=3.0) as center:
        jobs = [
            center.submit((DAG, EACH)[n % 2], f"v{n % 4}", lane=HOSTS[n % 3], flag="q" * (n % 3 == 0)) for n in range(9)
        ]
        for _ in range(5):
            moment = center.world.now + 60.0 * source.random()
            center.at(moment, partial(pause, center, HOSTS[int(3 * source.random())], 90.0 * source.random()))
            center.at(60.0 * source.random() + center.world.now, center.store.step_down)
        center.run_on(160.0)
        center.finish(*jobs, limit=4 * RECOVERED_SECONDS)
        center.run_on(120.0)
        assert [ends_of(center, work.id) for work in center.all(Work)] == [1] * len(center.all(Work))
        assert {work.id for work in center.all(Work) if work.function == LEAD} == set(jobs)
        center.late.clear()
        nothing_is_left(center)
