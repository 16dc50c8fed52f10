"""Files by which the processes of one host tell each other what they must know without anybody's help: until when VMs may
run, and that the node lives. None of it need outlast the host's end; all of it is sealed, so that a bit that flipped
prolongs nothing."""

from __future__ import annotations

import errno
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ave.errors import Unavailable
from drivers import disk
from drivers.process.life import Life

PROBE_BYTES = 4096  # a block: an empty file may find room where nothing else does


def _sealed(text: str) -> str:
    return f"{text} {zlib.crc32(text.encode()):08x}"


class Signs:
    def __init__(self, folder: Path, boot: Callable[[], str]) -> None:
        """``boot`` answers which start of the host this is, or raises Unavailable."""
        self._folder, self._boot = folder, boot

    # The hold

    def hold_until(self, moment: float, epoch: int) -> None:
        """It need not outlast a power loss: the next boot begins without a lease."""
        text = f"{self._boot()} {epoch} {moment!r}"
        try:
            disk.replace(self._folder / "hold", _sealed(text).encode(), durably=False)
        except OSError as error:
            raise Unavailable(f"until when VMs may run cannot be noted in {self._folder}: {error.strerror}") from error

    def held(self) -> tuple[float, int]:
        """Until when, and for which epoch of the host. What cannot be read, or is not as it was written, is over: the next
        renewal writes it anew."""
        try:
            text = (self._folder / "hold").read_text()
            boot, epoch, moment, _ = text.rsplit(" ", 3)
            if text != _sealed(f"{boot} {epoch} {moment}") or boot != self._boot() or math.isnan(float(moment)):
                return 0.0, 0
            return float(moment), int(epoch)
        except (OSError, ValueError, Unavailable):
            return 0.0, 0

    # Signs of life

    def show_life(self, process: Life, count: int) -> None:
        """Of the node; need not outlast anything."""
        sign = f"{process.kernel} {process.pid} {process.born} {count}"
        disk.replace(self._folder / "life", _sealed(sign).encode(), durably=False)

    def shown_life(self) -> tuple[Life, int] | None:
        """The newest sign, and of which process it is; None if none can be read."""
        try:
            text = (self._folder / "life").read_text()
            kernel_of, pid, born, count, _ = text.split()
            if text != _sealed(f"{kernel_of} {pid} {born} {count}"):
                return None
            return Life(kernel_of, int(pid), int(born)), int(count)
        except (OSError, ValueError):
            return None


def is_read_only(folder: Path) -> bool:
    """Does it take no writes? A full one is another matter."""
    return _probe(folder) in (errno.EROFS, errno.EACCES, errno.EPERM)


def is_full(folder: Path) -> bool:
    """Has it no room for a small file?"""
    return _probe(folder) in (errno.ENOSPC, errno.EDQUOT)


def _probe(folder: Path) -> int | None:
    """Why a small file cannot be written there."""
    try:
        disk.replace(folder / "probe", bytes(PROBE_BYTES), durably=False)
    except OSError as error:
        return error.errno
    return None


@contextmanager
def vm_locked(folder: Path, vm: str, host: str) -> Iterator[None]:
    """One process at a time acts on this VM here."""
    with disk.locked(folder / disk.file_name(vm), f"{vm} on {host}"):
        yield
