"""Bugs put into the Job Center on purpose, each by one small patch at run time, and the invariant that catches it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import pytest

import sim.user
from ave.jobs import leader, locks, mend, worker
from ave.jobs.ends import Ends
from ave.jobs.folding import FINISHED, fold
from ave.jobs.follower import Follower
from ave.jobs.handover import HandOvers
from ave.jobs.leader import Leader
from ave.jobs.recovery import Recovery
from ave.jobs.submit import submit
from ave.jobs.verb import TaskKind
from ave.jobs.worker import Worker
from ave.model.states import move
from ave.model.work import Work, WorkState
from ave.ports.hypervisor import Stamp
from ave.ports.store import Change, In, Replace, Where, Write
from sim.invariants.j2_job_states import JobStates
from tests.scenarios.shipped import play

SEEDS = range(1, 5)

Mutate = Callable[[pytest.MonkeyPatch], None]


@cache
def sound(name: str, seed: int) -> bool:
    return play(name, seed).passed


def caught(name: str, mutate: Mutate, among: range = SEEDS) -> tuple[str, str]:
    """The first invariant that a run with the mutant breaks, and what it says; the run without it passes."""
    for seed in among:
        assert sound(name, seed)
        with pytest.MonkeyPatch.context() as patch:
            mutate(patch)
            violation = play(name, seed).violation
        if violation is not None:
            assert violation.slice, "a violation tells what led to it"
            return violation.invariant, violation.what
    return "", "nothing was caught"


def test_mutant_01_a_job_that_skips_the_locks_of_others_breaks_j4() -> None:
    def skip(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(locks, "held_by_others", lambda known, job: {})

    invariant, what = caught("jobs/failover-during-create.yaml", skip)
    assert invariant == "J4", what


def test_mutant_02_locks_marked_one_by_one_without_undo_break_j5() -> None:
    sound_submit = Leader._submit

    async def one_by_one(
        self: Leader, job: Work, split: Any, free: dict[str, Any], checks: list[Write], skipped: dict[str, Any]
    ) -> None:
        if split.steps or split.groups:
            for name, lock in free.items():
                marked = locks._write(msgspec.structs.replace(lock, job=job.id))
                (free[name],) = await self._ports.store.commit(marked)
        await sound_submit(self, job, split, free, checks, skipped)

    invariant, what = caught(
        "jobs/failover-during-create.yaml", lambda patch: patch.setattr(Leader, "_submit", one_by_one)
    )
    assert invariant == "J5", what
    assert "of its" in what


def test_mutant_03_locks_whose_dead_owners_nobody_sweeps_break_j5() -> None:
    async def mend_only(self: Recovery) -> None:
        await self._mender.sweep()

    invariant, what = caught("jobs/busy-host-stalls.yaml", lambda patch: patch.setattr(Recovery, "sweep", mend_only))
    assert invariant == "J5", what
    assert "which was lost" in what


def test_mutant_11_a_claim_by_read_and_then_update_breaks_j3() -> None:
    """A Job that runs again after its end is J2's to find; of tasks it knows nothing, so here it does not look."""

    async def read_then_update(self: Worker, wanted: int, whose: Where) -> list[Work]:
        store, set = self._ports.store, {"state": WorkState.RUNNING, "handler": self.uuid}
        where = {"lane": In((self._ports.host, *self._roles())), "state": WorkState.READY, **whose}
        found = await store.find(Work, where, ("rank",), wanted)
        return [(await store.commit(Change(Work, item.id, {}, set, {"attempt": 1})))[0] for item in found]

    def update(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(JobStates, "handlers", lambda self: {})
        patch.setattr(Worker, "_take", read_then_update)

    invariant, what = caught("jobs/busy-host-stalls.yaml", update)
    assert invariant == "J3", what


def test_mutant_12_a_worker_that_acts_on_an_outdated_token_breaks_j3() -> None:
    def never(self: Stamp, newest: Stamp) -> bool:
        return False

    invariant, what = caught("jobs/busy-host-stalls.yaml", lambda patch: patch.setattr(Stamp, "outdated_by", never))
    assert invariant == "J3", what
    assert "was accepted after attempt" in what


def look_away(patch: pytest.MonkeyPatch) -> None:
    """Nobody completes what a hand-over left undone: the nets are off."""

    async def nothing(self: HandOvers, carrier: str) -> bool:
        return True

    async def nobody(ports: Any) -> list[Work]:
        return []

    patch.setattr(HandOvers, "_fold", nothing)
    patch.setattr(mend, "standing", nobody)


def test_mutant_25_a_last_child_found_by_counting_breaks_j6() -> None:
    async def by_count(self: Ends, ended: Work, *also: Write) -> None:
        store = self._ports.store
        others = await store.find(Work, {"job": ended.job, "state": In((WorkState.READY, WorkState.RUNNING))})
        await store.commit(Replace(ended, FINISHED), *also)
        if not any(other.parent == ended.parent and other.id != ended.id for other in others):
            await fold(self._ports, self._crew, ended.parent)

    def count(patch: pytest.MonkeyPatch) -> None:
        look_away(patch)
        patch.setattr(Ends, "record", by_count)

    assert caught("jobs/tight-memory.yaml", look_away) == ("", "nothing was caught"), "the nets are not the mutant"
    invariant, what = caught("jobs/tight-memory.yaml", count)
    assert invariant == "J6", what


def test_mutant_26_an_end_that_is_not_idempotent_breaks_j2() -> None:
    async def whatever_it_is(self: Leader, job: Work) -> Work:
        now = await self._ports.store.get(Work, job.id)
        assert now is not None
        return now

    def anywhere(thing: Work, to: WorkState, why: str, **changes: Any) -> Work:
        return msgspec.structs.replace(thing, state=to, story=(*thing.story, why), **changes)

    def again(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Leader, "again", whatever_it_is)
        patch.setattr(leader, "move", anywhere)

    invariant, what = caught("jobs/queue-one-by-one.yaml", again)
    assert invariant == "J2", what


def test_mutant_31_a_job_center_without_idempotency_keys_breaks_j8() -> None:
    async def forgetful(*args: Any, key: str = "", **options: Any) -> str:
        return await submit(*args, **options)

    invariant, what = caught("jobs/queue-one-by-one.yaml", lambda patch: patch.setattr(sim.user, "submit", forgetful))
    assert invariant == "J8", what


def test_mutant_32_urgent_work_that_shares_all_units_with_the_rest_breaks_j9() -> None:
    invariant, what = caught("jobs/busy-host.yaml", lambda patch: patch.setattr(worker, "_DOORS", ((0, {}),)))
    assert invariant == "J9", what


def test_mutant_37_a_follower_that_swallows_errors_breaks_j7() -> None:
    async def silent(self: Follower, task: Work, kind: TaskKind) -> Work:
        while True:
            try:
                facts = await kind.function(self._ports, task)
                return move(task, WorkState.DONE, "did it", facts=facts or {}, handler="")
            except Exception:
                await self._pause(5.0)

    invariant, what = caught("jobs/queue-one-by-one.yaml", lambda patch: patch.setattr(Follower, "_try", silent))
    assert invariant == "J7", what
    assert "nothing has moved" in what
