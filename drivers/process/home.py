"""A host as a folder: whether it is on, until when its VMs may run, and the locks of whoever acts on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ave.errors import Unavailable
from ave.ports.machine import Facts
from drivers import disk
from drivers.process.guest import SHUT_DOWN
from drivers.process.life import kernel
from drivers.signs import Signs, is_full, is_read_only, vm_locked

FOLDERS = ("domains", "rights", "locks")


class Boot(msgspec.Struct, frozen=True):
    """One start of the host. It ends when the host is powered off, and with the kernel it all runs on."""

    id: str
    kernel: str


class Off(Unavailable):
    """For certain, and not only unknown."""


class Home:
    def __init__(self, root: Path, host: str) -> None:
        self.root, self.host = root.absolute(), host
        self.folder = self.root / "hosts" / disk.file_name(host)
        self.signs = Signs(self.folder, self.boot)
        self.hold_until, self.held = self.signs.hold_until, self.signs.held

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

    # Health

    def is_read_only(self) -> bool:
        return is_read_only(self.folder)

    def is_full(self) -> bool:
        return is_full(self.folder)

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
        with vm_locked(self.folder / "locks", vm, self.host):
            yield

    @contextmanager
    def pins(self) -> Iterator[None]:
        """Of whoever chooses CPUs for one VM alone."""
        with disk.locked(self.folder / "pins", f"the exclusive CPUs of {self.host}"):
            yield

    def make(self) -> None:
        for name in FOLDERS:
            os.makedirs(self.folder / name, exist_ok=True)
