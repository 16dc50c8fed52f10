"""QEMU's processes on this host, by libvirt's pid files: what can be stopped and looked at without libvirt's help."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from ave.errors import Unavailable
from drivers.libvirt.record import OURS
from drivers.process import life
from drivers.process.life import Life


def process_of(pids: Path, name: str) -> Life | None:
    """The process of the domain of this name. A number that another process has by now is not taken for it."""
    return _process(pids / f"{name}.pid", name)


def processes(pids: Path) -> Iterator[Life]:
    """Those of every domain of ours. Unavailable if any could be missed."""
    try:
        files = sorted(path for path in pids.iterdir() if path.suffix == ".pid" and path.name.startswith(OURS))
    except FileNotFoundError:
        return  # libvirt has not run since the host started
    except OSError as error:
        raise Unavailable(f"libvirt's pid files cannot be listed: {error}") from error
    for file in files:
        if (found := _process(file, file.stem)) is not None:
            yield found


def stop_all(pids: Path) -> int:
    """They stand still, or are gone; how many ran before."""
    running = [process for process in processes(pids) if not life.is_standing(process)]
    for process in running:
        life.send(process, signal.SIGSTOP)
    for process in running:
        life.wait_until_standing(process)
    return len(running)


def _process(file: Path, name: str) -> Life | None:
    try:
        pid = int(file.read_text())
        command = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    named = any(word == name.encode() or word.startswith(f"guest={name},".encode()) for word in command)
    return life.life_of(pid) if named else None
