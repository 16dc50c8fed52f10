"""Files that survive what their writers do not: locks that end with their holder, and replacements that are whole."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

import msgspec

from ave.errors import Unavailable, UnknownOutcome

T = TypeVar("T")

LOCK_SECONDS = 5.0  # nobody holds one for longer than a few writes to the disk take
ANSWER_SECONDS = 15.0  # whatever a call does: three locks at most
LOOK_AGAIN_SECONDS = 0.002

DAMAGED = (msgspec.MsgspecError, UnicodeDecodeError)  # how a file that nobody can make sense of shows

_threads = ThreadPoolExecutor(32, thread_name_prefix="disk")  # most of them wait for a lock or a disk


async def aside(what: str, function: Callable[[], T]) -> T:
    """Answer as ``function`` does, from a thread: it waits for locks and disks, and the event loop must not.

    Unavailable when the disk refuses. UnknownOutcome when there is no answer within ANSWER_SECONDS: it may yet happen.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(_threads, function)
    except TimeoutError:
        raise UnknownOutcome(f"{what}: no answer within {ANSWER_SECONDS:g} s") from None
    except OSError as error:
        raise Unavailable(f"{what}: {error.filename or 'the disk'}: {error.strerror}") from error


def file_name(name: str) -> str:
    """Any name as one that a folder can hold, never hidden and never one of ours."""
    return quote(name, safe="").replace(".", "%2E")


def name_of(file: str) -> str:
    """The name that was made into this one."""
    return unquote(file)


@contextmanager
def locked(path: Path, what: str, *, shared: bool = False, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold this lock; it ends with the process. Unavailable when another holds it for so long."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not acquire(handle, seconds, shared=shared):
            raise Unavailable(f"{what} has been locked by another process for {seconds:g} s")
        yield
    finally:
        os.close(handle)


def acquire(handle: int, seconds: float, *, shared: bool = False) -> bool:
    """Lock this open file, unless somebody else holds it for so long."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    ends = time.monotonic() + seconds
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= ends:
            return False
        time.sleep(LOOK_AGAIN_SECONDS)


def replace(path: Path, content: bytes, *, durably: bool = True) -> None:
    """Put this file there, whole or not at all. Durably: also for who loses power in the next moment.

    Whoever replaces a file durably holds a lock for it, so there is at most one half-written file beside it.
    """
    new = path.with_name(f".{path.name}.{'new' if durably else os.getpid()}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]
        if durably:
            os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(new, path)
    if durably:
        try:
            settle(path.parent)
        except OSError as error:
            raise UnknownOutcome(f"{path.name} is written, but may not outlast a power loss: {error}") from error


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """What was put into this folder or taken out of it outlasts a power loss."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
