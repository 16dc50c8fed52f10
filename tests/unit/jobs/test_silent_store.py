"""A store that is silent for a while: nothing is lost, and nothing is made twice."""

from functools import partial

import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.jobs.crew import CLAIM_MAX, UNITS_PER_HOST
from ave.jobs.worker import RESERVED_UNITS
from ave.model.cluster import Handler
from ave.model.work import Step, Work, WorkState
from drivers.sim.network import Line, Plane
from drivers.sim.physics import ANSWER_SECONDS
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    JobCenter,
)


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
        before_the_last_claim = UNITS_PER_HOST - RESERVED_UNITS - CLAIM_MAX if count > UNITS_PER_HOST else 0
        center.until(lambda: center.busy("one") > before_the_last_claim)
        center.store.lost_answers = 1.0
        center.world.advance(center.world.now + 0.01)
        center.store.lost_answers = 0.0
        assert center.finish(job, limit=60.0)[0].state is WorkState.DONE
        assert center.most <= UNITS_PER_HOST - RESERVED_UNITS
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


def test_a_worker_that_is_heard_and_does_not_hear_is_found_silent():
    """Explore 182 and 268: every answer came later than anybody waits for it, and its beats took effect all the same."""
    with JobCenter({"x": Step(function="do", resource="x", host="three")}) as center:
        assert center.store.primary != "three"
        slow = Line(delay=5.5)
        center.network.strain("three", slow)
        center.world.advance(center.world.now + 60.0)
        job = center.submit(DAG, "a", lane="two")
        (ended,) = center.finish(job)
        assert ended.results["x"].why == "three does not answer"
        center.network.relieve("three", slow)
        center.world.advance(center.world.now + 60.0)
        assert center.finish(center.submit(DAG, "b", lane="two"))[0].state is WorkState.DONE, "it is there again"


def test_a_worker_that_is_answered_late_but_in_time_is_not():
    with JobCenter({"x": Step(function="do", resource="x", host="three")}) as center:
        center.network.strain("three", Line(delay=2.0))
        center.world.advance(center.world.now + 60.0)
        assert center.finish(center.submit(DAG, "a", lane="two"))[0].state is WorkState.DONE
