"""Raw sparse files on a file system that shares blocks between files (XFS with reflink, Btrfs). Every method blocks.

A file is named after its volume. A copy is of one moment, takes no room until one of the two is written to, and appears whole
or not at all: it is made under another name first.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from ave.errors import Refused, Unavailable
from drivers import disk

GIB = 2**30
FICLONE = 0x40049409  # ioctl: let this file share all blocks of that one
SUFFIX = ".raw"
RESERVE_BYTES = 64 * 2**20  # kept free: below it nothing new is begun
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_REFLINK = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV)


class Pool:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def path(self, volume: str) -> Path:
        return self._folder / f"{disk.file_name(volume)}{SUFFIX}"

    def volumes(self) -> tuple[str, ...]:
        """Whose files are here, known to anybody or not."""
        names = [path.name for path in self._folder.iterdir() if path.name.endswith(SUFFIX) and path.name[0] != "."]
        return tuple(sorted(disk.name_of(name.removesuffix(SUFFIX)) for name in names))

    def sweep(self) -> int:
        """Remove what was half made when its maker died; how many were there?"""
        half = [path for path in self._folder.iterdir() if path.name.startswith(".") and path.name.endswith(SUFFIX)]
        for path in half:
            disk.remove(path)
        return len(half)

    def shares_blocks(self) -> bool:
        """Can the file system make copies at all?"""
        one, other = self._folder / f".one{SUFFIX}", self._folder / f".other{SUFFIX}"
        try:
            one.write_bytes(b"x" * 4096)
            with one.open("rb") as source, other.open("wb") as target:
                fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
            return True
        except OSError:
            return False
        finally:
            disk.remove(one)
            disk.remove(other)

    def require_room(self, volume: str, size_gib: int) -> None:
        """Refused if the pool could never hold so much, or can take nothing more now. Its volumes may promise more than it
        holds: they are sparse."""
        there = os.statvfs(self._folder)
        total, free = there.f_blocks * there.f_frsize, there.f_bavail * there.f_frsize
        if size_gib * GIB > total:
            raise Refused(f"volume {volume} cannot have {size_gib} GiB: the whole pool has {total // GIB}")
        if free < RESERVE_BYTES:
            raise Refused(f"volume {volume} gets no room: the storage is full, {free // 2**20} MiB are left")

    def size(self, volume: str) -> int | None:
        """In bytes; None if there is no file."""
        try:
            return self.path(volume).stat().st_size
        except FileNotFoundError:
            return None

    def make(self, volume: str, size_gib: int) -> None:
        """A file of zeros, in place of one that nobody may have used yet."""
        self._put(volume, lambda handle: os.ftruncate(handle, size_gib * GIB))

    def grow(self, volume: str, size_gib: int) -> None:
        """At least so large."""
        handle = os.open(self.path(volume), os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(handle).st_size < size_gib * GIB:
                with _told(f"volume {volume}"):
                    os.ftruncate(handle, size_gib * GIB)
                    os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, volume: str) -> None:
        disk.remove(self.path(volume))
        disk.settle(self._folder)

    def copy(self, volume: str, copy: str) -> None:
        """A snapshot or a clone: the content of this moment under another name. Refused if that is taken."""
        if self.size(copy) is not None:
            raise Refused(f"volume {copy} exists already")
        self._share(volume, copy)

    def roll_back(self, volume: str, snapshot: str) -> None:
        """The volume's content, and size, is the snapshot's again. Nobody may have its file open."""
        if self.size(volume) is None:
            raise Refused(f"there is no volume {volume}")
        self._share(snapshot, volume)

    def _share(self, source: str, name: str) -> None:
        try:
            there = os.open(self.path(source), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Refused(f"there is no volume {source}") from None
        try:
            self._put(name, lambda handle: fcntl.ioctl(handle, FICLONE, there))
        finally:
            os.close(there)

    def _put(self, volume: str, fill: Callable[[int], object]) -> None:
        path = self.path(volume)
        new = path.with_name(f".{path.name}")
        handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with _told(f"volume {volume}"):
                fill(handle)
                os.fsync(handle)
            os.rename(new, path)
        except BaseException:
            disk.remove(new)
            raise
        finally:
            os.close(handle)
        disk.settle(self._folder)


class _told:
    """The kernel's refusals in the words of whoever asked."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in NO_ROOM:
            raise Refused(f"{self._what} gets no room: the storage is full") from error
        if error.errno in NO_REFLINK:
            raise Unavailable(f"{self._what}: the pool's file system does not share blocks between files") from error
