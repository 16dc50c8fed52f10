"""The processes of a bed: all that are in one of its network namespaces, whoever started them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.real.bed.command import BedError, until

_END_SECONDS = 20.0


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

    def ended() -> bool:
        left = list(of_namespace("net", known))
        for pid in left:
            kill(pid)
        return not left

    try:
        until(ended, "killed processes end", _END_SECONDS)
    except BedError as hung:
        names = ", ".join(f"{pid} {program(pid)}" for pid in of_namespace("net", known))
        raise BedError(f"{hung}: {names}") from None
