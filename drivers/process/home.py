"""A host as a folder: whether it is on, until when its VMs may run, and the locks of whoever acts on it."""

from __future__ import annotations

import errno
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ave.errors import Unavailable
from ave.ports.machine import Facts
from drivers import disk
from drivers.process.guest import SHUT_DOWN
from drivers.process.life import Life, kernel

FOLDERS = ("domains", "rights", "locks")


class Boot(msgspec.Struct, frozen=True):
    """One start of the host. It ends when the host is powered off, and with the kernel it all runs on."""

    id: str
    kernel: str


class Off(Unavailable):
    """For certain, and not only unknown."""


def _sealed(text: str) -> str:
    """With its checksum, so that a bit that flipped prolongs nothing."""
    return f"{text} {zlib.crc32(text.encode()):08x}"


class Home:
    def __init__(self, root: Path, host: str) -> None:
        self.root, self.host = root.absolute(), host
        self.folder = self.root / "hosts" / disk.file_name(host)

    def domain(self, vm: str) -> Path:
        return self.folder / "domains" / f"{disk.file_name(vm)}.json"

    def devices(self, vm: str) -> Path:
        """What its guest reads: the paths of its volumes."""
        return self.folder / "domains" / f"{disk.file_name(vm)}.devices"

    def shut_down(self, vm: str) -> Path:
        """Is there when its guest has ended in order."""
        return self.devices(vm).with_name(self.devices(vm).name + SHUT_DOWN)

    def rights(self, vm: str) -> Path:
        return self.folder / "rights" / f"{disk.file_name(vm)}.json"

    # Power

    def facts(self) -> Facts:
        """Unavailable when it is off."""
        boot = self.boot()
        try:
            facts = msgspec.json.decode((self.folder / "facts.json").read_bytes(), type=Facts)
        except (OSError, *disk.DAMAGED) as error:
            raise Unavailable(f"what {self.host} is made of cannot be read: {error}") from error
        return msgspec.structs.replace(facts, boot=boot)

    def boot(self) -> str:
        """Which start of the host this is."""
        try:
            boot = msgspec.json.decode((self.folder / "boot.json").read_bytes(), type=Boot)
        except FileNotFoundError:
            raise Off(f"{self.host} is off") from None
        except (OSError, *disk.DAMAGED) as error:
            raise Unavailable(f"whether {self.host} is on cannot be read: {error}") from error
        if boot.kernel != kernel():
            raise Off(f"{self.host} is off: the machine it ran on has started anew")
        return boot.id

    def set_facts(self, facts: Facts) -> None:
        disk.replace(self.folder / "facts.json", msgspec.json.encode(facts))

    def set_boot(self, boot: str) -> None:
        disk.replace(self.folder / "boot.json", msgspec.json.encode(Boot(boot, kernel())))

    def unset_boot(self) -> None:
        disk.remove(self.folder / "boot.json")

    # The hold

    def hold_until(self, moment: float) -> None:
        """It need not outlast a power loss: the next boot begins without a lease."""
        disk.replace(self.folder / "hold", _sealed(f"{self.boot()} {moment!r}").encode(), durably=False)

    def held_until(self) -> float:
        """What cannot be read, or is not as it was written, is over: the next renewal writes it anew."""
        try:
            text = (self.folder / "hold").read_text()
            boot, moment, _ = text.rsplit(" ", 2)
            ends = float(moment) if text == _sealed(f"{boot} {moment}") and boot == self.boot() else 0.0
        except (OSError, ValueError, Unavailable):
            return 0.0
        return 0.0 if math.isnan(ends) else ends

    # Signs of life

    def show_life(self, process: Life, count: int) -> None:
        """Of the node; need not outlast anything."""
        sign = f"{process.kernel} {process.pid} {process.born} {count}"
        disk.replace(self.folder / "life", _sealed(sign).encode(), durably=False)

    def shown_life(self) -> tuple[Life, int] | None:
        """The newest sign, and of which process it is; None if none can be read."""
        try:
            text = (self.folder / "life").read_text()
            kernel_of, pid, born, count, _ = text.split()
            if text != _sealed(f"{kernel_of} {pid} {born} {count}"):
                return None
            return Life(kernel_of, int(pid), int(born)), int(count)
        except (OSError, ValueError):
            return None

    # Health

    def is_read_only(self) -> bool:
        """Does its folder take no writes? A full one is another matter."""
        try:
            disk.replace(self.folder / "probe", b"", durably=False)
        except OSError as error:
            return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        return False

    def unplugged(self) -> tuple[str, ...]:
        """Networks of VMs that carry nothing here: such a host has no cables, but a list of those that are unplugged."""
        try:
            return tuple((self.folder / "unplugged").read_text().split())
        except FileNotFoundError:
            return ()

    # Locks

    @contextmanager
    def awake(self) -> Iterator[str]:
        """Hold it on meanwhile: it cannot be powered off while something is being started. Yields the boot."""
        if not self.folder.is_dir():
            raise Unavailable(f"there is no host {self.host}")
        with disk.locked(self.folder / "power", f"the power of {self.host}", shared=True):
            yield self.boot()

    @contextmanager
    def lock(self, vm: str) -> Iterator[None]:
        """One process at a time acts on this VM here."""
        with disk.locked(self.folder / "locks" / disk.file_name(vm), f"{vm} on {self.host}"):
            yield

    def make(self) -> None:
        for name in FOLDERS:
            os.makedirs(self.folder / name, exist_ok=True)
