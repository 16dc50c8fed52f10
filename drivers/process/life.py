"""Processes by an identity that is never used twice, and signals that cannot hit another one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from ave.errors import Unavailable

STOP_SECONDS = 1.0  # for a process to stand still: at once, unless it waits for a disk
END_SECONDS = 5.0  # for a killed one to be gone
LOOK_AGAIN_SECONDS = 0.0005
_STANDING = "Tt"
_GONE = "ZXx"


class Life(msgspec.Struct, frozen=True):
    """One process of one start of the machine's kernel; ``born`` in clock ticks after that start."""

    kernel: str
    pid: int
    born: int


@cache
def kernel() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def life_of(pid: int) -> Life | None:
    look = _look(pid)
    return Life(kernel(), pid, look[1]) if look else None


def is_there(life: Life) -> bool:
    return bool(_state(life))


def is_standing(life: Life) -> bool:
    return _state(life) in _STANDING and is_there(life)


def send(life: Life, what: signal.Signals) -> bool:
    """Was it there to be told?"""
    try:
        handle = os.pidfd_open(life.pid)  # from here on it is this process or none
    except ProcessLookupError:
        return False
    try:
        if not is_there(life):
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, what)
            return True
        return False
    finally:
        os.close(handle)


def stop(life: Life) -> bool:
    """It stands still, or is gone, when this returns; answer whether it ran before."""
    if not is_there(life) or is_standing(life):
        return False
    send(life, signal.SIGSTOP)
    wait_until_standing(life)
    return True


def wait_until_standing(life: Life) -> None:
    """Or until it is gone."""
    _wait(life, lambda: not is_there(life) or is_standing(life), STOP_SECONDS, "does not stand still")


def end(life: Life) -> None:
    """It is gone when this returns."""
    send(life, signal.SIGKILL)
    _wait(life, lambda: not is_there(life), END_SECONDS, "does not end")


def running(command: Sequence[str]) -> Iterator[tuple[Life, list[str]]]:
    """Processes whose command line begins so after the interpreter and its options, and the rest of that line."""
    wanted = [os.fsencode(word) for word in command]
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")[:-1]
            if wanted[0] not in words:
                continue
            begin = words.index(wanted[0])
            if words[begin : begin + len(wanted)] == wanted and (life := life_of(int(name))):
                yield life, [os.fsdecode(word) for word in words[begin + len(wanted) :]]


def _state(life: Life) -> str:
    if life.kernel != kernel():
        return ""
    look = _look(life.pid)
    return look[0] if look and look[1] == life.born else ""


def _look(pid: int) -> tuple[str, int] | None:
    """(state, born) of whatever has this number now; None for what has ended, though its parent may not know it yet."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in _GONE else (fields[0], int(fields[19]))


def _wait(life: Life, come: Callable[[], bool], seconds: float, otherwise: str) -> None:
    ends = time.monotonic() + seconds
    while not come():
        if time.monotonic() >= ends:
            raise Unavailable(f"process {life.pid} {otherwise} within {seconds:g} s")
        time.sleep(LOOK_AGAIN_SECONDS)
