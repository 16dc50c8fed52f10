"""P13: claim and finish of one item through the SQLite store, against two loops of statements by hand.

The bare loop flips a column in a table with one partial index, and commits each statement; it waits for nobody but the
disk. The keeping loop also writes what the store's promises need: the document as it is now, and a row of the log that
feeds watches (docs/decisions/0014). The store has all indexes of the kind ``work``, and a thread. All run in as many
processes, on files of the same disk, with the same ``synchronous``, by turns, in wall-clock time.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import Any

import msgspec

from ave.kinds import KINDS
from ave.model.states import may_move, move
from ave.model.work import TASK, Work, WorkState
from ave.ports.store import In, Insert, Replace
from ave.sync import gather
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.sqlite.file import Synchronous
from drivers.sqlite.store import SqliteStore
from tests.bench.center import job_center
from tests.bench.row import Row

PAIRS = 7
PROCESSES = 4
UNITS = 16  # in flight in each process: what a worker claims at once
OPEN_JOBS = 50  # at once
LANE = "host-1"
GOAL_ONE, GOAL_FOUR = 0.7, 0.4
_CLAIM = may_move(TASK, WorkState.READY, WorkState.RUNNING)

Drain = Callable[[Path, Synchronous, int], int]  # empties the queue and says how many it did


def item(number: int) -> Work:
    job = f"bench-{number}"
    return Work(id=f"{job}/step", job=job, step="step", function="bench", lane=LANE, rank=float(number))


# The store


def fill_store(path: Path, synchronous: Synchronous, items: int) -> None:
    async def main() -> None:
        async with await SqliteStore.open(path, KINDS, schema=1, synchronous=synchronous) as store:
            for first in range(0, items, 500):
                numbers = range(first, min(first + 500, items))
                await store.commit(*[Insert(item(number), {"submitted": 0.0}) for number in numbers])

    asyncio.run(main())


def drain_store(path: Path, synchronous: Synchronous, units: int) -> int:
    async def main() -> int:
        runtime = AsyncioRuntime("bench")
        async with await SqliteStore.open(path, KINDS, schema=1, synchronous=synchronous) as store:
            done = await gather(runtime, *[unit(store) for _ in range(units)], name="unit")
        return sum(done)

    async def unit(store: SqliteStore) -> int:
        done = 0
        while claimed := await store.take(
            Work,
            {"lane": In((LANE, "scheduler")), "state": WorkState.READY},
            ("rank",),
            set={**_CLAIM, "handler": "bench"},
            add={"attempt": 1},
            stamp={"assigned": 0.0},
        ):
            await store.commit(Replace(move(claimed[0], WorkState.DONE, "did it", handler=""), {"finished": 0.0}))
            done += 1
        return done

    return asyncio.run(main())


# Raw


def fill_raw(path: Path, synchronous: Synchronous, items: int) -> None:
    with closing(connect(path, synchronous)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE work (id TEXT PRIMARY KEY, lane TEXT, state TEXT, rank REAL, doc TEXT)")
        connection.execute("CREATE INDEX claim ON work (lane, rank, id) WHERE state = 'ready'")
        connection.execute("BEGIN")
        for number in range(items):
            doc = item(number)
            values = doc.id, doc.lane, str(doc.state), doc.rank, msgspec.json.encode(doc).decode()
            connection.execute("INSERT INTO work VALUES (?, ?, ?, ?, ?)", values)
        connection.execute("COMMIT")


def drain_raw(path: Path, synchronous: Synchronous, units: int) -> int:
    claim = (
        "UPDATE work SET state = 'running' WHERE id ="
        " (SELECT id FROM work WHERE lane = ? AND state = 'ready' ORDER BY rank, id LIMIT 1) RETURNING id, doc"
    )
    done = 0
    with closing(connect(path, synchronous)) as connection:
        while claimed := connection.execute(claim, (LANE,)).fetchall():
            finish = "UPDATE work SET state = 'done' WHERE id = ? AND state = 'running'"
            done += connection.execute(finish, (claimed[0][0],)).rowcount
    return done


def fill_kept(path: Path, synchronous: Synchronous, items: int) -> None:
    fill_raw(path, synchronous, items)
    with closing(connect(path, synchronous)) as connection:
        connection.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, at REAL, id TEXT, doc TEXT)")


def drain_kept(path: Path, synchronous: Synchronous, units: int) -> int:
    find = "SELECT id, doc FROM work WHERE lane = ? AND state = 'ready' ORDER BY rank, id LIMIT 1"
    decode, encode = msgspec.json.Decoder(Work).decode, msgspec.json.Encoder().encode
    done = 0
    with closing(connect(path, synchronous)) as connection:

        def keep(id: str, state: str, doc: str) -> None:
            connection.execute("UPDATE work SET state = ?, doc = ? WHERE id = ?", (state, doc, id))
            connection.execute("INSERT INTO log (at, id, doc) VALUES (?, ?, ?)", (time(), id, doc))
            connection.execute("COMMIT")

        def begin() -> None:
            connection.execute("BEGIN IMMEDIATE")

        while True:
            begin()
            claimed = connection.execute(find, (LANE,)).fetchall()
            if not claimed:
                connection.execute("COMMIT")
                return done
            id, doc = claimed[0]
            work = msgspec.structs.replace(decode(doc), **_CLAIM, handler="bench", assigned=time())
            keep(id, "running", encode(work).decode())
            begin()
            (doc,) = connection.execute("SELECT doc FROM work WHERE id = ? AND state = 'running'", (id,)).fetchone()
            keep(id, "done", encode(move(decode(doc), WorkState.DONE, "did it", handler="")).decode())
            done += 1


def connect(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


# Both


def rate(fill: Any, drain: Drain, synchronous: Synchronous, items: int, units: int, processes: int) -> float:
    """Items that were claimed and finished per second. None may be lost, none done twice."""
    with TemporaryDirectory(prefix="ave-bench-", dir=Path.cwd()) as folder:
        path = Path(folder, "store")
        fill(path, synchronous, items)
        if processes == 1:
            began = perf_counter()
            done = drain(path, synchronous, units)
            seconds = perf_counter() - began
        else:
            done, seconds = _side_by_side(drain, (path, synchronous, units), processes)
    assert done == items, f"{done} of {items} items were done"
    return items / seconds


def _side_by_side(drain: Drain, arguments: tuple[Any, ...], processes: int) -> tuple[int, float]:
    spawn = get_context("spawn")
    pipes, workers = [], []
    try:
        for _ in range(processes):
            ours, theirs = spawn.Pipe()
            worker = spawn.Process(target=_work, args=(theirs, drain, arguments), daemon=True)
            worker.start()
            pipes.append(ours)
            workers.append(worker)
        for pipe in pipes:
            pipe.recv()  # it has imported what it needs
        began = perf_counter()
        for pipe in pipes:
            pipe.send(None)
        done = sum(pipe.recv() for pipe in pipes)
        return done, perf_counter() - began
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def _work(pipe: Connection, drain: Drain, arguments: tuple[Any, ...]) -> None:
    pipe.send(None)
    pipe.recv()
    pipe.send(drain(*arguments))


def whole_jobs(synchronous: Synchronous, count: int) -> float:
    """Jobs of one task per second, with one host's worker in the same process."""

    async def main(path: Path) -> float:
        store = await SqliteStore.open(path, KINDS, schema=1, synchronous=synchronous)
        async with store, job_center(store) as center:
            await center.jobs(count // 10, 1, OPEN_JOBS)  # the first ones warm up
            return count / await center.jobs(count, 1, OPEN_JOBS)

    with TemporaryDirectory(prefix="ave-bench-", dir=Path.cwd()) as folder:
        return asyncio.run(main(Path(folder, "store")))


def run(*, quick: bool = False) -> list[Row]:
    pairs, size = (3, 0.2) if quick else (PAIRS, 1.0)
    rows = []
    modes: tuple[tuple[Synchronous, int], ...] = (("NORMAL", 10_000), ("FULL", 500))
    for synchronous, count in modes:
        items = int(count * size)
        for processes, units, goal in ((1, 1, None), (1, UNITS, GOAL_ONE), (PROCESSES, UNITS, GOAL_FOUR)):
            what = f"{synchronous}, {processes} process{'es' if processes > 1 else ''}, {units} in flight"
            of_bare, of_kept, rates = [], [], []
            for _ in range(pairs):
                bare = rate(fill_raw, drain_raw, synchronous, items, 1, processes)
                kept = rate(fill_kept, drain_kept, synchronous, items, 1, processes)
                ours = rate(fill_store, drain_store, synchronous, items, units, processes)
                of_bare.append(ours / bare)
                of_kept.append(ours / kept)
                rates.append(ours)
            full = synchronous == "FULL"  # as production runs
            rows += [
                Row("P13", f"{what}: claim + finish", median(rates), "/s", None, "more"),
                Row(
                    "P13",
                    f"{what}: share of the keeping loop",
                    median(of_kept),
                    "",
                    goal,
                    "more",
                    due=full or processes > 1,
                ),
                Row("P13", f"{what}: share of the bare loop", median(of_bare), "", goal, "more", due=full),
            ]
        jobs = median(whole_jobs(synchronous, items // 10) for _ in range(pairs))
        rows.append(Row("P13", f"{synchronous}: whole Jobs of one task", jobs, "/s", None, "more"))
    return rows
