"""Job Recovery, rule by rule, and what stands still although nothing holds it."""

from functools import partial

import msgspec
import pytest

from ave.jobs.crew import Crew
from ave.jobs.handover import STILL_SECONDS
from ave.jobs.mend import RECOVER, RECOVER_VERB, recover
from ave.jobs.recovery import LEASE_SECONDS, SWEEP_SECONDS, UNCLAIMED_SECONDS
from ave.jobs.submit import submit
from ave.model.cluster import JobQueue, Lock
from ave.model.work import ENDED, LEAD, Plan, Result, Step, Work, WorkState
from ave.operations import Nothing
from tests.unit.jobs.center import DAG, EACH, HOSTS, NINE_STEPS, JobCenter, holds_what_was_promised, nothing_is_left

DONE, FAILED = WorkState.DONE, WorkState.FAILED
J6_SECONDS = 15.0  # from the end of the last task to the end of its Job, at most
GONE_SECONDS = LEASE_SECONDS + 2 * SWEEP_SECONDS  # until a silent host is known to be


def stored(center: JobCenter, id: str = "bad", **fields: object) -> str:
    job = Work(id=id, job=id, function=LEAD, lane="one", operation=EACH, arguments={"vms": ["a"]})
    center.put(msgspec.structs.replace(job, **fields))
    return id


# A handler that is gone, and work that nobody claims


@pytest.mark.parametrize("handler", ["one-of-an-earlier-start", "nobody", ""])
def test_what_a_handler_that_is_gone_holds_goes_back(handler):
    with JobCenter() as center:
        job = stored(center, state=WorkState.RUNNING, handler=handler, attempt=1)
        (ended,) = center.finish(job, limit=2 * SWEEP_SECONDS + 5.0)
        assert ended.state is DONE
        assert "running -> ready: its worker is gone" in ended.story
        nothing_is_left(center)


def test_a_job_in_the_lane_of_a_host_that_never_came_goes_to_another_after_five_minutes():
    with JobCenter() as center:
        job = stored(center, lane="nowhere", submitted=center.store.now())
        center.run_on(UNCLAIMED_SECONDS - SWEEP_SECONDS)
        assert center.work(job).state is WorkState.READY
        (ended,) = center.finish(job, limit=3 * SWEEP_SECONDS + 5.0)
        assert (ended.state, ended.lane in HOSTS) == (DONE, True)


def test_a_task_that_is_bound_to_a_host_that_never_came_fails_after_five_minutes():
    with JobCenter({"x": Step(function="do", resource="x", host="nowhere")}) as center:
        job = center.submit(DAG, "a")
        (ended,) = center.finish(job, limit=UNCLAIMED_SECONDS + 3 * SWEEP_SECONDS)
        assert ended.results == {"x": Result(False, "nowhere has no worker")}
        assert center.world.now > UNCLAIMED_SECONDS
        nothing_is_left(center)


def test_a_job_in_the_lane_of_a_silent_host_goes_to_another():
    with JobCenter() as center:
        center.kill("one")
        job = center.submit(EACH, "a", lane="one")
        (ended,) = center.finish(job, limit=GONE_SECONDS + 5.0)
        assert (ended.state, ended.lane != "one") == (DONE, True)


def test_a_busy_host_is_not_a_silent_one():
    with JobCenter({"x": Step(function="do", resource="x", host="one")}, seconds=10 * LEASE_SECONDS) as center:
        job = center.submit(DAG, "a", lane="two")
        (ended,) = center.finish(job, limit=20 * LEASE_SECONDS)
        assert ended.state is DONE
        assert center.work(f"{job}/x").attempt == 1


def test_many_sweepers_make_no_message_twice():
    """Each master finds the same lost work at about the same time; it goes back once."""
    for seed in range(8):
        with JobCenter(seed=seed) as center:
            for number in range(20):
                stored(
                    center, f"j-{number}", state=WorkState.RUNNING, handler="gone", arguments={"vms": [f"v{number}"]}
                )
            center.finish(*(f"j-{number}" for number in range(20)))
            assert sorted(center.ran()) == sorted(f"v{number}" for number in range(20))
            assert {center.work(f"j-{number}").version for number in range(20)} == {7}, "back, two phases, and no more"


def test_work_that_nobody_can_take_over_does_not_hinder_the_rest():
    """Every host but the one that is lost is offline: what waits for a host waits, what can be mended is."""
    from ave.model.host import Host, HostState
    from ave.ports.store import Change

    with JobCenter() as center:
        center.run_on(15.0)
        stored(center, "lost", lane="nowhere", submitted=center.store.now() - 2 * UNCLAIMED_SECONDS)
        parked = stored(center, "parked", state=WorkState.QUEUED, waits="vm/z", arguments={"vms": ["z"]})
        for host in HOSTS:
            center.store.ledger.commit([Change(Host, host, {}, {"state": HostState.UNMANAGED})], 0.0)
        center.until(lambda: center.work(parked).state is not WorkState.QUEUED, limit=30.0)


# All ended but open


def test_a_job_whose_tasks_have_all_ended_goes_back_to_its_leader():
    with JobCenter() as center:
        plan = Plan(steps={"x": Step(function="do", resource="x")}, submitted=("x",), total=1)
        job = stored(center, state=WorkState.WAITING, plan=plan, lane="nowhere")
        center.put(Work(id="bad/x", job=job, parent=job, step="x", function="do", lane="one", state=DONE))
        center.until(lambda: center.work(job).state is not WorkState.WAITING, limit=3 * SWEEP_SECONDS)
        assert center.plan(job).results == {"x": Result(True)}


def test_an_open_job_without_anything_to_do_goes_back_to_its_leader():
    with JobCenter() as center:
        job = stored(center, state=WorkState.WAITING, plan=Plan(steps={}, submitted=(), total=0))
        assert center.finish(job, limit=3 * SWEEP_SECONDS)[0].state is DONE


TWO_AT_ONCE = {
    "a": Step(function="do", resource="a", host="one"),
    "b": Step(function="do", resource="b", host="two"),
}


def unfolded(center: JobCenter, job: str) -> list[str]:
    """Steps whose end is recorded and not folded."""
    carrier = center.work(job)
    steps = carrier.plan.steps if carrier.plan is not None else {}
    return [step for step in steps if (task := center.work(f"{job}/{step}")) is not None and task.state is DONE]


@pytest.mark.parametrize("again", [1.0, None], ids=["relaunched", "left dead"])
def test_a_hand_over_that_is_lost_between_the_end_of_a_task_and_its_fold_is_made_by_another(again):
    """Two tasks end at once, so one is recorded alone; and whoever would fold it dies exactly there."""
    lost = 0
    for seed in range(20):
        with JobCenter(TWO_AT_ONCE, seed=seed) as center:
            job = center.submit(DAG, "a", lane="three")
            center.until(lambda: bool(unfolded(center, job)) or center.work(job).state in ENDED)  # noqa: B023
            if center.work(job).state in ENDED:
                continue
            lost += 1
            recorded, began = unfolded(center, job), center.world.now
            for host in ("one", "two"):
                center.kill(host)
                if again is not None:
                    center.at(began + again, partial(center.launch, host))
            center.until(lambda: not set(recorded) & set(unfolded(center, job)), limit=J6_SECONDS)  # noqa: B023
            all_ended = len(recorded) + (2 - len(center.plan(job).steps)) >= 2
            center.finish(job, limit=J6_SECONDS if all_ended else 2 * GONE_SECONDS)
            assert center.locked() == []
    assert lost > 3, "there were lost hand-overs"


@pytest.mark.parametrize("lane", ["one", "three"])
def test_a_lost_hand_over_is_made_within_fifteen_seconds_wherever_the_job_lives(lane):
    with JobCenter() as center:
        center.run_on(12.0)
        plan = Plan(steps={"x": Step(function="do", resource="x")}, submitted=("x",), total=1)
        task = Work(id="bad/x", job="bad", parent="bad", step="x", function="do", lane="two", state=DONE)
        center.kill("one")
        center.put(task)
        stored(center, state=WorkState.WAITING, plan=plan, lane=lane)
        limit = STILL_SECONDS + 1.0 if lane == "three" else J6_SECONDS
        center.until(lambda: center.work("bad").state is WorkState.READY or center.plan("bad").steps == {}, limit)


def test_a_lost_hand_over_of_a_group_is_made_too():
    with JobCenter() as center:
        step = Step(function="do", resource="x")
        outer = Plan(steps={"group/g": Step(function="group")}, submitted=("group/g",), total=1)
        inner = Plan(steps={"x": step}, submitted=("x",), total=1)
        center.put(
            Work(id="bad/group/g/x", job="bad", parent="bad/group/g", step="x", function="do", lane="two", state=DONE)
        )
        stored(
            center,
            "bad/group/g",
            job="bad",
            parent="bad",
            step="group/g",
            function="group",
            state=WorkState.WAITING,
            plan=inner,
        )
        stored(center, state=WorkState.WAITING, plan=outer)
        (job,) = center.finish("bad", limit=J6_SECONDS)
        assert job.results == {"x": Result(True)}


# Locks and queues


def ask_for_recovery(center: JobCenter) -> None:
    center.ask(recover(center.ports(), Work(id="r", job="r", function=RECOVER, lane="two")))


@pytest.mark.parametrize("job", ["ended", "never was"])
def test_a_lock_without_a_job_is_freed_and_who_waits_for_it_woken(job):
    with JobCenter() as center:
        stored(center, "ended", state=DONE, finished=1.0)
        center.put(Lock(id="vm/a", job=job))
        waiting = center.submit(EACH, "a")
        center.until(lambda: center.work(waiting).waits == "vm/a")
        ask_for_recovery(center)
        assert center.finish(waiting, limit=5.0)[0].state is DONE
        nothing_is_left(center)


def test_a_lock_of_a_job_that_runs_is_left_alone():
    with JobCenter(seconds=20.0) as center:
        job = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        ask_for_recovery(center)
        assert center.locked() == ["vm/a"]
        center.finish(job)


def test_a_wake_up_that_was_lost_is_given_at_the_next_sweep_but_one():
    with JobCenter() as center:
        job = stored(center, state=WorkState.QUEUED, waits="vm/a")
        assert center.finish(job, limit=3 * SWEEP_SECONDS)[0].state is DONE


def test_a_turn_that_was_lost_is_given_at_the_next_sweep_but_one():
    with JobCenter() as center:
        center.put(JobQueue(id="ha", running="gone", last=7, length=1))
        job = stored(center, state=WorkState.QUEUED, flag="ha", turn=7)
        assert center.finish(job, limit=3 * SWEEP_SECONDS)[0].state is DONE
        nothing_is_left(center)


def test_recovery_is_a_job_that_finds_nothing_in_a_healthy_job_center():
    with JobCenter(NINE_STEPS, verbs=[RECOVER_VERB], seconds=2.0) as center:
        job = center.submit(DAG, "a", flag="q")
        queued = [center.submit(EACH, name, flag="q") for name in "bc"]
        center.run_on(1.0)
        before = {work.id: work.version for work in center.all(Work)}
        ask_for_recovery(center)
        assert {work.id: work.version for work in center.all(Work)} == before
        ports = center.ports()
        recovery = center.ask(submit(ports, Crew(ports), RECOVER, Nothing(), flag=RECOVER))
        ended, *_ = center.finish(recovery, job, *queued)
        assert (ended.state, ended.results) == (DONE, {})
        holds_what_was_promised(center, center.work(job), NINE_STEPS)


def test_broken_documents_do_not_stop_the_sweep_nor_the_workers():
    """A plan whose submitted task is not there, a group without a Job, a queue that nobody made, a step of no plan."""
    with JobCenter() as center:
        plan = Plan(steps={"x": Step(function="do")}, submitted=("x",), total=1)
        stored(center, "no task", state=WorkState.WAITING, plan=plan)
        stored(
            center,
            "no job/group/g",
            job="no job",
            parent="no job",
            function="group",
            state=WorkState.WAITING,
            plan=plan,
        )
        stored(center, "no queue", state=WorkState.QUEUED, flag="nobody's")
        stored(center, "no plan", state=WorkState.WAITING)
        center.put(Work(id="orphan", job="no job", parent="no job", step="x", function="do", lane="one"))
        center.put(
            Work(
                id="no carrier",
                job="",
                function="do",
                lane="one",
                state=WorkState.WAITING,
                plan=Plan(steps={}, submitted=()),
            )
        )
        center.put(Work(id="no parent", job="", step="x", function="do", lane="two"))
        center.run_on(60.0)
        ask_for_recovery(center)
        assert sorted(center.processes) == sorted(HOSTS)
        jobs = [center.submit(EACH, name, lane=host) for name, host in zip("abc", HOSTS, strict=True)]
        assert {job.state for job in center.finish(*jobs, limit=5.0)} == {DONE}
