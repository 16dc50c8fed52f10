"""Volumes as files that obey one owner. Every method here blocks, and is a thread's work.

Whatever changes about a volume, it becomes another file under the same name: who has the older one open, and perhaps stands
still in the middle of a write, finds out before that write is acknowledged and can harm nothing any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ave.errors import Refused, Unavailable
from ave.ports.hypervisor import Stamp
from drivers import disk
from drivers.process import guest
from drivers.rights import Rights, accepting, outdating

WRITER_SECONDS = 0.25  # a guest's write takes far less, unless the guest stands still


class Header(msgspec.Struct, frozen=True, kw_only=True):
    volume: str
    size_gib: int
    owner: str = ""
    epoch: int = 0
    lock: str = ""  # under which it was attached
    rights: Rights = ()

    def attached_for_another(self, stamp: Stamp) -> bool:
        return bool(self.owner and self.lock and stamp.lock) and self.lock != stamp.lock


class Run(msgspec.Struct, frozen=True):
    """Writes of one instance, with none of another's in between; times by this machine's monotonic clock."""

    instance: int
    epoch: int
    first: float
    last: float
    writes: int


class Volumes:
    def __init__(self, root: Path) -> None:
        self._folder = root.absolute() / "storage" / "volumes"
        self._locks = root.absolute() / "storage" / "locks"

    def path(self, volume: str) -> str:
        return str(self._folder / disk.file_name(volume))

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(disk.name_of(path.name) for path in self._folder.iterdir() if path.name[0] != "."))

    def owner(self, volume: str) -> tuple[str, int]:
        header = self._known(volume)
        return header.owner, header.epoch

    def runs(self, volume: str) -> tuple[Run, ...]:
        """What was written, oldest first."""
        rows = Path(self.path(volume)).read_bytes()[guest.HEADER :].splitlines()
        return tuple(
            Run(int(i), int(e), float(first), float(last), int(n)) for i, e, first, last, n in map(bytes.split, rows)
        )

    def create(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._read(volume)
            if known is None:
                self._write(_accepted(Header(volume=volume, size_gib=size_gib), stamp, "create"))
                return
            if known.size_gib != size_gib:
                raise Refused(f"volume {volume} exists and has {known.size_gib} GiB, not {size_gib}")
            self._change(known, _accepted(known, stamp, "create"))

    def delete(self, volume: str, stamp: Stamp) -> None:
        with self._locked(volume):
            if known := self._read(volume):
                if known.owner:
                    raise Refused(f"volume {volume} is attached to {known.owner}: detach it first")
                _accepted(known, stamp, "delete")
                with self._quiet(volume):
                    disk.remove(Path(self.path(volume)))
                disk.settle(self._folder)

    def grow(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._known(volume)
            if size_gib < known.size_gib:
                raise Refused(f"volume {volume} has {known.size_gib} GiB and cannot shrink to {size_gib}")
            self._change(known, msgspec.structs.replace(_accepted(known, stamp, "grow"), size_gib=size_gib))

    def attach(self, volume: str, owner: str, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._known(volume)
            if stamp.epoch < known.epoch or (stamp.epoch == known.epoch and known.owner not in ("", owner)):
                raise Refused(f"volume {volume} belongs to {known.owner or 'nobody'} at epoch {known.epoch}")
            if known.attached_for_another(stamp):
                raise Refused(f"volume {volume} belongs to {known.lock}, for which it is attached to {known.owner}")
            after = _accepted(known, stamp, "attach")
            lock = stamp.lock or known.lock
            self._change(known, msgspec.structs.replace(after, owner=owner, epoch=stamp.epoch, lock=lock))

    def detach(self, volume: str, stamp: Stamp) -> None:
        with self._locked(volume):
            known = self._read(volume)
            if known is None or stamp.epoch < known.epoch or known.attached_for_another(stamp):
                return  # gone, or another owner has it: nothing of ours is attached
            after = _accepted(known, stamp, "detach")
            self._change(known, msgspec.structs.replace(after, owner="", epoch=stamp.epoch))

    def _change(self, known: Header, after: Header) -> None:
        if after != known:
            with self._quiet(known.volume):
                self._write(after)

    @contextmanager
    def _locked(self, volume: str) -> Iterator[None]:
        """One process at a time administers a volume. No guest ever holds this lock."""
        with disk.locked(self._locks / disk.file_name(volume), f"volume {volume}"):
            yield

    @contextmanager
    def _quiet(self, volume: str) -> Iterator[None]:
        """No write is under way; if a writer stands still in the middle of one, its file is void and it will see that."""
        handle = os.open(self.path(volume), os.O_RDWR | os.O_CLOEXEC)
        try:
            if not disk.acquire(handle, WRITER_SECONDS):
                os.pwrite(handle, guest.VOID, 0)
            yield
        finally:
            os.close(handle)

    def _known(self, volume: str) -> Header:
        known = self._read(volume)
        if known is None:
            raise Refused(f"there is no volume {volume}")
        return known

    def _read(self, volume: str) -> Header | None:
        try:
            with open(self.path(volume), "rb") as file:
                header = file.read(guest.HEADER)
            return msgspec.json.decode(header.split(b"\n")[1], type=Header)
        except FileNotFoundError:
            return None
        except (IndexError, *disk.DAMAGED) as error:
            raise Unavailable(f"the header of volume {volume} cannot be read: {error}") from error

    def _write(self, header: Header) -> None:
        path = Path(self.path(header.volume))
        try:
            written = path.read_bytes()[guest.HEADER :]
        except FileNotFoundError:
            written = b""
        first = guest.first_line(disk.file_name(header.owner), header.epoch)
        lines = first + msgspec.json.encode(header) + b"\n"
        if len(lines) > guest.HEADER:
            raise Refused(f"volume {header.volume}: its header does not fit {guest.HEADER} bytes")
        disk.replace(path, lines.ljust(guest.HEADER, b"\0") + written)


def _accepted(header: Header, stamp: Stamp, what: str) -> Header:
    """With this right remembered; Refused if a newer one came before. Without a Job nothing is remembered."""
    if not stamp.job:
        return header
    if newest := outdating(header.rights, stamp):
        raise Refused(f"volume {header.volume}: {what} by {stamp.job} is outdated; {newest.job} came after it")
    return msgspec.structs.replace(header, rights=accepting(header.rights, stamp))
