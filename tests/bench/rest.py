"""P16: what it costs to ask the API for one VM, against a bare Starlette with msgspec, and against FastAPI.

Each server is a process of its own. Rates are requests by CPU second of the server, so that whoever asks is not what is
measured; times are of the wall clock, with as many connections as are named, each with one request at a time.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles
from time import monotonic

import msgspec

from tests.bench.rest_server import VMS
from tests.bench.row import Row

FEW, MANY = 256, 500
REQUESTS = 20_000
PAIRS = 3
READY_SECONDS = 30.0
STARLETTE_GOAL, FASTAPI_GOAL, P99_GOAL, MANY_GOAL = 0.6, 1.3, 1.7, 0.9
_TICKS = os.sysconf("SC_CLK_TCK")


class Found(msgspec.Struct, frozen=True):
    rate: float  # by CPU second
    p99: float  # seconds
    errors: int


def run(*, quick: bool = False) -> list[Row]:
    requests, pairs = (4_000, 1) if quick else (REQUESTS, PAIRS)
    with server("ave") as ave, server("starlette") as starlette, server("fastapi") as fastapi:
        found: dict[str, list[Found]] = {"ave": [], "starlette": [], "fastapi": [], "many": []}
        for _ in range(pairs):
            found["ave"].append(ave.measure(requests, FEW))
            found["starlette"].append(starlette.measure(requests, FEW))
            found["fastapi"].append(fastapi.measure(requests // 2, FEW))
            found["many"].append(ave.measure(requests, MANY))
    rate = {name: median(each.rate for each in runs) for name, runs in found.items()}
    p99 = {name: median(each.p99 for each in runs) for name, runs in found.items()}
    errors = sum(each.errors for runs in found.values() for each in runs)
    return [
        Row("P16", f"GET of one VM, {FEW} connections", rate["ave"], "/CPU-s", None, "more"),
        Row("P16", "against Starlette and msgspec", rate["ave"] / rate["starlette"], "times", STARLETTE_GOAL, "more"),
        Row("P16", "against FastAPI", rate["ave"] / rate["fastapi"], "times", FASTAPI_GOAL, "more"),
        Row("P16", "p99 against Starlette's", p99["ave"] / p99["starlette"], "times", P99_GOAL, "less"),
        Row("P16", f"{MANY} connections against {FEW}", rate["many"] / rate["ave"], "times", MANY_GOAL, "more"),
        Row("P16", "errors", errors, "", 0, "less"),
    ]


class Server:
    def __init__(self, pid: int, port: int, token: str) -> None:
        self._pid, self._port, self._token = pid, port, token

    def measure(self, requests: int, connections: int) -> Found:
        before = self._cpu_seconds()
        times, errors = asyncio.run(self._ask(requests, connections))
        return Found((len(times)) / (self._cpu_seconds() - before), quantiles(times, n=100)[98], errors)

    def _cpu_seconds(self) -> float:
        with open(f"/proc/{self._pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    async def _ask(self, requests: int, connections: int) -> tuple[list[float], int]:
        times: list[float] = []
        errors = 0
        left = requests
        header = f"Host: h1\r\nAuthorization: Bearer {self._token}\r\n" if self._token else "Host: h1\r\n"
        draw = random.Random(1)

        async def client() -> None:
            nonlocal errors, left
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            while left > 0:
                left -= 1
                began = monotonic()
                writer.write(f"GET /v1/vms/web-{draw.randrange(VMS)} HTTP/1.1\r\n{header}\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                await reader.readexactly(size)
                times.append(monotonic() - began)
                errors += not head.startswith(b"HTTP/1.1 200")
            writer.close()

        await asyncio.gather(*[client() for _ in range(connections)])
        return times, errors


@contextmanager
def server(what: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.bench.rest_server", what]
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
