"""JOBS: one Job of 1,000 one-step tasks, from its submission to its end, against as many raw claims and finishes.

The raw loops are those of P13 (SQLite, one connection) and P12 (MongoDB, majority, as many in flight as a worker claims at
once); what they claim lies ready before the clock starts. The Job's tasks are made, claimed, executed, recorded and folded
within its time. All workers are in this one process, by turns with the raw loop, in wall-clock time.

The goal is due on what production runs: MongoDB, and SQLite with FULL and one worker in a process. With NORMAL, and with three
workers in one interpreter, nothing waits for a disk, so that these rows compare thousands of coroutines with one loop in C
(docs/decisions/0014).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ave.jobs.crew import CLAIM_MAX
from ave.kinds import KINDS
from drivers.sqlite.file import Synchronous
from drivers.sqlite.store import SqliteStore
from tests.bench import mongo, sqlite
from tests.bench.center import job_center
from tests.bench.row import Row
from tests.mongod import single_node

PAIRS = 5
TASKS = 1000
WORKERS = (1, 3)
GOAL = 1.5  # times the raw loop
_VERBS = ("get", "find", "commit", "take")

Run = Callable[[int, int], tuple[float, int]]  # tasks, workers -> seconds, store calls


class Counting:
    """A store, and how often it was called."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        return self._counted(verb) if name in _VERBS else verb

    def _counted(self, verb: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            return await verb(*arguments, **named)

        return call


async def one_job(store: Any, tasks: int, workers: int) -> tuple[float, int]:
    counting = Counting(store)
    async with job_center(counting, [f"host-{n}" for n in range(workers)]) as center:
        await center.jobs(10, 1, 5)  # warm
        counting.calls = 0
        seconds = await center.jobs(1, tasks, 1)
    return seconds, counting.calls


def on_sqlite(synchronous: Synchronous, tasks: int, workers: int) -> tuple[float, int]:
    async def main(path: Path) -> tuple[float, int]:
        async with await SqliteStore.open(path, KINDS, schema=1, synchronous=synchronous) as store:
            return await one_job(store, tasks, workers)

    with TemporaryDirectory(prefix="ave-bench-", dir=Path.cwd()) as folder:
        return asyncio.run(main(Path(folder, "store")))


def on_mongo(uri: str, tasks: int, workers: int) -> tuple[float, int]:
    async def main() -> tuple[float, int]:
        async with mongo.opened(uri) as (_, store):
            return await one_job(store, tasks, workers)

    return asyncio.run(main())


def run(*, quick: bool = False) -> list[Row]:
    pairs, tasks = (3, 300) if quick else (PAIRS, TASKS)
    rows = []
    settings: tuple[tuple[Synchronous, tuple[int, ...]], ...] = (("FULL", (1,)), ("NORMAL", ()))
    for setting, due in settings:
        job, raw = partial(on_sqlite, setting), partial(_raw_sqlite, setting, tasks)
        rows += _rows(f"SQLite {setting}", job, raw, pairs, tasks, due)
    with single_node(on_disk=True) as uri:
        job = partial(on_mongo, uri)
        beside = lambda: tasks / asyncio.run(mongo.raw(uri, tasks, CLAIM_MAX))  # noqa: E731
        rows += _rows("MongoDB", job, beside, pairs, tasks, WORKERS)
    return rows


def _raw_sqlite(synchronous: Synchronous, tasks: int) -> float:
    return tasks / sqlite.rate(sqlite.fill_raw, sqlite.drain_raw, synchronous, tasks, 1, 1)


def _rows(
    store: str, job: Run, raw: Callable[[], float], pairs: int, tasks: int, due: tuple[int, ...] = ()
) -> list[Row]:
    rows = []
    for workers in WORKERS:
        rates, ratios, calls = [], [], []
        for _ in range(pairs):
            beside = raw()
            seconds, called = job(tasks, workers)
            rates.append(tasks / seconds)
            ratios.append(seconds / beside)
            calls.append(called / tasks)
        what = f"{store}, {workers} worker{'s' if workers > 1 else ''}"
        rows += [
            Row("JOBS", f"{what}: tasks of one Job", median(rates), "/s", None, "more"),
            Row("JOBS", f"{what}: time", median(ratios), "× raw", GOAL, "less", due=workers in due),
            Row("JOBS", f"{what}: store calls", median(calls), "/task", None, "less"),
        ]
    return rows
