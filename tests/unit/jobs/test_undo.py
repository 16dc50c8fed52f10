"""Undo: what a task may have done is taken back, once, if it did not come to its end."""

from itertools import pairwise

import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.jobs.verb import TaskKind
from ave.model.vm import VM, VMState
from ave.model.work import Result, Step, WorkState
from tests.unit.jobs.center import DAG, JobCenter, nothing_is_left


def undone(function: str, undo: str = "undo", host: str = "one") -> JobCenter:
    return JobCenter({"x": Step(function=function, resource="x", host=host, undo=undo)})


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("fail", "x will not"),
        ("stuck", "stuck did not end within 5 s"),
        ("unavailable", "Unavailable: not now"),
        ("boom", "ValueError: a bug"),
    ],
)
def test_a_task_that_fails_is_undone_once_where_it_ran(function, why):
    with undone(function) as center:
        (job,) = center.finish(center.submit(DAG, "a", lane="two"))
        assert (job.state, job.results) == (WorkState.FAILED, {"x": Result(False, why)})
        assert center.undone == ["undo/x"]
        assert center.work(f"{job.id}/undo/x").lane == "one"
        assert job.plan is not None
        assert job.plan.progress == 1.0
        nothing_is_left(center)


def test_a_task_that_succeeded_is_not_undone_although_its_job_fails():
    steps = {
        "good": Step(function="do", resource="good", undo="undo"),
        "bad": Step(function="fail", resource="bad", needs=("good",)),
    }
    with JobCenter(steps) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert job.state is WorkState.FAILED
        assert center.undone == []


def test_a_task_that_nobody_began_is_not_undone():
    steps = {
        "bad": Step(function="fail", resource="bad"),
        "never": Step(function="do", resource="never", needs=("bad",), undo="undo"),
    }
    with JobCenter(steps) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert job.state is WorkState.FAILED
        assert center.undone == []


def test_a_task_that_was_never_claimed_is_cancelled_and_not_undone():
    with undone("stoppable") as center:
        center.kill("one")
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.work(f"{job}/x") is not None)
        center.cancel(job)
        assert center.finish(job)[0].state is WorkState.CANCELLED
        assert center.undone == []


def test_the_dependants_of_what_is_undone_never_begin():
    steps = {
        "bad": Step(function="fail", resource="bad", undo="undo"),
        "after": Step(function="do", resource="after", needs=("bad",)),
    }
    with JobCenter(steps) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert (center.ran(), center.undone) == ([], ["undo/bad"])
        assert job.results == dict.fromkeys(("bad", "after"), Result(False, "bad will not"))


@pytest.mark.parametrize(
    ("undo", "why"),
    [("fail", "undo/x will not"), ("stuck", "stuck did not end within 5 s"), ("boom", "ValueError: a bug")],
)
def test_an_undo_that_fails_itself_is_said_in_the_result_and_tried_no_more(undo, why):
    with undone("fail", undo) as center:
        (job,) = center.finish(center.submit(DAG, "a", lane="two"))
        assert job.results == {
            "x": Result(False, f"x will not; what it had done could not be undone: {why}", left=True)
        }
        assert center.work(f"{job.id}/undo/undo/x") is None
        nothing_is_left(center)


@pytest.mark.parametrize(("undo", "left"), [("undo", ""), ("fail", "two")])
def test_room_is_given_back_when_all_is_undone_and_left_to_its_host_when_it_is_not(undo, left):
    """Something may still be there: only its host can tell when it is gone."""
    with JobCenter({"x": Step(function="fail", resource="a", host="one", undo=undo)}) as center:
        center.put(VM(id="a", vcpus=1, memory_mib=512, state=VMState.STOPPED, reserved="two"))
        center.finish(center.submit(DAG, "a", lane="two"))
        (vm,) = center.all(VM)
        assert vm.reserved == left


def test_an_undo_of_what_has_no_resource_is_told_under_the_name_of_the_step():
    with JobCenter({"x": Step(function="fail", undo="fail")}) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert job.state is WorkState.FAILED
        assert job.results == {
            "x": Result(False, "x will not; what it had done could not be undone: undo/x will not", left=True)
        }


def test_an_undo_on_a_host_that_is_gone_fails_and_does_not_wait_for_ever():
    with undone("stoppable") as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.running(f"{job}/x"))
        center.run_on(1.0)
        center.kill("one")
        (ended,) = center.finish(job)
        assert "could not be undone: one does not answer" in ended.results["x"].why
        assert center.locked() == []


@pytest.mark.parametrize("trouble", [Unavailable("away"), UnknownOutcome("lost")])
def test_a_task_that_succeeds_at_a_later_try_is_not_undone(trouble):
    tries: list[float] = []

    async def flaky(ports, task):
        tries.append(ports.runtime.now())
        if len(tries) < 4:
            raise trouble

    with JobCenter(
        {"x": Step(function="flaky", resource="x", undo="undo")}, kinds={"flaky": TaskKind(function=flaky)}
    ) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert (job.state, center.undone) == (WorkState.DONE, [])
        pauses = [later - earlier for earlier, later in pairwise(tries)]
        assert [0.5 * 2**n * 0.5 <= pause <= 0.5 * 2**n * 1.5 for n, pause in enumerate(pauses)] == [True] * 3


def test_undo_runs_once_effectively_however_often_its_worker_dies():
    for moment in (0.05, 0.2, 0.4):
        with undone("fail") as center:
            job = center.submit(DAG, "a", lane="two")
            center.until(lambda: center.running(f"{job}/undo/x"))  # noqa: B023 - called at once
            center.run_on(moment)
            center.kill("one")
            center.launch("one")
            center.finish(job)
            assert center.undone == ["undo/x"]
            nothing_is_left(center)


def test_what_fails_in_a_group_is_undone_in_that_group_and_counted_once():
    groups = {n: {"x": Step(function="fail" if n == "bad" else "do", resource=n, undo="undo")} for n in ("bad", "good")}
    with JobCenter({}, groups=groups) as center:
        (job,) = center.finish(center.submit(DAG, "a"))
        assert job.results == {"bad": Result(False, "x will not"), "good": Result(True)}
        assert center.undone == ["undo/x"]
        assert job.plan is not None
        assert (job.plan.total, job.plan.ended) == (2, 2)
        nothing_is_left(center)
