"""Serve a simulated cluster: the API before a scenario that is played, for any client."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from traceback import print_exception

import msgspec

from ave import __version__
from ave.errors import Refused
from ave.kinds import KINDS
from drivers.rest.background import in_background
from drivers.rest.served import serve_world
from drivers.rest.server import listen
from drivers.rest.simulated import SPEED_MOST, Speed
from sim.journal import Head, Journal, JournalFile, read
from sim.recorder import Recorder
from sim.recording import Recording
from sim.run import Asked, workloads
from sim.scenario.load import load, loads
from sim.scenario.model import Scenario
from sim.served import Served, replay
from sim.tables import CATALOGUE

LOOPBACK = "127.0.0.1"
LOCAL = "sim:"
LOCAL_SPEED = 60.0
LOCAL_MOST = 64
JOURNAL = "journal.jsonl"
_LOCAL = re.compile(r"sim:([1-9][0-9]{0,2})-host")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """``what``: a scenario file, or sim:6-host. ``host``: whose API; "": of one that is up."""

    what: str
    port: int = 0  # 0: one that is free
    speed: Speed = 60.0
    host: str = ""
    paused: bool = False
    seed: int | None = None
    out: Path | None = None
    replay: Path | None = None  # a journal: all that was done then is done again before anything is served


def scenario_of(name: str) -> Scenario:
    """Of sim:1-host to sim:64-host: hosts with a small workload that runs. Raises Refused."""
    found = _LOCAL.fullmatch(name)
    if found is None or int(found[1]) > LOCAL_MOST:
        raise Refused(f"{name} is no simulated cluster: sim:1-host to sim:{LOCAL_MOST}-host are")
    hosts = int(found[1])
    text = f"""
apiVersion: ave.sim/v1
kind: Scenario
metadata: {{name: sim-{hosts}-host, description: hosts with a small workload}}
spec:
  seed: 1
  duration: 1h
  topology: {{hosts: {hosts}, cpu: 32, memory: 128GiB}}
  groups:
    - {{name: db-apart, rule: prefer-different-hosts}}
  workload:
    - {{fleet: db, count: {hosts}, vcpu: 4, memory: 16GiB, disk: 100GiB, priority: high, groups: [db-apart]}}
    - {{fleet: web, count: {3 * hosts}, vcpu: 2, memory: 4GiB, disk: 20GiB}}
"""
    return loads(text, CATALOGUE, Path(name))


@contextmanager
def local(name: str) -> Iterator[str]:
    """The URL of a simulated cluster that exists as long as this block, such as that of sim:6-host. Raises Refused.

    It has a thread of its own. Its time goes 60 times as fast as ours, and as fast as it can while somebody waits.
    """
    scenario = scenario_of(name)

    async def main(begun: Callable[[str], None]) -> None:
        with listen(LOOPBACK, 0) as where, Served(scenario) as served:
            begun(url(where))
            await serve_world(served, where, speed=LOCAL_SPEED, eager=True, bug=tell_bug)

    with in_background(main) as address:
        yield address


async def serve(wish: Wish, begun: Callable[[str, Served], None]) -> None:
    """Until it is cancelled. Raises Refused, Invalid before anything is served."""
    if isinstance(wish.speed, int | float) and not 0 <= wish.speed <= SPEED_MOST:
        raise Refused(f"--speed: from 0 (which is paused) to {SPEED_MOST:g}, or max")
    file = None if wish.what.startswith(LOCAL) else Path(wish.what)
    scenario = scenario_of(wish.what) if file is None else load(file, CATALOGUE)
    head, entries, until = (None, [], 0.0) if wish.replay is None else read(wish.replay)
    seed, host = (head.seed, head.host) if head is not None else (wish.seed, wish.host)
    seed = scenario.seed if seed is None else seed
    found, _ = workloads(scenario, Asked(file=file or Path(wish.what)), seed)
    with ExitStack() as held:
        where = held.enter_context(listen(LOOPBACK, wish.port))
        books = None
        if wish.out is not None:
            head = Head(ave=__version__, scenario=wish.what, seed=seed, host=host)
            books = held.enter_context(Books(wish.out, head, file))
        served = held.enter_context(
            Served(
                scenario,
                seed=seed,
                host=host,
                arrivals=found,
                recorder=books.recorder if books is not None else None,
                journal=books.journal if books is not None else None,
            )
        )
        if books is not None:
            books.clock = lambda: served.now
        replay(served, entries, until)
        begun(url(where), served)
        await serve_world(served, where, speed=wish.speed, paused=wish.paused, bug=tell_bug, say=_say)


class Books:
    """The run directory: a recording, the journal, and the scenario if it is a file. ``clock`` is the world's, in time."""

    def __init__(self, out: Path, head: Head, file: Path | None) -> None:
        out.mkdir(parents=True, exist_ok=True)
        if file is not None:
            (out / "scenario.yaml").write_bytes(file.read_bytes())
        self.clock: Callable[[], float] = lambda: 0.0
        self._lines = JournalFile(out / JOURNAL, head)
        self.journal = Journal(self._lines.write)
        self._recording = out / "events.jsonl.gz"
        self.recorder = Recorder(self._recording, KINDS, lambda: self.clock())

    def __enter__(self) -> Books:
        return self

    def recorded(self) -> Recording:
        """All that there is by now."""
        self.recorder.flush()
        return Recording(self._recording)

    def __exit__(self, *_: object) -> None:
        self.recorder.close()
        self._lines.close(self.clock())


def url(where: socket.socket) -> str:
    address, port = where.getsockname()[:2]
    return f"http://{address}:{port}"


def tell_bug(error: BaseException) -> None:
    print_exception(error, file=sys.stderr)


def _say(text: str) -> None:
    print(f"simulation: {text}", file=sys.stderr, flush=True)
