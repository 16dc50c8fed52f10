"""P16: what it costs to ask the API for one VM, against a bare Starlette with msgspec, and against FastAPI. P17: creates that
become Jobs on MongoDB, each with its audit record, against bare inserts of a document as large, by the wall clock.

Each server is a process of its own. Rates are requests by CPU second of the server, so that whoever asks is not what is
measured; times are of the wall clock, with as many connections as are named, each with one request at a time.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from statistics import median, quantiles
from time import monotonic
from typing import Any

import msgspec
from pymongo import AsyncMongoClient

from tests.bench.bare_server import VMS
from tests.bench.row import Row
from tests.mongod import single_node

FEW, MANY = 256, 500
REQUESTS = 6_000
# A machine may be a third faster for some seconds, so what is compared is measured side by side; and p99 of one round is
# what happened to hinder it, so that its ratio is between 0.7 and 2.1 from round to round.
ROUNDS = 25
PAIRS = 3
IN_FLIGHT = 64
POST_GOAL = 0.5
MEMORY_GOAL = 2.0
READY_SECONDS = 30.0
STARLETTE_GOAL, FASTAPI_GOAL, P99_GOAL, MANY_GOAL = 0.6, 1.3, 1.7, 0.9


class Found(msgspec.Struct, frozen=True):
    rate: float  # by CPU second, or by second
    p99: float  # seconds
    errors: int


def run(*, quick: bool = False) -> list[Row]:
    rounds = 2 if quick else ROUNDS
    with server("ave") as ave, server("starlette") as starlette, server("fastapi") as fastapi:
        asked = {"ave": (ave, FEW), "starlette": (starlette, FEW), "fastapi": (fastapi, FEW), "many": (ave, MANY)}
        for each, connections in asked.values():
            each.measure(REQUESTS // 3, connections)
        found: dict[str, list[Found]] = {name: [] for name in asked}
        for number in range(rounds):
            for name in list(asked) if number % 2 == 0 else reversed(asked):
                each, connections = asked[name]
                found[name].append(each.measure(REQUESTS, connections))
        memory = {"ave": ave.memory(), "starlette": starlette.memory()}
    errors = sum(each.errors for runs in found.values() for each in runs)

    def ratio(of: str, to: str, what: Callable[[Found], float] = lambda each: each.rate) -> float:
        return median(what(mine) / what(theirs) for mine, theirs in zip(found[of], found[to], strict=True))

    rate = median(each.rate for each in found["ave"])
    return [
        Row("P16", f"GET of one VM, {FEW} connections", rate, "/CPU-s", None, "more"),
        Row("P16", "against Starlette and msgspec", ratio("ave", "starlette"), "times", STARLETTE_GOAL, "more"),
        Row("P16", "against FastAPI", ratio("ave", "fastapi"), "times", FASTAPI_GOAL, "more"),
        Row("P16", "p99 against Starlette's", ratio("ave", "starlette", lambda it: it.p99), "times", P99_GOAL, "less"),
        Row("P16", f"{MANY} connections against {FEW}", ratio("many", "ave"), "times", MANY_GOAL, "more"),
        Row("P16", "errors", errors, "", 0, "less"),
        Row(
            "P19",
            "memory of the server against Starlette's",
            memory["ave"] / memory["starlette"],
            "times",
            MEMORY_GOAL,
            "less",
        ),
        *_creates(400 if quick else 2_000, 1 if quick else PAIRS),
    ]


def _creates(requests: int, pairs: int) -> list[Row]:
    with single_node(("--setParameter", "diagnosticDataCollectionEnabled=false")) as uri, server(uri) as ave:
        runs = [(asyncio.run(inserts(uri, requests)), ave.creates(requests)) for _ in range(pairs)]
    bare, posts = median(each for each, _ in runs), median(each.rate for _, each in runs)
    errors = sum(each.errors for _, each in runs)
    return [
        Row("P17", f"POST that becomes a Job, {IN_FLIGHT} connections", posts, "/s", None, "more"),
        Row(
            "P17",
            "against bare inserts",
            median(each.rate / bare for bare, each in runs),
            "times",
            POST_GOAL,
            "more",
        ),
        Row("P17", "bare inserts", bare, "/s", None, "more"),
        Row("P17", "errors", errors, "", 0, "less"),
    ]


async def inserts(uri: str, count: int) -> float:
    """A second."""
    async with AsyncMongoClient[dict[str, Any]](uri, w="majority", journal=True) as client:
        work = client[f"bare-{token_hex(4)}"]["work"]
        text = msgspec.to_builtins(_create(0))
        left = iter(range(count))

        async def unit() -> None:
            for number in left:
                await work.insert_one(
                    {"_id": f"job-{number}", "arguments": text, "state": "ready", "story": ["born"] * 3}
                )

        began = monotonic()
        await asyncio.gather(*[unit() for _ in range(IN_FLIGHT)])
        return count / (monotonic() - began)


def _create(number: int) -> dict[str, Any]:
    return {"vms": [{"id": f"new-{number}", "vcpus": 2, "memory_mib": 4096}]}


class Server:
    def __init__(self, pid: int, port: int, token: str) -> None:
        self._pid, self._port, self._token = pid, port, token

    def measure(self, requests: int, connections: int) -> Found:
        return asyncio.run(self._ask(requests, connections, self._cpu_seconds))

    def creates(self, requests: int) -> Found:
        """Rate by the wall clock."""
        return asyncio.run(self._ask(requests, IN_FLIGHT, monotonic, create=True))

    def memory(self) -> float:
        """Bytes that are its own alone, and its share of others."""
        with open(f"/proc/{self._pid}/smaps_rollup") as file:
            return float(next(line for line in file if line.startswith("Pss:")).split()[1]) * 1024

    def _cpu_seconds(self) -> float:
        """Of all its threads."""
        total = 0
        for thread in Path("/proc", str(self._pid), "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
        return total / 1e9

    async def _ask(self, requests: int, connections: int, clock: Callable[[], float], *, create: bool = False) -> Found:
        """Once all connections stand, by that clock."""
        times: list[float] = []
        errors = 0
        left = requests
        header = f"Host: h1\r\nAuthorization: Bearer {self._token}\r\n" if self._token else "Host: h1\r\n"
        draw = random.Random(1)

        async def stand(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """The kernel takes a connection before the server does; once it answers, it has, and is done with earlier ones."""
            writer.write(f"GET /v1/vms/web-0 HTTP/1.1\r\n{header}\r\n".encode())
            await answer(reader)

        async def answer(reader: asyncio.StreamReader) -> bytes:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(size)
            return head

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal errors, left
            while left > 0:
                left -= 1
                began = monotonic()
                if create:
                    body = msgspec.json.encode(_create(draw.randrange(10**9)))
                    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                    writer.write(f"POST /v1/vms HTTP/1.1\r\n{header}{length}\r\n".encode() + body)
                else:
                    writer.write(f"GET /v1/vms/web-{draw.randrange(VMS)} HTTP/1.1\r\n{header}\r\n".encode())
                head = await answer(reader)
                times.append(monotonic() - began)
                errors += not head.startswith(b"HTTP/1.1 202" if create else b"HTTP/1.1 200")

        ends = [await asyncio.open_connection("127.0.0.1", self._port) for _ in range(connections)]
        await asyncio.gather(*[stand(*each) for each in ends])
        before = clock()
        await asyncio.gather(*[client(*each) for each in ends])
        took = clock() - before
        for _, writer in ends:
            writer.close()
        return Found(len(times) / took, quantiles(times, n=100)[98], errors)


@contextmanager
def server(what: str) -> Iterator[Server]:
    module = "bare_server" if what in ("starlette", "fastapi") else "rest_server"
    command = [sys.executable, "-m", f"tests.bench.{module}", what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, _, token = process.stdout.readline().strip().partition(" ")
            yield Server(process.pid, int(port), token)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
