"""The Job Center on three simulated hosts that run workers and Job Recovery and nothing else, with verbs that only count."""

from functools import cache, partial
from random import Random

import msgspec
import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.crew import UNITS_PER_HOST
from ave.jobs.locks import QUEUE_MAX
from ave.jobs.recovery import LEASE_SECONDS, SWEEP_SECONDS
from ave.jobs.worker import CLAIM_MAX, RESERVED_UNITS
from ave.model.cluster import Handler, JobQueue, Lock
from ave.model.work import ENDED, OnConflict, Result, Step, Urgency, Work, WorkState
from drivers.sim.network import Plane
from drivers.sim.physics import ANSWER_SECONDS
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    NINE_STEPS,
    RECOVERED_SECONDS,
    STEP_SECONDS,
    JobCenter,
    holds_what_was_promised,
)
from tests.unit.jobs.test_dag import NINE

# A Job's life


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


# Locks


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
        assert center.ran() == ["a", "a", "b"]
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


def test_who_waits_behind_a_job_that_in_its_turn_must_wait_for_another_lock_does_not_wait_for_a_sweep():
    with JobCenter(seconds=2.0) as center:
        first = center.submit(EACH, "a")
        center.until(lambda: center.locked() == ["vm/a"])
        both = center.submit(EACH, "a", "b")
        center.until(lambda: center.work(both).waits == "vm/a")
        behind = center.submit(EACH, "a")
        center.until(lambda: center.work(behind).waits == "vm/a")
        center.world.advance(center.world.now + 0.5)
        other = center.submit(EACH, "b")
        center.finish(first)
        assert center.work(other).state is not WorkState.DONE
        center.finish(behind, limit=5.0)
        center.finish(both, other)
        assert center.locked() == []


# Job Queues and urgency


def test_jobs_of_one_flag_run_strictly_one_after_the_other_in_the_order_of_submission():
    with JobCenter() as center:
        jobs = [center.submit(EACH, name, flag="ha", door=HOSTS[n % 3]) for n, name in enumerate("abcdef")]
        assert [center.work(job).state is WorkState.QUEUED for job in jobs] == [False] + [True] * 5
        center.finish(*jobs)
        assert center.order() == center.began == jobs
        assert center.most == 1
        assert center.all(JobQueue)[0].running == ""


def test_a_job_queue_goes_on_after_a_job_of_it_failed():
    with JobCenter({"x": Step(function="fail", resource="x")}) as center:
        jobs = [center.submit(operation, "a", flag="ha") for operation in (DAG, EACH, DAG, EACH)]
        failed, done = WorkState.FAILED, WorkState.DONE
        assert [job.state for job in center.finish(*jobs)] == [failed, done, failed, done]


def test_job_queues_do_not_wait_for_each_other():
    with JobCenter() as center:
        jobs = [center.submit(EACH, name, flag=f"queue {name}") for name in "abc"]
        center.finish(*jobs)
        assert center.most == 3


def test_a_job_queue_keeps_its_order_when_an_election_sets_the_clock_of_the_store_back():
    with JobCenter(seconds=5.0) as center:
        jobs = [center.submit(EACH, "a", flag="ha"), center.submit(EACH, "b", flag="ha")]
        center.store._clock_offset = -60.0  # the new primary's clock: store time is not monotonic
        jobs.append(center.submit(EACH, "c", flag="ha"))
        center.finish(*jobs)
        assert center.order() == jobs


def test_an_urgent_job_goes_before_those_that_wait_for_a_worker():
    with JobCenter() as center:
        center.kill("one")
        jobs = [center.submit(EACH, str(number), lane="one") for number in range(CLAIM_MAX + 4)]
        urgent = center.submit(EACH, "urgent", lane="one", urgency=Urgency.RESCUE)
        center.launch("one")
        center.finish(*jobs, urgent)
        by_claim = sorted([*jobs, urgent], key=lambda job: (center.work(job).assigned, center.work(job).rank))
        assert by_claim == [urgent, *jobs]
        assert center.work(by_claim[CLAIM_MAX]).assigned > center.work(urgent).assigned, "there was a first claim"
        assert center.work(f"{urgent}/urgent").rank < center.work(f"{jobs[0]}/0").rank, "its tasks are urgent too"


# Workers that die


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


def befall(center: JobCenter, source: Random) -> None:
    """Workers die and start again, the store elects and loses answers, for a minute or so."""

    def flip(host: str) -> None:
        if host in center.processes:
            center.kill(host)
        else:
            center.launch(host)

    moment = center.world.now
    for _ in range(12):
        moment += 6.0 * source.random()
        what, host = source.random(), HOSTS[int(3 * source.random())]
        if what < 0.5:
            center.at(moment, partial(flip, host))
        elif what < 0.75:
            center.at(moment, center.store.step_down)
        else:
            center.at(moment, partial(setattr, center.store, "lost_answers", 0.4))
            center.at(moment + 4.0 * source.random(), partial(setattr, center.store, "lost_answers", 0.0))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_befalls_workers_and_store_every_job_ends_and_leaves_nothing_behind(seed):
    source = Random(seed)
    with JobCenter(NINE_STEPS, seed=seed) as center:
        jobs = []
        for number in range(8):
            names = {"abcd"[int(4 * source.random())]: None for _ in range(3)}
            on_conflict = list(OnConflict)[int(3 * source.random())]
            operation, flag = (DAG, EACH)[number % 2], ("", "", "ha")[number % 3]
            jobs.append(center.submit(operation, *names, flag=flag, on_conflict=on_conflict, lane=HOSTS[number % 3]))
        befall(center, source)
        center.world.advance(center.world.now + 80.0)
        for host in HOSTS:
            if host not in center.processes:
                center.launch(host)
        ended = center.finish(*jobs, limit=2 * RECOVERED_SECONDS)
        center.world.advance(center.world.now + 20.0)
        for job in ended:
            each = {name: Step(function="do") for name in center.ran(job.id)}
            holds_what_was_promised(center, job, NINE_STEPS if job.operation == DAG else each)
        assert [queue.running for queue in center.all(JobQueue)] == [""]


# A store that is silent for a while


def claimed_without_an_answer(center: JobCenter) -> tuple[str, str]:
    """A Job and its one task, which host one has claimed without hearing so."""
    job = center.submit(DAG, "a", lane="two")
    task = f"{job}/x"
    center.until(lambda: center.work(task) is not None)
    center.store.lost_answers = 1.0
    center.until(lambda: center.work(task).state is WorkState.RUNNING)
    center.world.advance(center.world.now + 0.01)
    center.store.lost_answers = 0.0
    return job, task


ONE_STEP = {"x": Step(function="do", resource="x", host="one")}


def test_a_claim_whose_answer_was_lost_is_found_and_executed_once():
    with JobCenter(ONE_STEP) as center:
        job, task = claimed_without_an_answer(center)
        assert center.ran() == []
        assert center.finish(job, limit=15.0)[0].state is WorkState.DONE
        assert center.ran() == ["x"]
        assert center.work(task).attempt == 1


def test_a_lost_claim_is_found_although_the_store_goes_away_while_it_is_looked_for():
    for number in range(40):
        with JobCenter(ONE_STEP) as center:
            job, _ = claimed_without_an_answer(center)
            away = center.world.now - 0.01 + ANSWER_SECONDS + number * 0.0001  # about when the worker looks
            center.at(away, partial(center.network.cut, ("one",), (Plane.MANAGEMENT,)))
            center.at(away + 12.0, partial(center.network.heal, ("one",), (Plane.MANAGEMENT,)))
            assert center.finish(job)[0].state is WorkState.DONE, f"number {number}"
            assert center.ran() == ["x"]


@pytest.mark.parametrize("count", [2 * CLAIM_MAX + 10, UNITS_PER_HOST + 20])
def test_what_a_lost_claim_left_waiting_is_claimed_at_once_and_within_the_units(count):
    steps = {f"{n:03}": Step(function="do", resource=str(n), host="one") for n in range(count)}
    with JobCenter(steps, seconds=8.0) as center:
        job = center.submit(DAG, "a", lane="two")
        before_the_last_claim = UNITS_PER_HOST - CLAIM_MAX if count > UNITS_PER_HOST else 0
        center.until(lambda: center.busy("one") > before_the_last_claim)
        center.store.lost_answers = 1.0
        center.world.advance(center.world.now + 0.01)
        center.store.lost_answers = 0.0
        assert center.finish(job, limit=60.0)[0].state is WorkState.DONE
        assert center.most <= UNITS_PER_HOST
        assert sorted(center.ran()) == sorted(steps)


def test_a_worker_that_could_not_reach_the_store_for_a_while_is_not_taken_for_dead_by_who_could_not_either():
    """Nobody's beat moved while the store was away, so nobody's silence says anything."""
    for outage in range(20, 60, 2):
        with JobCenter({"long": Step(function="do", resource="x", host="one")}, seconds=100.0) as center:
            job = center.submit(DAG, "a", lane="two")
            center.world.advance(20.0)
            center.network.cut(HOSTS[1:2], (Plane.MANAGEMENT,))
            center.network.cut(HOSTS[2:3], (Plane.MANAGEMENT,))
            center.world.advance(20.0 + outage)
            center.network.heal(HOSTS, (Plane.MANAGEMENT,))
            (ended,) = center.finish(job)
            assert ended.state is WorkState.DONE, f"after {outage} s without a store: {ended.results}"
            assert center.ran() == ["long"]


def test_a_submission_whose_answer_was_lost_is_made_once():
    for seed in range(10):
        with JobCenter(seed=seed) as center:
            center.store.lost_answers = 0.5
            job = center.submit(EACH, "a", flag="ha")
            center.store.lost_answers = 0.0
            center.finish(job)
            assert center.ran() == ["a"]


@pytest.mark.parametrize("flag", ["", "ha"])
def test_who_asks_again_with_the_same_id_gets_the_same_job(flag):
    with JobCenter() as center:
        jobs = [center.submit(EACH, "a", flag=flag, id="mine", door=door) for door in HOSTS]
        center.finish("mine")
        assert jobs == ["mine"] * 3
        assert center.ran() == ["a"]
        assert center.submit(EACH, "a", flag=flag, id="mine") == "mine", "not even when it is over"
        assert center.work("mine").state is WorkState.DONE


def test_a_submission_that_may_have_been_made_is_not_called_unavailable():
    """Whoever hears Unavailable, "did not happen and will not", asks again, and would then have two Jobs."""
    with JobCenter() as center:
        center.at(center.world.now + 0.003, lambda: center.network.cut(("two",), (Plane.MANAGEMENT,)))
        center.store.lost_answers = 1.0
        with pytest.raises(UnknownOutcome):
            center.submit(EACH, "a", lane="one")
        assert len(center.all(Work)) > 0, "it was made"


def test_nothing_is_submitted_without_a_store_and_that_is_said():
    with JobCenter() as center:
        center.network.cut(("two",), (Plane.MANAGEMENT,))
        with pytest.raises(Unavailable):
            center.submit(EACH, "a", lane="one")
        assert center.all(Work) == []


def test_a_quiet_job_center_writes_only_beats():
    with JobCenter() as center:
        center.finish(center.submit(EACH, "a"))
        before = center.store.ledger.revision, sum(handler.version for handler in center.all(Handler))
        center.world.advance(center.world.now + 100.0)
        beats = sum(handler.version for handler in center.all(Handler)) - before[1]
        assert center.store.ledger.revision - before[0] == beats > 0
