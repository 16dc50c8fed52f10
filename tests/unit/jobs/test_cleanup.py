"""Clean-up: what is over is forgotten after its retention, and nothing else ever is."""

import msgspec
import pytest

from ave.jobs.cleanup import (
    ALARM_SECONDS,
    AT_ONCE,
    CLEAN_UP,
    CLEAN_UP_VERB,
    DAY,
    HOUR,
    KEY_SECONDS,
    LOOKS_MAX,
    clean_up,
)
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.alarm import Alarm
from ave.model.cluster import Key
from ave.model.work import ENDED, GROUP, LEAD, Result, Work, WorkState
from ave.operations import Nothing
from ave.ports.store import Insert
from tests.unit.jobs.center import EACH, JobCenter

NOW = 100 * DAY
OPEN = [state for state in WorkState if state not in ENDED]


def made(center: JobCenter) -> None:
    center.store._clock_offset = NOW


def job(center: JobCenter, id: str, operation: str, state: WorkState, age: float, tasks: int = 2) -> None:
    """A Job that ended so long ago (or is open since), with its tasks and a group."""
    finished = NOW - age
    base = Work(id=id, job=id, function=LEAD, lane="nowhere", operation=operation, state=state, submitted=finished)
    writes = [Insert(msgspec.structs.replace(base, finished=finished if state in ENDED else 0.0))]
    for number in range(tasks):
        function = "do" if number else GROUP
        task = Work(id=f"{id}/{number}", job=id, parent=id, function=function, lane="nowhere", operation=operation)
        over = WorkState.FAILED if number else WorkState.DONE
        writes.append(Insert(msgspec.structs.replace(task, state=over, finished=finished - 5.0)))
    center.store.ledger.commit(writes, NOW)


def run(center: JobCenter) -> None:
    ports = center.ports()
    task = Work(id="c", job="c", function=CLEAN_UP, lane="two")
    center.ask(clean_up(ports, task))


def left(center: JobCenter) -> set[str]:
    return {work.id for work in center.all(Work)}


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize(
    ("operation", "seconds"),
    [(EACH, 7 * DAY), ("host.enter-maintenance", 7 * DAY), ("vm.synchronise", HOUR), ("vm.fly", 7 * DAY)],
)
def test_a_job_is_forgotten_with_its_tasks_after_the_retention_of_its_type(operation, seconds, state):
    with JobCenter() as center:
        made(center)
        job(center, "old", operation, state, seconds + 60.0)
        job(center, "young", operation, state, seconds - 60.0)
        run(center)
        assert left(center) == {"young", "young/0", "young/1"}


@pytest.mark.parametrize("state", OPEN)
def test_what_is_open_is_never_forgotten_nor_are_its_tasks(state):
    with JobCenter() as center:
        for host in list(center.processes):
            center.kill(host)
        made(center)
        job(center, "open", EACH, state, 50 * DAY)
        run(center)
        assert left(center) == {"open", "open/0", "open/1"}


def test_a_task_whose_job_is_gone_is_forgotten_too():
    with JobCenter() as center:
        made(center)
        orphan = Work(id="gone/x", job="gone", function="do", lane="one", state=WorkState.DONE, finished=NOW - 2 * HOUR)
        center.put(orphan)
        run(center)
        assert left(center) == set()


def test_old_jobs_that_are_kept_do_not_hide_what_is_behind_them():
    with JobCenter() as center:
        made(center)
        for number in range(3 * AT_ONCE):
            job(center, f"kept-{number}", EACH, WorkState.DONE, 3 * DAY, tasks=0)
        job(center, "behind", "vm.synchronise", WorkState.DONE, 2 * HOUR)
        run(center)
        assert len(left(center)) == 3 * AT_ONCE


def test_one_run_is_bounded_and_the_next_goes_on(monkeypatch):
    from ave.jobs import cleanup

    assert LOOKS_MAX * AT_ONCE == 100_000
    monkeypatch.setattr(cleanup, "LOOKS_MAX", 2)
    with JobCenter() as center:
        made(center)
        for number in range(5 * AT_ONCE):
            job(center, f"j-{number:04}", EACH, WorkState.DONE, 8 * DAY, tasks=0)
        run(center)
        assert len(left(center)) == 3 * AT_ONCE
        run(center)
        run(center)
        assert left(center) == set()


def test_keys_and_alarms_are_forgotten_after_their_own_retention():
    with JobCenter() as center:
        made(center)
        for age in (-60.0, 60.0):
            center.put(Key(id=f"key {age:g}", made=NOW - KEY_SECONDS - age))
            center.put(Alarm(id=f"alarm {age:g}", what="w", raised=NOW - ALARM_SECONDS - age))
        run(center)
        assert [key.id for key in center.all(Key)] == ["key -60"]
        assert center.alarms() == ["alarm -60"]


def test_two_that_clean_up_at_once_do_not_hinder_each_other():
    with JobCenter() as center:
        made(center)
        for number in range(2 * AT_ONCE):
            job(center, f"j-{number:04}", EACH, WorkState.DONE, 8 * DAY)
        task = Work(id="c", job="c", function=CLEAN_UP, lane="two")
        both = [center.begin(clean_up(center.ports(door), task)) for door in ("one", "two")]
        center.until(lambda: all(one.done() for one in both))
        assert [one.value for one in both] == [(None, None)] * 2
        run(center)
        assert left(center) == set()


def test_clean_up_is_a_job_like_any_other_and_forgets_its_own_earlier_cycles():
    with JobCenter(verbs=[CLEAN_UP_VERB]) as center:
        for number in range(3):
            ports = center.ports()
            id = center.ask(submit(ports, Crew(ports), CLEAN_UP, Nothing(), flag=CLEAN_UP, id=f"{CLEAN_UP}@{number}"))
            (ended,) = center.finish(id)
            assert (ended.state, ended.results) == (WorkState.DONE, {})
            center.store._clock_offset += HOUR + 60.0
        assert left(center) == {f"{CLEAN_UP}@2", f"{CLEAN_UP}@2/{CLEAN_UP}"}
        assert Result(True).ok
