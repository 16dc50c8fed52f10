"""Locks: all of a Job's resources or none, in order, and never one that is left behind."""

import pytest

from ave.jobs.locks import QUEUE_MAX
from ave.jobs.verb import TaskKind
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, OnConflict, Result, Step, WorkState
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    JobCenter,
)


def test_a_job_waits_for_the_lock_that_another_holds_and_says_for_whom():
    with JobCenter() as center:
        first, second = center.submit(EACH, "a"), center.submit(EACH, "a", "b")
        center.until(lambda: center.work(second).waits == "vm/a")
        assert center.work(second).state is WorkState.QUEUED
        assert center.work(second).story[-1].endswith(f"waiting for Job {first}, which holds vm/a")
        assert center.locked() == ["vm/a"], "who waits holds nothing"
        jobs = center.finish(first, second)
        assert [job.state for job in jobs] == [WorkState.DONE, WorkState.DONE]
        assert center.ran(first) == ["a"]
        assert sorted(center.ran(second)) == ["a", "b"]
        assert center.order() == [first, second]
        assert center.locked() == []


LONG = {
    f"b{number}": Step(function="do", resource="b", needs=(f"b{number - 1}",) * (number > 0)) for number in range(8)
}


def test_what_a_job_is_done_with_is_free_while_it_goes_on():
    with JobCenter({"a": Step(function="do", resource="a"), **LONG}) as center:
        first = center.submit(DAG, "a", "b")
        center.until(lambda: center.locked() == ["vm/a", "vm/b"])
        second = center.submit(EACH, "a")
        center.until(lambda: center.work(second).waits == "vm/a")
        center.finish(second)
        assert center.work(first).state is WorkState.WAITING, "it waits for b's steps"
        assert (center.locked(), center.plan(first).tokens) == (["vm/b"], {"vm/b": 1})
        assert [job.state for job in center.finish(first)] == [WorkState.DONE]
        assert (center.locked(), center.late) == ([], [])


def test_what_failed_in_a_job_that_goes_on_gives_its_room_back():
    steps = {"a": Step(function="fail", resource="a", undo="undo"), **LONG}
    with JobCenter(steps) as center:
        center.put(VM(id="a", vcpus=1, memory_mib=1, reserved="two"))
        job = center.submit(DAG, "a", "b")
        center.until(lambda: center.locked() == ["vm/b"])
        assert center.undone == ["undo/a"], "its lock is held until that is done"
        (vm,) = center.all(VM)
        assert (vm.reserved, center.work(job).state) == ("", WorkState.WAITING)
        (ended,) = center.finish(job)
        assert [(name, result.ok) for name, result in sorted(ended.results.items())] == [("a", False), ("b", True)]


@pytest.mark.parametrize(
    "steps",
    [
        {"all": Step(function="do", needs=("b7",))},
        {"a2": Step(function="do", resource="a", needs=("b7",))},
    ],
    ids=["for-no-one", "for-it"],
)
def test_what_something_to_come_may_be_about_stays_locked(steps):
    with JobCenter({"a": Step(function="do", resource="a"), **LONG, **steps}) as center:
        job = center.submit(DAG, "a", "b")
        center.until(lambda: len(center.effects) == 5)
        assert center.locked() == ["vm/a", "vm/b"]
        center.finish(job)
        assert center.locked() == []


def test_jobs_get_a_lock_in_the_order_in_which_they_asked_for_it():
    with JobCenter() as center:
        jobs = []
        for number in range(6):
            jobs.append(center.submit(EACH, "a", door=HOSTS[number % 3]))
            center.until(lambda: jobs[-1] in center.began or center.work(jobs[-1]).waits == "vm/a")
        center.finish(*jobs, limit=20.0)
        assert center.order() == jobs
        assert center.most == 1


def test_jobs_with_crossed_resources_all_run():
    with JobCenter() as center:
        jobs = [center.submit(EACH, *names) for names in ("ab", "ba", "bc", "cb", "ca", "ac")]
        center.finish(*jobs)
        assert {center.work(job).state for job in jobs} == {WorkState.DONE}
        assert center.locked() == []


def test_a_job_that_shall_fail_on_a_conflict_names_the_holder_and_leaves_no_lock():
    with JobCenter() as center:
        first = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        (second,) = center.finish(center.submit(EACH, "a", "b", on_conflict=OnConflict.FAIL), limit=2.0)
        assert second.state is WorkState.FAILED
        assert second.results == {"a": Result(False, f"vm/a is locked by {first}")}
        assert center.locked() == ["vm/a"]
        center.finish(first)
        assert center.ran() == ["a"]


@pytest.mark.parametrize("on_conflict", [OnConflict.FAIL, OnConflict.SKIP])
def test_a_job_that_finds_a_vm_locked_leaves_its_room_to_who_holds_it(on_conflict):
    with JobCenter() as center:
        center.put(VM(id="a", vcpus=1, memory_mib=512, state=VMState.STOPPED, reserved="two"))
        first = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        center.finish(center.submit(EACH, "a", "b", on_conflict=on_conflict), limit=2.0)
        (vm,) = center.all(VM)
        assert vm.reserved == "two"
        center.finish(first)


def test_a_job_that_shall_skip_on_a_conflict_leaves_that_resource_out():
    with JobCenter() as center:
        first = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        (second,) = center.finish(center.submit(EACH, "a", "b", on_conflict=OnConflict.SKIP), limit=2.0)
        assert second.results == {"a": Result(False, f"vm/a is locked by {first}"), "b": Result(True)}
        assert center.ran(second.id) == ["b"]
        center.finish(first)
        assert center.locked() == []


def test_a_later_holder_of_a_lock_has_a_larger_token():
    with JobCenter() as center:
        jobs = [center.submit(EACH, "a") for _ in range(3)]
        center.finish(*jobs)
        tokens = {effect.job: center.work(f"{effect.job}/a").tokens["vm/a"] for effect in center.effects}
        assert list(tokens.values()) == sorted(set(tokens.values()))


def test_a_lock_that_too_many_wait_for_refuses_the_next():
    with JobCenter(seconds=30.0) as center:
        jobs = [center.submit(EACH, "a") for _ in range(QUEUE_MAX + 2)]
        center.until(lambda: any(center.work(job).state in ENDED for job in jobs), limit=20.0)
        (refused,) = [job for job in map(center.work, jobs) if job.state in ENDED]
        assert f"{QUEUE_MAX} Jobs already wait for it: try again later" in refused.results["request"].why


CYCLE = {"x": Step(function="do", needs=("y",)), "y": Step(function="do", needs=("x",))}


@pytest.mark.parametrize("steps", [{}, CYCLE], ids=["has nothing to do", "is refused"])
def test_who_waits_behind_a_job_that_in_its_turn_does_not_take_the_lock_does_not_wait_for_a_sweep(steps):
    with JobCenter(steps) as center:
        first = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        in_between = center.submit(DAG, "a")
        center.until(lambda: center.work(in_between).waits == "vm/a")
        last = center.submit(EACH, "a")
        center.until(lambda: center.work(last).waits == "vm/a")
        center.finish(first, in_between)
        center.finish(last, limit=5.0)


async def long(ports, task):
    await ports.runtime.sleep(60.0)


def test_who_waits_behind_a_job_that_in_its_turn_must_wait_for_another_lock_does_not_wait_for_a_sweep():
    with JobCenter({"long": Step(function="long")}, seconds=2.0, kinds={"long": TaskKind(function=long)}) as center:
        first = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        both = center.submit(EACH, "a", "b")
        center.until(lambda: center.work(both).waits == "vm/a")
        behind = center.submit(EACH, "a")
        center.until(lambda: center.work(behind).waits == "vm/a")
        center.world.advance(center.world.now + 0.5)
        other = center.submit(DAG, "b")
        center.finish(first)
        center.finish(behind, limit=2.5)
        assert center.work(other).state is not WorkState.DONE
        center.finish(both, other)
        assert center.locked() == []
