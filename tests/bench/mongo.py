"""P12: claim and finish of one item through the MongoDB store, against a raw loop of the same two findAndModify.

One real mongod, a majority of one, journalled on a disk as in production: in memory no write waits, and that wait is what
a batch saves. The raw loop has one index and no documents as of each change; the store has all indexes of the kind ``work``,
and keeps what each write replaced. Both use the same asynchronous client, by turns, in wall-clock time; the server runs on
the same cores.

Batches are measured against single operations, and against the same batches without the store, whose replacements name a
version as well as an id; siblings against a worker that does one at a time, and against all of them on one of the same
sixteen workers (docs/decisions/0014).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from statistics import median
from time import perf_counter
from typing import Any

from pymongo import AsyncMongoClient, ReplaceOne, ReturnDocument

from ave.kinds import KINDS
from ave.model.states import may_move, move
from ave.model.work import TASK, Work, WorkState
from ave.ports.store import In, Insert, Replace
from ave.sync import gather
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.mongo.codec import encode
from drivers.mongo.settings import MongoSettings
from drivers.mongo.store import MongoStore
from tests.bench.center import job_center
from tests.bench.row import Row
from tests.mongod import single_node

PAIRS = 5
ITEMS = 600
BATCH = 50
WORKERS = 16
OPEN_JOBS = 16  # at once
LANE = "host-1"
GOAL_PORT, GOAL_BATCHED, GOAL_JOB, GOAL_SIBLINGS = 0.7, 8.0, 0.2, 1.0
# As fast as one worker alone: ratios of one machine differ by a tenth from run to run. 240 have four writers to one plan.
SIBLINGS: dict[int, float | None] = {60: 0.9, 240: None}
_CLAIM = may_move(TASK, WorkState.READY, WorkState.RUNNING)


def items(count: int) -> list[Work]:
    return [
        Work(id=f"bench-{n}/step", job=f"bench-{n}", step="step", function="bench", lane=LANE, rank=float(n))
        for n in range(count)
    ]


async def raw(uri: str, count: int, in_flight: int) -> float:
    """Items a second."""
    async with AsyncMongoClient[dict[str, Any]](uri, w="majority", journal=True) as client:
        name = _name()
        work = client[name]["work"]
        await work.create_index([("lane", 1), ("state", 1), ("rank", 1), ("_id", 1)])
        await work.insert_many([{**encode(item), "version": 1} for item in items(count)])

        async def unit() -> int:
            done = 0
            while claimed := await work.find_one_and_update(
                {"lane": {"$in": [LANE, "scheduler"]}, "state": "ready"},
                {"$set": {"state": "running", "handler": "bench"}, "$inc": {"attempt": 1, "version": 1}},
                sort=[("rank", 1), ("_id", 1)],
                return_document=ReturnDocument.AFTER,
            ):
                same = {"_id": claimed["_id"], "version": claimed["version"]}
                finish = {"$set": {"state": "done", "handler": ""}, "$inc": {"version": 1}}
                assert await work.find_one_and_update(same, finish, return_document=ReturnDocument.AFTER)
                done += 1
            return done

        began = perf_counter()
        done = await asyncio.gather(*[unit() for _ in range(in_flight)])
        seconds = perf_counter() - began
        await client.drop_database(name)
    assert sum(done) == count, f"{done} of {count} items were done"
    return count / seconds


async def raw_batched(uri: str, count: int, batch: int) -> float:
    """Items a second: the first ones are read, replaced, and replaced again in a transaction; with all indexes."""
    name = _name()
    async with opened(uri, name), AsyncMongoClient[dict[str, Any]](uri, w="majority", journal=True) as client:
        work = client[name]["work"]
        await work.insert_many([{**encode(item), "version": 1} for item in items(count)])
        first = {"lane": {"$in": [LANE, "scheduler"]}, "state": "ready"}
        began = perf_counter()
        while found := await work.find(first, sort=[("rank", 1), ("_id", 1)], limit=batch).to_list():
            for doc in found:
                doc |= {"state": "running", "handler": "bench", "attempt": 1, "version": 2}
            claims = [ReplaceOne({"_id": doc["_id"], "version": 1}, doc) for doc in found]
            assert (await work.bulk_write(claims, ordered=False)).matched_count == len(found)
            ends = [
                ReplaceOne({"_id": doc["_id"], "version": 2}, {**doc, "state": "done", "version": 3}) for doc in found
            ]
            async with client.start_session() as session, await session.start_transaction():
                assert (await work.bulk_write(ends, session=session)).matched_count == len(found)
        seconds = perf_counter() - began
    return count / seconds


async def ported(uri: str, count: int, in_flight: int, batch: int = 1) -> float:
    """Items a second."""
    async with opened(uri) as (runtime, store):
        todo = items(count)
        for first in range(0, count, 200):
            await store.commit(*[Insert(item, {"submitted": 0.0}) for item in todo[first : first + 200]])

        async def unit() -> int:
            done = 0
            while claimed := await store.take(
                Work,
                {"lane": In((LANE, "scheduler")), "state": WorkState.READY},
                ("rank",),
                set={**_CLAIM, "handler": "bench"},
                add={"attempt": 1},
                stamp={"assigned": 0.0},
                limit=batch,
            ):
                ends = [move(item, WorkState.DONE, "did it", handler="") for item in claimed]
                await store.commit(*[Replace(end, {"finished": 0.0}) for end in ends])
                done += len(claimed)
            return done

        began = perf_counter()
        done = await gather(runtime, *[unit() for _ in range(in_flight)], name="unit")
        seconds = perf_counter() - began
    assert sum(done) == count, f"{done} of {count} items were done"
    return count / seconds


async def jobs(uri: str, count: int, tasks: int, hosts: int, open_jobs: int, on: str = "") -> float:
    """Jobs a second, whole; their tasks anywhere, or all ``on`` one host."""
    names = [f"host-{n}" for n in range(hosts)]
    async with opened(uri) as (_, store), job_center(store, names, on) as center:
        await center.jobs(max(count // 10, 1), 1, open_jobs)  # the first ones warm up
        return count / await center.jobs(count, tasks, open_jobs)


def _faster(ours: Sequence[float], others: Sequence[float]) -> float:
    """How many times as fast, of rates: by all the time that the same work took, which differs less than each ratio."""
    return sum(1 / rate for rate in others) / sum(1 / rate for rate in ours)


def _name() -> str:
    return f"ave-bench-{token_hex(4)}"


@asynccontextmanager
async def opened(uri: str, name: str = "") -> AsyncIterator[tuple[AsyncioRuntime, MongoStore]]:
    runtime = AsyncioRuntime("bench")
    name = name or _name()
    store = await MongoStore.open(runtime, MongoSettings(uri=uri, database=name), KINDS)
    try:
        yield runtime, store
    finally:
        await store.close()
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            await client.drop_database(name)


def run(*, quick: bool = False) -> list[Row]:
    pairs, size = (3, 0.3) if quick else (PAIRS, 1.0)
    count = int(ITEMS * size)
    rows: list[Row] = []
    with single_node(on_disk=True) as uri:
        shares: list[float] = []
        for in_flight in (1, WORKERS):
            rates: list[float] = []
            ratios = []
            for _ in range(pairs):
                beside = asyncio.run(raw(uri, count, in_flight))
                rates.append(asyncio.run(ported(uri, count, in_flight)))
                ratios.append(rates[-1] / beside)
            shares.append(median(ratios))
            rows.append(Row("P12", f"claim + finish, {in_flight} in flight", median(rates), "/s", None, "more"))
            rows.append(Row("P12", f"{in_flight} in flight: share of raw", shares[-1], "", None, "more"))
        rows.append(Row("P12", "share of raw, median of both", median(shares), "", GOAL_PORT, "more"))
        rows += _batches(uri, 3 * pairs, count)
        rows += _jobs(uri, pairs, size)
    return rows


def _batches(uri: str, times: int, count: int) -> list[Row]:
    """By turns, and in all: how long a disk takes differs by a tenth from one to the next."""
    ours, by_hand, single = list[float](), list[float](), list[float]()
    for _ in range(times):
        single.append(asyncio.run(ported(uri, count, 1)))
        by_hand.append(asyncio.run(raw_batched(uri, 5 * count, BATCH)))
        ours.append(asyncio.run(ported(uri, 5 * count, 1, BATCH)))
    what = f"in batches of {BATCH}"
    return [
        Row("P12", f"{what}: share of raw", _faster(ours, by_hand), "", GOAL_PORT, "more"),
        Row("P12", what, _faster(ours, single), "× single", GOAL_BATCHED, "more"),
        Row("P12", "the same without the store", _faster(by_hand, single), "× single", None, "more"),
    ]


def _jobs(uri: str, pairs: int, size: float) -> list[Row]:
    """What the Job Center makes of it: its commits, folds and watches."""
    one = []
    for _ in range(pairs):
        beside = asyncio.run(raw(uri, int(ITEMS * size), 1))
        one.append((asyncio.run(jobs(uri, int(100 * size), 1, 1, OPEN_JOBS)), beside))
    share = median(whole / beside for whole, beside in one)
    rows = [
        Row("P12", "whole Jobs of one task", median(whole for whole, _ in one), "/s", None, "more"),
        Row("P12", "one of them, share of raw", share, "", GOAL_JOB, "more"),
    ]
    for siblings, goal in SIBLINGS.items():
        anywhere, on_one, smaller, one_by_one = list[float](), list[float](), list[float](), list[float]()
        for _ in range(
            (2 if goal is None else 4) * pairs
        ):  # each differs by a tenth, all the room that the goal leaves
            anywhere.append(siblings * asyncio.run(jobs(uri, 3, siblings, WORKERS, 1)))
            on_one.append(siblings * asyncio.run(jobs(uri, 3, siblings, WORKERS, 1, "host-1")))
            smaller.append(siblings * asyncio.run(jobs(uri, 3, siblings, 1, 1)))
            one_by_one.append(asyncio.run(ported(uri, int(100 * size), 1)))
        what = f"{siblings} siblings, {WORKERS} workers"
        rows.append(Row("P12", what, _faster(anywhere, one_by_one), "× one by one", GOAL_SIBLINGS, "more"))
        rows.append(Row("P12", what, _faster(anywhere, on_one), "× on one", goal, "more"))
        rows.append(Row("P12", what, _faster(anywhere, smaller), "× 1 worker", None, "more"))
    return rows
