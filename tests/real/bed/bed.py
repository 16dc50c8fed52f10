"""The bed as a whole: ``with Bed() as bed``, or ``up`` and ``down``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.real.bed import cache, registry, sweep
from tests.real.bed.command import BedError
from tests.real.bed.host import Host
from tests.real.bed.names import HOSTS
from tests.real.bed.network import Fabric
from tests.real.bed.registry import Record
from tests.real.bed.storage import Storage

_LONGEST_ROOT = 60  # characters: the path of a socket below it must stay under 108


class Bed:
    """Some hosts and a storage box on one machine. ``root`` must not exist yet, and does not when the bed is down.

    The bed ends with ``down``; if its process is killed, with the next bed's ``up`` or a sweep. ``kept``: it outlives its
    process, until ``python -m tests.real.bed down``. ``own``: folders of the machine, what is written to which on a host stays
    there; the rest of the disk is shared.
    """

    def __init__(
        self, root: Path | None = None, *, hosts: int = 3, kept: bool = False, own: Sequence[str] = ()
    ) -> None:
        if not 1 <= hosts <= HOSTS:
            raise BedError(f"1 to {HOSTS} hosts, not {hosts}")
        self._given, self._number_of_hosts, self._kept, self._own = root, hosts, kept, tuple(own)
        self._record: Record | None = None
        self._hosts: list[Host] = []
        self._storage: Storage | None = None

    def __enter__(self) -> Bed:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def root(self) -> Path:
        return Path(self._up.root)

    @property
    def hosts(self) -> Sequence[Host]:
        return tuple(self._hosts)

    def host(self, number: int) -> Host:
        """From 1 on."""
        return self._hosts[number - 1]

    @property
    def storage(self) -> Storage:
        if self._storage is None:
            raise BedError("the bed is not up")
        return self._storage

    def up(self) -> None:
        """All of it, from nothing; what killed runs left goes first. If it fails, nothing is left."""
        if os.geteuid():
            raise BedError("the bed needs root: it makes namespaces, mounts and cgroups")
        if self._record is not None:
            raise BedError("the bed is up already")
        sweep.sweep()
        with registry.locked():
            self._record = registry.claim(self._new_root())
        try:
            self._build(self._record)
            if self._kept:
                self._record = registry.keep(self._record)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Leave nothing. Twice does no harm."""
        if self._record is None:
            return
        if self._hosts:
            cache.keep(self._hosts[0].folder / "cache")
        sweep.take_down(self._record)
        for host in self._hosts:
            host.bury()
        if self._storage is not None:
            self._storage.kill()
        with registry.locked():
            sweep.close_if_empty()
        self._record, self._storage = None, None
        self._hosts.clear()

    @property
    def _up(self) -> Record:
        if self._record is None:
            raise BedError("the bed is not up")
        return self._record

    def _new_root(self) -> Path:
        """Only a name: it is written down before it is made."""
        if self._given is None:
            return Path(f"{tempfile.gettempdir()}/ave-bed-{os.urandom(3).hex()}")
        root = self._given.absolute()
        if root.exists():
            raise BedError(f"{root} is there already: the bed would remove it")
        if len(str(root)) > _LONGEST_ROOT:
            raise BedError(f"{root} is longer than {_LONGEST_ROOT} characters")
        return root

    def _build(self, record: Record) -> None:
        root, names = Path(record.root), record.names
        root.mkdir(mode=0o700)
        fabric = Fabric(names)
        fabric.up()
        self._storage = Storage(names, fabric, root)
        self._storage.up()
        for number in range(1, self._number_of_hosts + 1):
            host = Host(names, fabric, root, number, self._own)
            self._hosts.append(host)
            cache.give(host.folder / "cache")
            host.start(wait=False)
        for host in self._hosts:
            host.wait_until_up()
