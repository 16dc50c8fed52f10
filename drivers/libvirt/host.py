"""A real host: what its operator says of it, its files, and its start.

State that must outlast a power loss is in ``state``; what must not is in ``run``, which the machine empties when it boots.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from ave.errors import Refused, Unavailable
from ave.ports.hypervisor import Stamp
from ave.ports.machine import Facts
from drivers import disk
from drivers.rights import Rights
from drivers.signs import Signs, is_full, is_read_only, vm_locked

BOOT_BYTES = 8


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How a host's libvirt is reached."""

    uri: str  # by AVE: qemu:///system on the host itself
    peer: str = ""  # by the libvirt of another host, for a migration: qemu+tls://host/system
    migration: str = ""  # where the memory is sent: tcp://address; "": as libvirt thinks best


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    facts: Facts  # what is 0 or "" of it is asked of libvirt
    reach: Reach
    peers: Callable[[str], Reach]  # of another host, by name
    bridges: Mapping[str, str] = {}  # of each network of VMs, the same on every host
    kind: Literal["kvm", "qemu", "test", "probe"] = "probe"
    probe_kernel: str = ""  # which a probe boots; "": the one that runs here
    state: Path = Path("/var/lib/ave")
    run: Path = Path("/run")
    migrate_seconds: float = 1800.0  # for a migration, whatever its guest writes


class HostFiles:
    def __init__(self, settings: Settings) -> None:
        self.host = settings.facts.host
        self.state, self.run = settings.state, settings.run / "ave"
        self.pids = settings.run / "libvirt" / "qemu"
        self.exclusive_cpus = settings.facts.exclusive_cpus
        self.signs = Signs(self.run, self.boot)

    def make(self) -> None:
        for folder in (self.state / "rights", self.state / "locks", self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def boot(self) -> str:
        """Which start of the host this is: written by the first who asks. Hosts may share a kernel, and yet start apart."""
        path = self.run / "boot"
        try:
            try:
                return path.read_text()
            except FileNotFoundError:
                self.make()
                new = self.run / f".boot.{os.getpid()}"
                new.write_text(f"{self.host}/boot-{secrets.token_hex(BOOT_BYTES)}")
                try:
                    os.link(new, path)  # whole, and only by the first
                except FileExistsError:
                    pass
                finally:
                    new.unlink()
                return path.read_text()
        except OSError as error:
            raise Unavailable(f"which start of {self.host} this is cannot be told: {error}") from error

    def is_read_only(self) -> bool:
        return is_read_only(self.state)

    def is_full(self) -> bool:
        return is_full(self.state)

    @contextmanager
    def locked(self, vm: str) -> Iterator[None]:
        self.make()
        with vm_locked(self.state / "locks", vm, self.host):
            yield

    # Rights of VMs, whether they have a domain here or not

    def rights(self, vm: str, what: str) -> Rights:
        """Refused when they cannot be read: what came before is not known then."""
        path = self._rights(vm)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Rights)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise Unavailable(f"the rights of {vm} on {self.host} cannot be read: {error}") from error
        except disk.DAMAGED as error:
            raise Refused(
                f"{vm}: who may {what} it on {self.host} cannot be read: {error}; once no Job acts on {vm}, remove {path}"
            ) from error

    def keep_rights(self, vm: str, rights: tuple[Stamp, ...]) -> None:
        self.make()
        disk.replace(self._rights(vm), msgspec.json.encode(rights))

    def _rights(self, vm: str) -> Path:
        return self.state / "rights" / f"{disk.file_name(vm)}.json"
