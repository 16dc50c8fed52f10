"""Poison: work that nobody can do ends as failed with an alarm, and blocks nobody."""

from functools import partial

import msgspec
import pytest

from ave.errors import Refused
from ave.jobs.verb import Split, TaskKind, Verb
from ave.jobs.worker import ALONE, ATTEMPTS_MAX
from ave.model.alarm import Alarm
from ave.model.vm import VM
from ave.model.work import LEAD, Plan, Result, Step, Urgency, Work, WorkState
from ave.ports.store import Change, Insert
from tests.unit.jobs.center import DAG, EACH, HOSTS, JobCenter, nothing_is_left

FAILED, DONE = WorkState.FAILED, WorkState.DONE
LIMIT = 200.0


def bug(*_: object) -> Split:
    raise ValueError("a bug")


def others_go_on(center: JobCenter) -> None:
    jobs = [center.submit(EACH, name, lane=host) for name, host in zip("bcd", HOSTS, strict=True)]
    assert {job.state for job in center.finish(*jobs, limit=10.0)} == {DONE}


def is_given_up(center: JobCenter, work: str, why: str) -> None:
    (alarm,) = center.all(Alarm)
    assert alarm.id == f"poison/{work}"
    assert why in alarm.what
    assert alarm.raised > 0
    nothing_is_left(center)


def test_a_function_with_a_bug_is_tried_five_times():
    tries: list[str] = []

    async def boom(ports, task):
        tries.append(task.id)
        raise ValueError("a bug")

    with JobCenter({"x": Step(function="boom", resource="x")}, kinds={"boom": TaskKind(function=boom)}) as center:
        job = center.submit(DAG, "a")
        others_go_on(center)
        (ended,) = center.finish(job, limit=LIMIT)
        assert (ended.state, ended.results) == (FAILED, {"x": Result(False, "ValueError: a bug")})
        assert len(tries) == ATTEMPTS_MAX
        is_given_up(center, f"{job}/x", "(boom) was given up: ValueError: a bug")


def test_a_function_that_ends_its_worker_is_begun_five_times():
    with JobCenter({"x": Step(function="kill", resource="x", host="one")}) as center:
        job = center.submit(DAG, "a", lane="two")
        (ended,) = center.finish(job, limit=LIMIT)
        why = f"it was begun {ATTEMPTS_MAX} times and came to no end"
        assert (ended.state, ended.results) == (FAILED, {"x": Result(False, why)})
        center.run_on(3.0)
        assert sorted(center.processes) == sorted(HOSTS)
        assert [event for event, fields in center.told].count("work recovered") == ATTEMPTS_MAX
        others_go_on(center)
        is_given_up(center, f"{job}/x", why)


@pytest.mark.parametrize("phase", ["resources", "split"])
def test_a_verb_with_a_bug_fails_its_job_and_the_next_of_its_queue_begins(phase):
    verb = Verb(
        operation=DAG,
        resources=bug if phase == "resources" else lambda request: ((VM, "a"),),  # type: ignore[arg-type]
        split=bug,
    )
    with JobCenter(verbs=[verb]) as center:
        job, behind = center.submit(DAG, "a", flag="ha"), center.submit(EACH, "a", flag="ha")
        others_go_on(center)
        ended, last = center.finish(job, behind, limit=LIMIT)
        assert (ended.state, ended.results) == (FAILED, {"request": Result(False, "ValueError: a bug")})
        assert last.state is DONE
        is_given_up(center, job, "ValueError: a bug")


def test_a_verb_that_refuses_the_request_before_it_has_named_a_resource_is_no_poison():
    def refuse(request):
        raise Refused("not today")

    with JobCenter(verbs=[Verb(operation=DAG, resources=refuse, split=bug)]) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=2.0)
        assert job.results == {"request": Result(False, "not today")}
        assert center.alarms() == []


def test_a_verb_whose_writes_never_hold_is_given_up_too():
    there = VM(id="v", vcpus=1, memory_mib=1)
    verb = Verb(
        operation=DAG, resources=lambda request: (), split=lambda request, found: Split(writes=(Insert(there),))
    )
    with JobCenter(verbs=[verb]) as center:
        center.put(there)
        job = center.submit(DAG, "a")
        others_go_on(center)
        assert center.finish(job, limit=LIMIT)[0].state is FAILED
        assert center.alarms() == [f"poison/{job}"]
        nothing_is_left(center)


def stored(center: JobCenter, **fields: object) -> str:
    """A Job that no submit would have let through."""
    job = Work(id="bad", job="bad", function=LEAD, lane="one", operation=EACH)
    center.put(msgspec.structs.replace(job, **fields))
    return "bad"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"arguments": {"vms": 7}}, "its arguments are not those of vm.delete"),
        ({"arguments": {}}, "its arguments are not those of vm.delete"),
        ({"operation": "vm.fly"}, "one does not know the operation vm.fly"),
        ({"operation": "vm.suspend"}, "one does not know the operation vm.suspend"),
    ],
)
def test_a_stored_job_that_makes_no_sense_fails_with_an_alarm(fields, why):
    with JobCenter() as center:
        job = stored(center, **fields)
        others_go_on(center)
        (ended,) = center.finish(job, limit=LIMIT)
        assert ended.state is FAILED
        assert why in ended.results["request"].why
        is_given_up(center, job, why)


def test_a_function_that_nobody_knows_fails_with_an_alarm_and_is_undone_as_far_as_known():
    with JobCenter({"x": Step(function="fly", resource="x", host="one", undo="undo")}) as center:
        job = center.submit(DAG, "a", lane="two")
        (ended,) = center.finish(job, limit=LIMIT)
        assert ended.results == {"x": Result(False, "one does not know how to do fly")}
        is_given_up(center, f"{job}/x", "one does not know how to do fly")


def test_work_is_given_up_although_the_alarm_is_there_already():
    """A Job's id may come back after the Job is forgotten; alarms are kept for longer."""
    with JobCenter({"x": Step(function="boom", resource="x")}) as center:
        old = [Alarm(id="poison/again", what="old"), Alarm(id="poison/mine/x", what="old")]
        for alarm in old:
            center.put(alarm)
        stored(center, id="again", job="again", operation="vm.fly")
        center.submit(DAG, "a", id="mine")
        assert {job.state for job in center.finish("again", "mine", limit=LIMIT)} == {FAILED}
        assert len(center.all(Alarm)) == 2
        assert all(alarm.what != "old" and alarm.raised > 0 for alarm in center.all(Alarm))
        nothing_is_left(center)


def test_a_step_for_which_nobody_found_a_place_fails_and_not_the_workers():
    steps = {
        "place": Step(function="do", resource="p"),
        "start": Step(function="do", resource="s", fact="nowhere", needs=("place",)),
    }
    with JobCenter(steps) as center:
        (job,) = center.finish(center.submit(DAG, "a"), limit=20.0)
        assert job.results == {"p": Result(True), "s": Result(False, "nobody said where start shall run")}
        nothing_is_left(center)


def test_a_task_that_is_poison_and_cancelled_ends():
    """The worker hands it back while its user cancels it; somebody still has to have it."""
    for number in range(12):
        with JobCenter({"x": Step(function="boom", resource="x")}, seed=number) as center:
            job = center.submit(DAG, "a")
            center.until(partial(center.running, f"{job}/x"))
            center.run_on(0.3 * number)
            center.cancel(job)
            (ended,) = center.finish(job, limit=60.0)
            assert ended.state is WorkState.CANCELLED or ended.results["x"].ok is False
            nothing_is_left(center)


def test_as_much_poison_as_there_are_units_still_lets_urgent_work_through():
    steps = {f"{n:03}": Step(function="boom", resource=str(n), host="one") for n in range(120)}
    with JobCenter(steps) as center:
        job = center.submit(DAG, "a", lane="two")
        center.until(lambda: center.busy("one") >= 80)
        (urgent,) = center.finish(center.submit(EACH, "b", lane="one", urgency=Urgency.RESCUE), limit=5.0)
        assert urgent.state is DONE
        center.finish(job, limit=LIMIT)
        assert len(center.alarms()) == len(steps)
        nothing_is_left(center)


def test_scheduled_work_with_a_bug_is_not_repeated_and_is_one_alarm_however_often_it_comes():
    tries: list[str] = []

    async def boom(ports, task):
        tries.append(task.job)
        raise ValueError("a bug")

    verb = Verb(
        operation="jobs.clean-up",
        resources=lambda request: (),
        split=lambda request, found: Split(steps={"x": Step(function="boom")}),
    )
    with JobCenter(verbs=[verb], kinds={"boom": TaskKind(function=boom)}) as center:
        for number in range(3):
            (job,) = center.finish(center.submit("jobs.clean-up", id=f"jobs.clean-up@{number}"), limit=30.0)
            assert (job.state, job.results) == (FAILED, {"x": Result(False, "ValueError: a bug")})
        assert tries == [f"jobs.clean-up@{number}" for number in range(3)]
        assert center.alarms() == ["poison/jobs.clean-up"]
        nothing_is_left(center)


def test_a_bug_in_a_job_of_one_worker_leaves_every_process_running():
    steps = {str(n): Step(function=("boom", "kill", "fail", "do")[n % 4], resource=str(n)) for n in range(16)}
    with JobCenter(steps) as center:
        job = center.submit(DAG, "a")
        (ended,) = center.finish(job, limit=3 * LIMIT)
        assert not any(ended.results[str(n)].ok for n in range(16) if n % 4 != 3)
        center.run_on(5.0)
        others_go_on(center)
        assert len(center.alarms()) >= 8
        nothing_is_left(center)


@pytest.mark.parametrize("seconds", [0.5, 20.0])
def test_those_who_are_lost_with_a_poisoned_worker_are_not_given_up_with_it(seconds):
    steps = {f"victim {n}": Step(function="do", resource=str(n), host="one") for n in range(6)}
    steps |= {f"killer {n}": Step(function="kill", resource="k", host="one") for n in range(2)}
    with JobCenter(steps, seconds=seconds) as center:
        job = center.submit(DAG, "a", lane="two")
        (ended,) = center.finish(job, limit=5 * LIMIT)
        assert {name for name, result in ended.results.items() if not result.ok} == {"k"}
        assert sorted(center.alarms()) == [f"poison/{job}/killer {n}" for n in range(2)]
        nothing_is_left(center)


def test_a_task_that_changes_all_the_time_while_it_is_handed_back_is_handed_back():
    """Whoever loses a race for its document still holds it, and has to try again."""
    with JobCenter({"x": Step(function="boom", resource="x", host="one")}) as center:
        job = center.submit(DAG, "a", lane="two")
        task = f"{job}/x"
        center.until(lambda: center.running(task))

        def touch() -> None:
            if center.running(task):
                center.store.ledger.commit([Change(Work, task, {}, {"stop": False})], center.store.now())

        for number in range(2500):
            center.at(center.world.now + 0.0015 * number, touch)
        (ended,) = center.finish(job, limit=45.0)
        assert ended.state is FAILED
        nothing_is_left(center)


def test_a_job_whose_end_is_too_large_with_its_reason_ends_without_its_results():
    results = {f"{n:0>50}": Result(True) for n in range(50)}
    plan = Plan(steps={}, submitted=(), results=results, total=50, ended=50)
    job = Work(id="bad", job="bad", function=LEAD, lane="one", operation=EACH, attempt=ALONE, plan=plan)
    with JobCenter(largest=len(msgspec.json.encode(job)) + 50) as center:
        center.put(job)
        (ended,) = center.finish("bad", limit=5.0)
        assert ended.state is FAILED
        assert list(ended.results) == ["request"]
        assert center.alarms() == ["poison/bad"]
        nothing_is_left(center)
