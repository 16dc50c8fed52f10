"""Whole Jobs of many siblings on a replica set: each task ends once, and together they cost few commits."""

import pytest

from ave.kinds import KINDS
from ave.model.cluster import Lock
from ave.model.work import LEAD, Work, WorkState
from tests.bench.center import job_center
from tests.bench.jobs import Counting
from tests.contracts import mongo_lab
from tests.contracts.mongo_lab import opened, play

# pymongo leaves a socket to be collected when it is closed while it connects.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
collected = mongo_lab.collected


@pytest.mark.parametrize(("workers", "tasks", "most"), [(1, 300, 0.5), (3, 300, 0.7), (16, 60, 4.0)])
def test_mongo_siblings_end_once_each_and_together(mongo_uri, workers, tasks, most):
    """``most``: store calls a task; were each end folded by itself, there would be at least five."""

    async def main():
        async with opened(mongo_uri, kinds=KINDS) as store:
            calls = Counting(store)
            async with job_center(calls, [f"host-{n}" for n in range(workers)]) as center:
                calls.calls = 0
                await center.jobs(1, tasks, 1)
                called = calls.calls
            work = await store.find(Work, {"state": WorkState.DONE}, ("finished",))
            assert {(one.attempt, one.version) for one in work if one.function != LEAD} == {
                (1, 3)
            }  # made, claimed, ended
            assert len(work) == tasks + 1
            assert {lock.job for lock in await store.find(Lock, {}, ("job",))} == {""}
            return called

    called = play(main())
    assert called <= most * tasks
