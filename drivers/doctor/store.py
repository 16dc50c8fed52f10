"""The store: whether it lets this host in, keeps what it is given, and has a clock that goes as this host's does.

Nothing is made there that is missing: that is for the first node to do.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from ave.errors import AveError
from ave.ha.timing import RATE_ERROR
from ave.kinds import SCHEMA
from drivers.config import StoreConfig
from drivers.doctor.check import WAIT_SECONDS, Check, Found, Subject, failed, ok, unless_node, warning, worst
from drivers.doctor.mounts import file_system, nearest
from drivers.sqlite.file import APPLICATION
from drivers.urls import SQLITE

SQLITE_MAGIC, MAGIC_BYTES, VERSION_AT, APPLICATION_AT = b"SQLite format 3\0", 100, 60, 68
ACROSS_A_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "fuse.sshfs", "fuse.glusterfs")
BEHIND_SECONDS = 15.0  # more than the pause between two writes that a primary makes to keep a quiet set going
APART_SECONDS = 5.0  # of two wall clocks: nothing depends on it but what people read
SPAN_SECONDS = 1.5  # over which the rate of two clocks is compared
TICK_SECONDS = 0.001  # in which MongoDB says its time


def _store(subject: Subject) -> StoreConfig:
    assert subject.config is not None, "these rows are only for who has one"
    return subject.config.store


def _reach(subject: Subject) -> Found:
    store = _store(subject)
    if store.url.startswith(SQLITE):
        return _file(Path(store.url.removeprefix(SQLITE)))
    return _of_mongo(store, _let_in, failed)


# SQLite


def _file(path: Path) -> Found:
    folder = path.absolute().parent
    if not os.access(there := nearest(folder), os.X_OK, effective_ids=True):
        return failed(f"store.url: this user may not look into {there}")
    if not folder.is_dir():
        return failed(f"store.url: there is no folder {folder}", f"mkdir -p {folder}, on a file system of this machine")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return failed(f"store.url: this user may not write to the folder {folder}")
    kind = file_system(folder)
    if kind in ACROSS_A_NETWORK:
        return failed(f"store.url: {folder} is on {kind}, where processes of several machines would damage the file")
    try:
        with path.open("rb") as file:
            head = file.read(MAGIC_BYTES)
    except FileNotFoundError:
        return ok(f"SQLite: the first node makes {path}")
    except OSError as problem:
        return failed(f"store.url: {path} cannot be read: {problem.strerror}")
    if not os.access(path, os.W_OK, effective_ids=True):
        return failed(f"store.url: this user may not write to {path}")
    if head and not head.startswith(SQLITE_MAGIC):
        return failed(f"store.url: {path} is no database", "name another file")
    application = int.from_bytes(head[APPLICATION_AT : APPLICATION_AT + 4], "big")
    schema = int.from_bytes(head[VERSION_AT : VERSION_AT + 4], "big")
    if application not in (0, APPLICATION):
        return failed(f"store.url: {path} is a database, but not one of AVE", "name another file")
    if schema > SCHEMA:
        return failed(
            f"store.url: {path} has schema {schema}, and this AVE knows {SCHEMA}", "install the AVE that wrote it"
        )
    return ok(f"SQLite: {path}")


# MongoDB


class Door(NamedTuple):
    """A store that let us in."""

    settings: Any
    client: Any
    said: dict[str, Any]  # by the primary of itself

    @property
    def database(self) -> Any:
        return self.client[self.settings.database]


def _of_mongo(store: StoreConfig, look: Callable[[Door], Awaitable[Found]], shut: Callable[[str, str], Found]) -> Found:
    """What is found behind the door, or that it stays shut."""
    try:
        import pymongo.errors  # noqa: F401
    except ImportError as missing:
        return shut(f"store.url names MongoDB, and {missing.name} is not there", "pip install ave[mongo]")
    try:
        return asyncio.run(_entered(store, look))
    except AveError as problem:
        return shut(str(problem), "")


def _said_already(_says: str, _fix: str) -> Found:
    return Found("not asked", "the store does not let this host in: see store.reach")


async def _entered(store: StoreConfig, look: Callable[[Door], Awaitable[Found]]) -> Found:
    """Raises what MongoStore.open raises."""
    from pymongo.errors import PyMongoError

    from drivers.mongo.faults import SentLog, explained, refused
    from drivers.mongo.settings import MongoSettings

    settings = MongoSettings(
        uri=store.url,
        database=store.database,
        user=store.user,
        password_file=store.password_file,
        select_seconds=WAIT_SECONDS,
    )
    client = settings.client(SentLog())
    try:
        said = await client.admin.command("hello")
        address = "{}:{}".format(*(await client.address or ("", "")))
        if refusal := refused(said, address, settings.place()[1]):
            raise refusal
        return await look(Door(settings, client, said))
    except PyMongoError as error:
        raise await explained(error, settings) from error
    finally:
        await client.close()


async def _let_in(door: Door) -> Found:
    from drivers.mongo.schema import check_version

    await check_version(door.database, SCHEMA)
    return ok(f"{door.settings} lets this host in, with primary {door.said.get('primary')}")


def _majority(subject: Subject) -> Found:
    store = _store(subject)
    if store.url.startswith(SQLITE):
        return Found("not asked", "SQLite has no members")
    return _of_mongo(store, _members, _said_already)


async def _members(door: Door) -> Found:
    """A write is done when a majority has it in its journals: so a majority must run, keep up, and be heard from here too,
    as any of them may be the next primary."""
    said = door.said
    with_data = [*said.get("hosts", ()), *said.get("passives", ())]
    voting = [*with_data, *said.get("arbiters", ())]
    answers = await asyncio.gather(*[_member(door, address) for address in with_data])
    silent = [f"{address} ({why})" for address, why in zip(with_data, answers, strict=True) if why]
    up, majority = len(with_data) - len(silent), len(voting) // 2 + 1
    name = said.get("setName")
    if up < majority:
        return failed(
            f"replica set {name}: only {up} of its members that hold data answer here, and a write needs {majority}: "
            f"{', '.join(silent)}"
        )
    found = []
    behind = _behind(said.get("lastWrite", {}))
    if behind > BEHIND_SECONDS:
        found.append(
            failed(f"replica set {name}: its majority is {behind:.0f} s behind its primary: writes wait for it")
        )
    if silent:
        found.append(warning(f"replica set {name}: {', '.join(silent)} cannot be reached, and may be the next primary"))
    if said.get("arbiters"):
        found.append(
            warning(
                f"replica set {name} has an arbiter, which keeps nothing: with one other member lost no write is done",
                "have a third member with data instead",
            )
        )
    if len(with_data) < 3:
        found.append(
            warning(
                f"replica set {name} has {len(with_data)} member{'s' * (len(with_data) > 1)} with data: with one lost "
                "nothing is written",
                "add members until there are three or five",
            )
        )
    return worst(found, ok(f"{up} of {len(with_data)} members of replica set {name} answer, and a majority keeps up"))


async def _member(door: Door, address: str) -> str:
    """Why it takes no writes, or nothing."""
    from pymongo.errors import PyMongoError

    from drivers.mongo.faults import reason

    async with door.settings.probe(address) as client:
        try:
            said = await client.admin.command("hello")
        except PyMongoError as error:
            return reason(error).removeprefix(f"{address}: ")
    return "" if said.get("isWritablePrimary") or said.get("secondary") else "neither primary nor secondary"


def _behind(last: dict[str, Any]) -> float:
    newest, kept = last.get("opTime"), last.get("majorityOpTime")
    if not newest or not kept:
        return 0.0
    return float(newest["ts"].time - kept["ts"].time)


# Clocks


class Tick(NamedTuple):
    """The store's time, asked for and answered at these moments of this host's own clock."""

    sent: float
    store: float
    heard: float
    wall: float


def rate(first: Tick, last: Tick, error: float) -> tuple[float, float]:
    """Between what bounds is the rate of the store's clock, over that of this host's, less one? ``error``: of each reading
    of the store's."""
    passed = last.store - first.store
    return (passed - error) / (last.heard - first.sent) - 1, (passed + error) / (last.sent - first.heard) - 1


def _clocks(subject: Subject) -> Found:
    store = _store(subject)
    if store.url.startswith(SQLITE):
        first = _own_tick()
        time.sleep(SPAN_SECONDS)
        return judged(first, _own_tick(), 0.0, "this machine's wall clock")
    return _of_mongo(store, _ticks, _said_already)


def _own_tick() -> Tick:
    sent, wall, heard = time.monotonic(), time.time(), time.monotonic()
    return Tick(sent, wall, heard, wall)


async def _ticks(door: Door) -> Found:
    await _tick(door)  # the connection is there from now on
    first = await _tick(door)
    await asyncio.sleep(SPAN_SECONDS)
    return judged(
        first, await _tick(door), 2 * TICK_SECONDS, f"the clock of MongoDB's primary {door.said.get('primary')}"
    )


async def _tick(door: Door) -> Tick:
    sent, wall = time.monotonic(), time.time()
    said = await door.database.command("hello", codec_options=door.database.codec_options)
    return Tick(sent, int(said["localTime"]) / 1000, time.monotonic(), wall)


def judged(first: Tick, last: Tick, error: float, whose: str) -> Found:
    low, high = rate(first, last, error)
    measured = f"{whose} goes {low:+.2%} to {high:+.2%} against this host's monotonic clock"
    if low > RATE_ERROR or high < -RATE_ERROR:
        return failed(
            f"{measured}; they must agree within {RATE_ERROR:.1%}, or a lease may be judged over before it is",
            "look at the clock source of both machines, and at who sets a clock by jumps: chronyc tracking, dmesg",
        )
    apart = last.store - last.wall
    if abs(apart) > APART_SECONDS:
        return warning(
            f"{whose} is {apart:+.0f} s apart from this host's: times that people read are wrong by as much",
            "have an NTP client run on both: apt-get install chrony",
        )
    return ok(measured)


ROWS = (
    Check(
        "store.reach",
        "the store lets this host in",
        _reach,
        "look at [store] url, user and password_file, and at the rights of the folder or of the user",
        unless_node,
        3 * WAIT_SECONDS,  # nobody answers; then each is asked by itself, why
    ),
    Check(
        "store.majority",
        "a majority of the store keeps what is written",
        _majority,
        "start the members that are missing, and open their ports to this host",
        unless_node,
        3 * WAIT_SECONDS,
    ),
    Check(
        "clock.rate",
        "the store's clock goes as fast as this host's",
        _clocks,
        "see store.reach",
        unless_node,
        3 * WAIT_SECONDS,
    ),
)
