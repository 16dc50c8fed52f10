"""Reserved execution units: what is urgent begins at once, however much else there is."""

import pytest

from ave.jobs.crew import UNITS_PER_HOST
from ave.jobs.verb import TaskKind
from ave.jobs.worker import RESCUE_UNITS, RESERVED_UNITS
from ave.model.work import LEAD, RANK_SECONDS, Step, Urgency, Work, WorkState
from tests.unit.jobs.center import DAG, EACH, HOSTS, JobCenter

ORDINARY_UNITS = UNITS_PER_HOST - RESERVED_UNITS
RESCUE_WAITS_SECONDS = 5.0  # at most, from its submission until its first task is executed


def burst(center: JobCenter, count: int) -> None:
    """As many ordinary Jobs, all ready."""
    for number in range(count):
        name = f"ordinary-{number}"
        job = Work(
            id=name,
            job=name,
            function=LEAD,
            lane=HOSTS[number % 3],
            operation=EACH,
            arguments={"vms": [f"vm-{number}"]},
            rank=center.store.now() + RANK_SECONDS[Urgency.NORMAL],
        )
        center.put(job)


def fill(center: JobCenter) -> str:
    """A Job whose long tasks are on all the units that ordinary work may have."""
    job = center.submit(DAG, "a", lane="one")
    center.until(lambda: all(center.busy(host) == ORDINARY_UNITS for host in HOSTS), limit=30.0)
    return job


def begun(center: JobCenter, task: str) -> float:
    """For how long it waited in all, from the submission of its Job."""
    center.until(lambda: center.running(task), limit=60.0)
    return center.work(task).assigned - center.work(center.work(task).job).submitted


LONG = {
    f"{host}-{n:03}": Step(function="stuck forever", host=host) for host in HOSTS for n in range(2 * ORDINARY_UNITS)
}


def crowded() -> JobCenter:
    async def forever(ports, task):
        await ports.runtime.sleep(100_000.0)

    return JobCenter(LONG, kinds={"stuck forever": TaskKind(function=forever, seconds=200_000.0)})


@pytest.mark.parametrize("urgency", [Urgency.RESCUE, Urgency.STOP])
def test_behind_ten_thousand_jobs_and_slow_tasks_on_every_unit_urgent_work_begins_at_once(urgency, record_property):
    with crowded() as center:
        fill(center)
        burst(center, 10_000)
        waits = []
        for number in range(60):
            job = center.submit(EACH, f"urgent-{number}", urgency=urgency, door=HOSTS[number % 3])
            waits.append(begun(center, f"{job}/urgent-{number}"))
        waits.sort()
        p99, worst = waits[int(0.99 * len(waits))], waits[-1]
        record_property("dispatch_p99_seconds", p99)
        record_property("dispatch_worst_seconds", worst)
        print(f"{urgency}: p99 {p99:.4f} s, worst {worst:.4f} s of {len(waits)} behind 10,000 Jobs")
        assert worst <= RESCUE_WAITS_SECONDS
        assert center.work("ordinary-0").state is WorkState.READY


def test_a_hundred_rescues_at_once_behind_ten_thousand_jobs_begin_in_time(record_property):
    with crowded() as center:
        fill(center)
        burst(center, 10_000)
        jobs = [center.submit(EACH, f"vm-u{n}", urgency=Urgency.RESCUE, door=HOSTS[n % 3]) for n in range(100)]
        waits = [begun_at(center, job) for job in center.finish(*jobs, limit=60.0)]
        record_property("dispatch_worst_seconds", max(waits))
        print(f"100 rescues at once: worst {max(waits):.4f} s")
        assert max(waits) <= RESCUE_WAITS_SECONDS


def begun_at(center: JobCenter, job: Work) -> float:
    (task,) = [work for work in center.all(Work) if work.parent == job.id]
    return task.assigned - job.submitted


def test_ordinary_work_never_takes_a_reserved_unit():
    with crowded() as center:
        fill(center)
        burst(center, 300)
        end = center.world.now + 60.0
        while center.world.now < end:
            center.run_on(0.37)
            for host in HOSTS:
                running = [work for work in center.store.ledger.all(Work) if work.state is WorkState.RUNNING]
                assert sum(work.lane == host for work in running) <= ORDINARY_UNITS


def test_guests_that_shut_down_slowly_do_not_keep_a_rescue_waiting():
    """Both are let into the reserved units; a rescue finds some of them free however many VMs are being stopped."""
    with crowded() as center:
        fill(center)
        center.submit(DAG, "stop", lane="one", urgency=Urgency.STOP)
        stopping = UNITS_PER_HOST - RESCUE_UNITS
        center.until(lambda: all(center.busy(host) >= stopping for host in HOSTS), limit=30.0)
        center.run_on(10.0)
        assert {center.busy(host) for host in HOSTS} == {stopping}
        for number in range(20):
            job = center.submit(EACH, f"rescue-{number}", urgency=Urgency.RESCUE)
            assert begun(center, f"{job}/rescue-{number}") <= RESCUE_WAITS_SECONDS


def test_a_unit_that_is_freed_is_used_again_whoever_had_it():
    steps = {f"{n:03}": Step(function="do", host="one") for n in range(3 * UNITS_PER_HOST)}
    with JobCenter(steps, seconds=1.0) as center:
        jobs = [center.submit(DAG, str(n), lane="two", urgency=u) for n, u in enumerate(Urgency)]
        assert {job.state for job in center.finish(*jobs, limit=30.0)} == {WorkState.DONE}
        assert center.most <= UNITS_PER_HOST
