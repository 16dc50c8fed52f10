"""What happens in the simulated world, told to whoever judges it. The control plane never sees these.

A model calls ``witness`` the moment an effect takes place; the oracle (``sim.invariants``) listens by type of fact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ave.ports.hypervisor import Stamp


class Started(msgspec.Struct, frozen=True):
    """A domain came into being; ``instance`` grows with every one in the world. Unpaused unless it is incoming."""

    vm: str
    host: str
    instance: int
    epoch: int
    memory_mib: int
    incoming: bool
    job: str = ""


class Paused(msgspec.Struct, frozen=True):
    vm: str
    host: str
    instance: int


class Resumed(msgspec.Struct, frozen=True):
    vm: str
    host: str
    instance: int
    epoch: int


class Gone(msgspec.Struct, frozen=True):
    """The domain is no more: shut down, destroyed, crashed, migrated away, or its host lost power."""

    vm: str
    host: str
    instance: int
    itself: str = ""  # "crashed", or "shutdown" from inside the guest: nobody out here had a part in it


Write = tuple[str, str, int, int, int]  # volume, VM, instance, epoch, and the number of its record, by that VM


def later(batch: tuple[Write, ...], times: int) -> tuple[Write, ...]:
    """The same writes, so many records later."""
    if not times:
        return batch
    return tuple([(volume, vm, instance, epoch, record + times) for volume, vm, instance, epoch, record in batch])


class Wrote(msgspec.Struct, frozen=True):
    """The storage acknowledged writes: this batch, so many records later."""

    host: str
    batch: tuple[Write, ...]
    times: int = 0

    @property
    def writes(self) -> tuple[Write, ...]:
        return later(self.batch, self.times)


class Refusing(msgspec.Struct, frozen=True):
    """The storage refused a write of an owner it had fenced."""

    host: str
    volume: str
    instance: int
    epoch: int


class Owned(msgspec.Struct, frozen=True):
    """The storage durably gave a volume to (owner, epoch) and fenced what was before."""

    volume: str
    owner: str
    epoch: int


class Revoked(msgspec.Struct, frozen=True):
    """The meta leader revoked a host's storage lease."""

    host: str


class Joined(msgspec.Struct, frozen=True):
    host: str
    boot: str


class Effect(msgspec.Struct, frozen=True):
    """A stamped mutation was accepted at the resource where it takes effect."""

    resource: str
    stamp: Stamp
    what: str


class Deposed(msgspec.Struct, frozen=True):
    """The storage's meta service lost its leader."""

    leader: str


class Elected(msgspec.Struct, frozen=True):
    """The storage's meta service has a new leader."""

    leader: str
    term: int


class Thawed(msgspec.Struct, frozen=True):
    """A host that stood still goes on, as if no time had passed for it."""

    host: str


class Powered(msgspec.Struct, frozen=True):
    host: str
    on: bool


class Disturbed(msgspec.Struct, frozen=True):
    """Something was done to the world. ``harms`` names the hosts whose VMs it may stop, ``vms`` single ones; nobody
    else's may be touched."""

    what: str
    harms: tuple[str, ...] = ()
    vms: tuple[str, ...] = ()
    over: bool = False  # this is its end
    lasting: bool = False  # it goes on until it is over


Witness = Callable[[Any], None]
