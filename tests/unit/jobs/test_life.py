"""A Job's life when nothing goes wrong: what is split, in which order it runs, and how it ends."""

import msgspec
import pytest

from ave.errors import Refused
from ave.jobs.crew import UNITS_PER_HOST
from ave.jobs.worker import RESERVED_UNITS
from ave.model.cluster import Lock
from ave.model.work import Result, Step, Work, WorkState
from tests.unit.jobs.center import (
    DAG,
    EACH,
    NINE_STEPS,
    STEP_SECONDS,
    JobCenter,
    holds_what_was_promised,
)
from tests.unit.jobs.test_dag import NINE


def test_the_nine_tasks_run_in_the_order_that_their_needs_allow():
    with JobCenter(NINE_STEPS) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        holds_what_was_promised(center, job, NINE_STEPS)
        assert job.state is WorkState.DONE
        assert job.results == {name: Result(True) for name in NINE}
        assert sorted(center.ran()) == sorted(NINE), "each once"
        rounds = {effect.step: round((effect.at - center.effects[0].at) / STEP_SECONDS) for effect in center.effects}
        assert rounds == {step: (int(step) - 1) // 3 for step in NINE}, "what needs nothing more begins at once"
        assert {effect.step: effect.host for effect in center.effects if effect.step in "46"} == {
            "4": "one",
            "6": "two",
        }


def test_when_the_fourth_task_fails_so_do_its_dependants_and_the_rest_is_done():
    steps = NINE_STEPS | {"4": msgspec.structs.replace(NINE_STEPS["4"], function="fail")}
    with JobCenter(steps) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        holds_what_was_promised(center, job, steps)
        assert job.state is WorkState.FAILED
        assert sorted(center.ran()) == ["1", "2", "3", "5", "6", "8"]
        assert {name: result.why for name, result in job.results.items() if not result.ok} == dict.fromkeys(
            "479", "4 will not"
        )
        assert center.work(f"{job.id}/4").state is WorkState.FAILED
        assert center.work(f"{job.id}/7") is None, "what cannot begin never becomes a task"


def test_a_job_without_steps_is_done_and_locks_nothing():
    with JobCenter({}) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert (job.state, center.all(Lock)) == (WorkState.DONE, [])


def test_a_job_whose_steps_wait_for_each_other_fails_and_locks_nothing():
    with JobCenter({"x": Step(function="do", needs=("y",)), "y": Step(function="do", needs=("x",))}) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert job.state is WorkState.FAILED
        assert "wait for each other" in job.results["request"].why
        assert center.locked() == []


def test_a_job_that_names_a_resource_twice_is_refused():
    with JobCenter() as center:
        (job,) = center.finish(center.submit(EACH, "a", "a"))
        assert job.results == {"request": Result(False, "a resource is named twice")}


def test_an_unknown_operation_is_refused_before_anything_is_stored():
    with JobCenter() as center:
        with pytest.raises(Refused, match=r"unknown operation vm\.fly"):
            center.submit("vm.fly", "a")
        assert center.all(Work) == []


def test_a_worker_executes_no_more_at_once_than_it_has_units():
    steps = {str(n): Step(function="do", host="one") for n in range(UNITS_PER_HOST + 20)}
    with JobCenter(steps) as center:
        center.finish(center.submit(DAG, "a"))
        assert center.most == UNITS_PER_HOST - RESERVED_UNITS
        assert sorted(center.ran()) == sorted(steps)
