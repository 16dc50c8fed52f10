"""The enumerator itself: it counts rightly, knows every operation, and finds bugs that are put there on purpose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ave.jobs import locks
from ave.jobs.leader import Leader
from ave.jobs.recovery import Recovery
from ave.model.states import move
from ave.model.work import Result, Work, WorkState
from ave.operations import OPERATIONS
from ave.ports.store import Replace
from ave.sync import Inbox, Slots
from drivers.sim.runtime import SimRuntime, World
from sim.cluster import SimCluster
from sim.crashpoints.campaign import TWICE, Campaign
from sim.crashpoints.cases import BY_NAME, CASES, Case
from sim.crashpoints.cluster import CountedCluster
from sim.crashpoints.page import COMMAND, listed
from sim.crashpoints.points import Counted, CountedRuntime, Counter
from sim.crashpoints.trial import Blow, Strike, Trial, run
from sim.scenario.model import Shape, Topology

PAGE = Path(__file__).parents[3] / "docs" / "crash-points.md"
GROW = BY_NAME["volume.grow: two volumes"]
NETWORKS = BY_NAME["network.create: two networks"]


def counted(world: World, ours: Callable[[str], bool] = lambda text: text.startswith("job-1")) -> tuple[Any, Counter]:
    counter = Counter(ours)
    return CountedRuntime(SimRuntime(world, "host-1/node"), counter), counter


# Counting


def test_each_suspension_of_our_tasks_is_a_point_and_no_other() -> None:
    with World(1) as world:
        runtime, counter = counted(world)
        inbox: Inbox[int] = Inbox(runtime, 5)

        async def put() -> None:
            for number in range(3):
                await runtime.sleep(1.0)  # not the control plane's own: this file is no part of it
                inbox.put(number)

        async def take() -> int:
            return sum([await inbox.get() for _ in range(3)])

        counter.begin()
        ours = runtime.spawn(take(), name="job-1/step")
        runtime.spawn(put(), name="job-1/other")
        runtime.spawn(Inbox(runtime, 1).get(), name="job-2/step")
        world.advance(10.0)
        assert ours.value == 3
        assert [(point.nth, point.process, point.task) for point in counter.points] == [
            (nth, "host-1/node", "job-1/step") for nth in (1, 2, 3)
        ]
        assert {(point.place.file, point.place.function) for point in counter.points} == {("ave/sync.py", "Inbox.get")}


def test_what_stands_still_before_the_beginning_or_after_the_end_is_no_point() -> None:
    with World(1) as world:
        runtime, counter = counted(world)
        slots = Slots(runtime, 1)

        async def hold() -> None:
            await slots.acquire()
            await runtime.sleep(2.0)
            slots.release()

        runtime.spawn(hold(), name="job-2")
        for begun in (False, True, False):
            (counter.begin if begun else counter.end)()
            runtime.spawn(slots.acquire(), name="job-1")
            world.advance(world.now + 0.5)
        assert [point.place.function for point in counter.points] == ["Slots.acquire"]


def test_a_cancelled_task_that_goes_on_is_counted_and_one_that_ends_is_not() -> None:
    with World(1) as world:
        runtime, counter = counted(world)
        counter.begin()
        inbox: Inbox[int] = Inbox(runtime, 5)
        for name in ("job-1/ends", "job-1/goes on"):
            task = runtime.spawn(inbox.get(), name=name)
            world.advance(world.now + 1.0)
            task.cancel()
            world.advance(world.now + 1.0)
        assert [point.task for point in counter.points] == ["job-1/ends", "job-1/goes on"]


def test_a_store_call_is_two_points_there_and_back() -> None:
    points = run(NETWORKS).points
    submit = [point for point in points if point.place.function == "submit"]
    assert [point.place.file for point in submit] == ["ave/jobs/submit.py"] * 2
    assert len({point.place for point in submit}) == 1
    assert submit[0].task.startswith("network.create-")


def test_a_run_without_a_crash_has_leader_followers_claims_and_folds() -> None:
    functions = {point.place.function for point in run(GROW).points}
    assert {"submit", "Worker._take", "Leader._submit", "Leader._end", "grow", "Ends._folded_too"} <= functions


def test_the_same_seed_stands_still_at_the_same_places() -> None:
    assert run(GROW).points == run(GROW).points


def test_a_blow_strikes_the_process_that_stands_there_and_no_other() -> None:
    quiet = run(GROW)
    for point in quiet.points[:: len(quiet.points) // 4]:
        killed = run(GROW, (Strike(point.nth, Blow.KILL),))
        assert killed.struck == (point,)
        assert killed.points[: point.nth] == quiet.points[: point.nth]


def test_other_worlds_are_not_counted() -> None:
    topology = Topology((Shape(3, 4, 4096, 0),), 3, {}, ("vm-net",))
    counts = {}
    for made in (SimCluster(topology, seed=1), CountedCluster(topology, Counter(lambda text: True), seed=1)):
        with made as cluster:
            cluster.power_on()
            cluster.world.advance(1.0)
            counts[type(cluster)] = sum(isinstance(task._coro, Counted) for task in cluster.world.tasks)
    assert counts[SimCluster] == 0
    assert counts[CountedCluster] > 10


# The table and the page


def test_no_operation_is_without_a_case() -> None:
    assert sorted({case.operation for case in CASES}) == sorted(OPERATIONS)


def test_a_case_exercises_its_operation() -> None:
    for case in CASES:
        asked = [ask.operation for ask in case.about]
        assert case.operation in asked or not asked, case.name


def test_the_page_lists_the_cases_there_are() -> None:
    there = listed(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else []
    assert sorted(there) == sorted((case.operation, case.phrase) for case in CASES), f"out of date: {COMMAND}"


# Bugs put there on purpose


def found(case: Case, patch: Callable[[pytest.MonkeyPatch], None], *blows: Blow) -> list[str]:
    """What a campaign finds with the bug; it finds nothing without."""
    assert Campaign(case).enumerate(blows).findings == []
    with pytest.MonkeyPatch.context() as monkey:
        patch(monkey)
        return [finding.what for finding in Campaign(case).enumerate(blows).findings]


def test_a_lost_worker_whose_work_nobody_gives_away_is_found() -> None:
    async def leave_it(self: Recovery, *_: Any) -> None:
        return

    whats = found(NETWORKS, lambda patch: patch.setattr(Recovery, "_give_away", leave_it), Blow.KILL)
    assert any("J5" in what or "is running" in what for what in whats), whats


def test_an_end_in_two_commits_is_found_between_them() -> None:
    """First the result, then the locks: wrong at one await only."""
    sound = Leader._end

    async def in_two(self: Leader, job: Work, results: Any, also: Any = ()) -> None:
        await sound(self, msgspec.structs.replace(job, plan=None), results, also)
        if job.plan is not None:
            store = self._ports.store
            await store.commit(*await locks.release(store, job.id))

    whats = found(GROW, lambda patch: patch.setattr(Leader, "_end", in_two), Blow.KILL)
    assert any("J5" in what or "is held by" in what for what in whats), whats


def test_a_begin_that_locks_one_by_one_is_found() -> None:
    sound = Leader._submit

    async def one_by_one(self: Leader, job: Work, split: Any, free: Any, checks: Any, skipped: Any) -> None:
        for name, lock in free.items():
            marked = locks._write(msgspec.structs.replace(lock, job=job.id))
            (free[name],) = await self._ports.store.commit(marked)
        await sound(self, job, split, free, checks, skipped)

    whats = found(GROW, lambda patch: patch.setattr(Leader, "_submit", one_by_one), Blow.KILL)
    assert any("J5" in what for what in whats), whats


def test_a_job_that_fails_because_its_worker_was_lost_is_found() -> None:
    """It ends, and leaves nothing: only that a user sees something else than without a crash."""
    sound = Leader.lead

    async def only_once(self: Leader, job: Work) -> None:
        if job.attempt > 1:
            results = {"request": Result(False, "it was tried before")}
            await self._ports.store.commit(Replace(move(job, WorkState.FAILED, "twice", results=results, handler="")))
        else:
            await sound(self, job)

    whats = found(NETWORKS, lambda patch: patch.setattr(Leader, "lead", only_once), Blow.KILL)
    assert whats
    assert all("without a crash" in what for what in whats), whats


def test_work_that_is_given_away_only_once_is_found_by_the_second_kill() -> None:
    sound = Recovery._give_away

    async def once(self: Recovery, item: Work, *more: Any) -> None:
        if item.attempt < 2:
            await sound(self, item, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recovery, "_give_away", once)
        findings = Campaign(NETWORKS).enumerate((Blow.KILL,)).findings
    assert findings
    assert all(len(finding.strikes) == 2 for finding in findings)


def test_a_point_that_is_not_reached_again_is_reported() -> None:
    quiet = run(NETWORKS)

    def elsewhere(case: Case, strikes: tuple[Strike, ...]) -> Trial:
        if not strikes:
            return quiet
        expected = quiet.points[strikes[0].nth - 1]
        struck = {2: (msgspec.structs.replace(expected, process="host-9/node"),), 3: ()}
        return msgspec.structs.replace(quiet, struck=struck.get(expected.nth, (expected,)))

    report = Campaign(NETWORKS, run=elsewhere).enumerate((Blow.POWER,))
    assert not report.sound
    assert [finding.strikes[0].nth for finding in report.findings] == [2, 3]
    assert report.tallies[str(Blow.POWER)].reached == report.points - 2
    assert report.tallies[TWICE].runs == 0
