"""Whatever befalls workers and store: every Job ends, and leaves nothing behind."""

from functools import partial
from random import Random

import pytest

from ave.model.cluster import JobQueue
from ave.model.work import OnConflict, Step
from tests.unit.jobs.center import (
    DAG,
    EACH,
    HOSTS,
    NINE_STEPS,
    RECOVERED_SECONDS,
    JobCenter,
    holds_what_was_promised,
)


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
