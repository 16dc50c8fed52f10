"""The Job Center Scheduler: each cycle's Job is submitted once, whatever becomes of hosts, store and clocks."""

from collections import Counter
from functools import partial
from random import Random

import pytest

from ave.jobs.timetable import Entry
from ave.jobs.verb import Split, TaskKind, Verb
from ave.jobs.worker import ATTEMPTS_MAX
from ave.model.work import ENDED, LEAD, Step, Work, WorkState
from tests.unit.jobs.center import HOSTS, JobCenter, nothing_is_left

PERIOD = 60.0
OPERATION = "jobs.recover"  # any scheduled one; here it only counts
ENTRY = Entry(operation=OPERATION, seconds=PERIOD, flag=OPERATION)


def scheduled(function: str = "do", resource: str = "") -> Verb:
    return Verb(
        operation=OPERATION,
        resources=lambda request: (),
        split=lambda request, found: Split(steps={"x": Step(function=function, resource=resource)}),
    )


def cycles(center: JobCenter) -> list[int]:
    jobs = [work.id for work in center.all(Work) if work.function == LEAD and work.operation == OPERATION]
    return sorted(int(id.partition("@")[2]) for id in jobs)


def every(first: int, last: int) -> list[int]:
    return list(range(first, last + 1, int(PERIOD)))


def test_three_masters_submit_one_job_per_cycle():
    with JobCenter(verbs=[scheduled()], timetable=[ENTRY]) as center:
        center.run_on(20 * PERIOD + 1.0)
        assert cycles(center) == every(60, 1200)
        submitted = {id.id: id.submitted for id in center.all(Work) if id.function == LEAD}
        assert all(abs(at - float(id.partition("@")[2])) < 1.0 for id, at in submitted.items())
        assert Counter(center.ran()) == {"x": 20}


@pytest.mark.parametrize("seed", range(6))
def test_for_an_hour_of_elections_kills_and_lost_answers_each_cycle_has_one_effective_job(seed):
    source = Random(seed)

    def flip(host: str) -> None:
        if host not in center.processes:
            center.launch(host)
        elif len(center.processes) > 1:
            center.kill(host)

    with JobCenter(verbs=[scheduled()], timetable=[ENTRY], seed=seed) as center:
        for _ in range(200):
            moment, what = center.world.now + 3600.0 * source.random(), source.random()
            if what < 0.4:
                center.at(moment, center.store.step_down)
            elif what < 0.6:
                center.at(moment, partial(setattr, center.store, "lost_answers", 0.5))
                center.at(moment + 10.0, partial(setattr, center.store, "lost_answers", 0.0))
            else:
                center.at(moment, partial(flip, HOSTS[int(3 * source.random())]))
        center.run_on(3600.0)
        center.store.lost_answers = 0.0
        for host in HOSTS:
            if host not in center.processes:
                center.launch(host)
        found = cycles(center)
        assert len(set(found)) == len(found)
        assert len(found) >= 50, "few cycles are left out"
        effects = Counter(effect.job for effect in center.effects)
        assert max(effects.values()) == 1, "and no cycle is begun twice"
        center.run_on(PERIOD / 3)
        assert center.late == []


@pytest.mark.parametrize("jump", [-1000.0, -61.0, -1.0, 1.0, 61.0, 100_000.0])
def test_whatever_the_clock_of_the_store_does_a_cycle_comes_every_period_and_none_twice(jump):
    with JobCenter(verbs=[scheduled()], timetable=[ENTRY]) as center:
        center.run_on(10 * PERIOD + 30.0)
        center.store._clock_offset = jump
        center.run_on(20 * PERIOD)
        found = cycles(center)
        assert len(set(found)) == len(found)
        assert Counter(effect.job for effect in center.effects).most_common(1)[0][1] == 1
        assert 29 <= len(found) <= 31


def test_a_period_that_grows_with_the_number_of_hosts_names_no_two_cycles_alike():
    """Beyond 50 hosts a look at all of them comes less often; cycle 20 of one count is not cycle 20 of the other."""
    entry = Entry(operation=OPERATION, seconds=PERIOD, per_host=True)
    assert [entry.period(hosts) for hosts in (0, 1, 50, 51, 100, 101)] == [60.0, 60.0, 60.0, 120.0, 120.0, 180.0]
    counts = {"hosts": 3}

    def period(self: Entry, hosts: int) -> float:
        return PERIOD * (2 if counts["hosts"] > 50 else 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Entry, "period", period)
        with JobCenter(verbs=[scheduled()], timetable=[entry]) as center:
            center.run_on(10 * PERIOD + 5.0)
            counts["hosts"] = 51
            center.run_on(10 * PERIOD)
            assert cycles(center) == [*every(60, 600), *range(720, 1201, 120)]


def test_a_scheduled_job_whose_worker_dies_is_failed_and_not_repeated():
    with JobCenter(verbs=[scheduled("kill", resource="x")], timetable=[ENTRY]) as center:
        center.run_on(PERIOD + 30.0)
        job = center.work(f"{OPERATION}@60")
        assert job.state is WorkState.FAILED
        assert job.results["x"].why == "its worker is gone, and scheduled work is not repeated"
        assert center.work(f"{job.id}/x").attempt == 1
        assert ATTEMPTS_MAX > 1
        assert center.alarms() == []


def test_a_scheduled_job_whose_leader_dies_is_failed_and_the_next_of_its_queue_begins():
    with JobCenter(verbs=[scheduled()], timetable=[ENTRY]) as center:
        center.until(lambda: center.running(f"{OPERATION}@60"), limit=70.0)
        host = center.work(f"{OPERATION}@60").lane
        center.kill(host)
        center.launch(host)
        (job,) = center.finish(f"{OPERATION}@60", limit=40.0)
        assert (job.state, job.attempt) == (WorkState.FAILED, 1)
        center.run_on(PERIOD)
        assert center.finish(f"{OPERATION}@120")[0].state is WorkState.DONE
        nothing_is_left(center)


def test_cycles_that_take_longer_than_their_period_run_one_after_the_other():
    async def slow(ports, task):
        await ports.runtime.sleep(2.5 * PERIOD)
        ran.append(task.job)

    ran: list[str] = []
    with JobCenter(verbs=[scheduled("slow")], timetable=[ENTRY], kinds={"slow": TaskKind(function=slow)}) as center:
        center.run_on(12 * PERIOD)
        assert ran == [f"{OPERATION}@{60 * n}" for n in range(1, 5)]
        states = [center.work(f"{OPERATION}@{at}").state for at in cycles(center)]
        assert all(state in ENDED for state in states[:4])
        assert set(states[5:]) == {WorkState.QUEUED}
