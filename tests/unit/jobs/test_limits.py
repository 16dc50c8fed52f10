"""Requests that are too large, and documents that grow too large: refused, or ended, and never in the way of others."""

import time

import pytest

from ave.errors import Refused
from ave.jobs import dag
from ave.jobs.queue import LENGTH_MAX
from ave.jobs.verb import TaskKind
from ave.model.cluster import JobQueue
from ave.model.work import Fact, Result, Step, WorkState
from tests.unit.jobs.center import DAG, EACH, JobCenter, nothing_is_left

DONE, FAILED = WorkState.DONE, WorkState.FAILED
LARGEST = 20_000  # bytes of a document


def finds(size: int) -> TaskKind:
    async def find(ports, task):
        return {f"found by {task.step}": Fact(host="x" * size)}

    return TaskKind(function=find)


def test_a_job_of_a_hundred_thousand_tasks_is_refused_at_once():
    steps = {str(n): Step(function="do", resource=str(n)) for n in range(100_000)}
    with JobCenter(steps) as center:
        began = time.process_time()
        (job,) = center.finish(center.submit(DAG, "a"), limit=5.0)
        assert time.process_time() - began < 2.0
        assert job.results == {
            "request": Result(False, "a Job may have 10000 tasks, this one has 100000: split the request")
        }
        assert center.locked() == []


def test_a_job_of_as_many_tasks_as_allowed_is_begun_within_a_second_of_computing():
    """It is done on the loop that renews the lease."""
    plan = dag.plan({str(n): Step(function="do", resource=str(n)) for n in range(dag.STEPS_MAX)}, {}, {})
    began = time.process_time()
    ready = dag.ready(plan)
    assert time.process_time() - began < 0.5
    assert len(ready) == dag.STEPS_MAX


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ({"x": Step(function="do", needs=("y",))}, "step x needs y, which is not a step of this Job"),
        ({"x": Step(function="do", needs=("x",))}, "the steps wait for each other: x"),
        ({"undo/x": Step(function="do")}, "no step may be called undo/x"),
        ({"group/x": Step(function="do")}, "no step may be called group/x"),
    ],
)
def test_a_dag_that_cannot_work_is_refused(steps, why):
    with JobCenter(steps) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=5.0)
        assert (job.state, job.results) == (FAILED, {"request": Result(False, why)})
        nothing_is_left(center)


def test_a_job_for_a_resource_that_does_not_exist_is_for_its_verb_to_refuse():
    with JobCenter() as center:
        (job,) = center.finish(center.submit(EACH, "nobody has made this"), limit=5.0)
        assert job.state is DONE


def test_a_plan_that_is_too_large_to_be_stored_is_refused_and_locks_nothing():
    steps = {str(n): Step(function="do", arguments={"long": "x" * 1000}) for n in range(30)}
    with JobCenter(steps, largest=LARGEST) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=5.0)
        assert job.state is FAILED
        assert "and a document may have 20,000" in job.results["request"].why
        nothing_is_left(center)


def test_a_task_that_finds_out_more_than_can_be_stored_fails_and_its_siblings_do_not():
    steps = {str(n): Step(function="do", resource=str(n), host="one") for n in range(6)}
    steps["big"] = Step(function="find", resource="big", host="one", undo="undo")

    async def find(ports, task):
        await ports.runtime.sleep(0.5)
        return {"fact": Fact(host="x" * 2 * LARGEST)}

    with JobCenter(steps, kinds={"find": TaskKind(function=find)}, largest=LARGEST) as center:
        (job,) = center.finish(center.submit(DAG, "a", lane="two"), limit=15.0)
        assert "what it found out cannot be stored" in job.results.pop("big").why
        assert job.results == {str(n): Result(True) for n in range(6)}
        assert sorted(center.ran()) == [str(n) for n in range(6)], "each once"
        assert center.undone == ["undo/big"]
        nothing_is_left(center)


def test_a_plan_that_grows_too_large_to_be_folded_begins_nothing_more_and_ends_with_an_alarm():
    steps = {str(n): Step(function="find", resource=str(n)) for n in range(6)}
    steps |= {f"after {n}": Step(function="do", resource=str(n), needs=(str(n),)) for n in range(6)}
    steps["never"] = Step(function="do", resource="never", needs=tuple(f"after {n}" for n in range(6)))
    kinds = {"find": finds(LARGEST // 4)}
    with JobCenter(steps, kinds=kinds, largest=LARGEST) as center:
        job, other = center.submit(DAG, "a"), center.submit(EACH, "b")
        ended, well = center.finish(job, other, limit=30.0)
        assert (ended.state, well.state) == (FAILED, DONE)
        assert "it cannot go on: Refused" in ended.results["never"].why
        assert center.alarms() == [f"poison/{job}"]
        assert ended.plan is not None
        assert ended.plan.progress == 1.0
        nothing_is_left(center)


def test_a_group_that_grows_too_large_fails_and_the_others_go_on():
    chain = {"1": Step(function="find", resource="r"), "2": Step(function="find", resource="r", needs=("1",))}
    chain["3"] = Step(function="do", resource="r", needs=("2",))
    groups = {"big": chain, "small": {"1": Step(function="do", resource="s")}}
    with JobCenter({}, groups=groups, kinds={"find": finds(LARGEST * 2 // 3)}, largest=LARGEST) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=30.0)
        assert {name: result.ok for name, result in job.results.items()} == {"r": False, "s": True}
        nothing_is_left(center)


def test_results_that_fit_the_plan_fit_the_job_too():
    steps = {f"{n:0>60}": Step(function="fail", resource=f"{n:0>60}") for n in range(58)}
    with JobCenter(steps, largest=LARGEST) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=30.0)
        assert len(job.results) == len(steps)
        nothing_is_left(center)


def test_a_long_reason_is_cut_before_it_is_kept_for_every_dependant():
    async def complain(ports, task):
        raise Refused("x" * 1_000_000)

    steps = {"bad": Step(function="complain", resource="bad")}
    steps |= {str(n): Step(function="do", resource=str(n), needs=("bad",)) for n in range(10)}
    with JobCenter(steps, kinds={"complain": TaskKind(function=complain)}, largest=LARGEST) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=30.0)
        assert {len(result.why) for result in job.results.values()} == {1000}
        nothing_is_left(center)


def test_a_job_queue_has_a_bound():
    with JobCenter() as center:
        center.put(JobQueue(id="ha", running="somebody", length=LENGTH_MAX - 1))
        center.submit(EACH, "a", flag="ha")
        with pytest.raises(Refused, match=f"{LENGTH_MAX} Jobs wait in the Job Queue ha: try again later"):
            center.submit(EACH, "b", flag="ha")


def test_a_job_queue_is_first_in_first_out_with_cancellations_inside():
    with JobCenter(seconds=1.0) as center:
        jobs = [center.submit(EACH, f"v{n}", flag="ha") for n in range(30)]
        for job in jobs[2::3]:
            center.cancel(job)
        kept = [job for n, job in enumerate(jobs) if n % 3 != 2]
        center.finish(*jobs, limit=60.0)
        assert center.order() == kept
        assert center.most == 1
        nothing_is_left(center)
