"""The processes of a bed: all that are in one of its network namespaces, whoever started them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import sleep

from tests.real.bed import maker
from tests.real.bed.command import BedError, until

_END_SECONDS = 20.0
_BORN_SECONDS = 0.05  # between its fork and its exec, a process cannot be told from its parent


def namespace(path: str) -> str:
    """What the kernel calls the namespace behind this path: the same for all that are in it. Empty if there is none."""
    try:
        return str(os.stat(path).st_ino)
    except OSError:
        return ""


def of_namespace(kind: str, wanted: Iterable[str]) -> Iterator[int]:
    """Every process whose namespace of this kind is one of these."""
    known = {each for each in wanted if each}
    return (pid for pid in all_pids() if namespace(f"/proc/{pid}/ns/{kind}") in known)


def all_pids() -> list[int]:
    return [int(folder) for folder in os.listdir("/proc") if folder.isdigit()]


def program(pid: int) -> str:
    """The name of the program that it runs; empty if it has ended."""
    try:
        return Path(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")).name
    except OSError:
        return ""


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end_all(networks: Iterable[str]) -> None:
    """Kill all that are in these network namespaces, until there is none. BedError if one does not end."""
    known = list(networks)
    _end(lambda: list(of_namespace("net", known)))


def end_all_of(owner: int, since: int) -> None:
    """Kill all that a dead maker started, and whatever it had just begun to start. BedError if one does not end."""
    for _ in range(2):
        _end(lambda: [pid for pid in all_pids() if maker.started(pid, owner, since)])
        sleep(_BORN_SECONDS)


def _end(wanted: Callable[[], list[int]]) -> None:
    def ended() -> bool:
        left = wanted()
        for pid in left:
            kill(pid)
        return not left

    try:
        until(ended, "killed processes end", _END_SECONDS)
    except BedError as hung:
        raise BedError(f"{hung}: {', '.join(f'{pid} {program(pid)}' for pid in wanted())}") from None
