"""The Hypervisor port: one host's VMs, in domain objects, never in XML.

Every method is one intent with a deadline of its own and is safe to repeat. Mutations carry a ``Stamp``; the driver keeps
the newest stamp per VM durably and refuses an older one. ``Unavailable`` from ``list`` is never "nothing runs".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from ave.model.vm import VM


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf an effect happens, and how new that right is. Without a Job it is a host that settles what is its
    own: only the epoch counts then, and no token is kept."""

    job: str = ""
    task: str = ""
    attempt: int = 0
    lock: str = ""  # "vm/web-1": whose right it is
    token: int = 0  # of that lock; grows with every Job, also over VMs of one name
    epoch: int = 0  # of the VM; grows within its life

    @property
    def right(self) -> tuple[int, int]:
        return self.token, self.epoch

    def outdated_by(self, newest: Stamp) -> bool:
        """Must an effect with this stamp be refused where ``newest`` was already accepted? Tokens of different locks say
        nothing about each other."""
        if self.lock != newest.lock:
            return False
        older = self.right < newest.right
        return older or (self.right == newest.right and self.task == newest.task and self.attempt < newest.attempt)


class DomainState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"  # stands still for its host's sake: the end of a lease, or a migration that is complete
    SUSPENDED = "suspended"  # stands still because its user wants it so, whatever becomes of the lease
    INCOMING = "incoming"  # holds a migrated memory, not yet given the right to run


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """One VM's process on this host."""

    vm: str
    state: DomainState
    epoch: int
    memory_mib: int = 0
    silent: float = 0.0  # seconds since its guest was last heard of; 0 for one that never says anything
    cpus: tuple[int, ...] = ()  # of this host, that it has for itself


class End(StrEnum):
    SHUTDOWN = "shutdown"  # from inside the guest
    CRASHED = "crashed"  # its process died


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A domain that was here and ended by itself."""

    vm: str
    epoch: int
    end: End


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a domain has used since its process began, and 0 of what nobody counts there."""

    vm: str
    epoch: int
    cpu_seconds: float = 0.0
    memory_mib: int = 0  # of its host's memory, now
    reads: int = 0
    writes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """Where a domain is seen and typed at, on its host and by whoever may open these files there; "": nowhere."""

    screen: str = ""  # a socket that speaks RFB, which is VNC's
    serial: str = ""  # a terminal


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of a memory that is being copied to another host."""

    seconds: float  # since it began
    sent_mib: float
    left_mib: float  # grows when the guest writes faster than it is sent


class Hypervisor(Protocol):
    async def list(self) -> tuple[Domain, ...]: ...

    async def ended(self) -> tuple[Ended, ...]:
        """Those that ended by themselves, each until its VM is started or destroyed here. Nothing is concluded from one
        that is missing: a host that has booted remembers none."""
        ...

    async def hear(self) -> None:
        """Return soon after a domain has ended by itself. A hint: it may return for nothing."""
        ...

    async def silent(self, seconds: float, unlike: Mapping[str, int] | None = None) -> dict[str, int]:
        """VMs that run here and whose guest has not been heard of for so many seconds, and of which epoch they are; with
        ``unlike`` as soon as it is not these any more, within seconds. Not those whose guest never says anything."""
        ...

    async def usage(self) -> tuple[Usage, ...]:
        """Of every domain here that has a process, by VM."""
        ...

    async def console(self, vm: str) -> Console:
        """Refused if it has no process here."""
        ...

    async def ask(self, vm: str, command: str, arguments: Mapping[str, object]) -> object:
        """What the agent in its guest answers, in QEMU's words (guest-ping, guest-info, …); nothing of either is logged.
        Refused if it has no process here, or if the agent refuses; Unavailable if it has no agent, or none that answers in
        time: then it may have heard."""
        ...

    async def start(self, vm: VM, stamp: Stamp) -> None:
        """Running when it returns; one that runs already with this epoch is left alone. Nothing begins to run after the
        moment until which the guard was told to hold this host, nor for another epoch of the host than it holds it for:
        Unavailable. So is one that is pinned, unless it gets as many CPUs of this host for itself as it has vCPUs; which, the
        host chooses. Where a copy of it arrives, it gets them if there are enough."""
        ...

    async def shutdown(self, vm: str, stamp: Stamp, seconds: float) -> None:
        """Ask the guest; Refused when it is still up after so long. Gone already is success."""
        ...

    async def destroy(self, vm: str, stamp: Stamp) -> None:
        """Force it off. Gone already is success."""
        ...

    async def pause(self, vm: str) -> None:
        """Stop its vCPUs within milliseconds. For the lease's end: needs no right, takes none. What is suspended stays
        suspended."""
        ...

    async def suspend(self, vm: str, stamp: Stamp) -> None:
        """Stop its vCPUs because its user wants that, durably told apart from a pause. Refused if there is no domain of
        the stamp's epoch here; paused already is no obstacle, suspended already is success."""
        ...

    async def resume(self, vm: str, stamp: Stamp) -> None:
        """Let its vCPUs run, if it is of the stamp's epoch and not given away by a migration; Refused otherwise. What its
        user suspended is resumed for a Job only: a stamp without one, the host itself, is Refused. Nothing begins to run
        after the moment until which the guard was told to hold this host, nor for another epoch of the host than it holds it
        for: then it is left paused."""
        ...

    async def plug(self, vm: VM, stamp: Stamp) -> None:
        """Make the devices of the domain that is here (volumes, networks, CD-ROM) those of this VM; what is so already is
        left so. Refused, and nothing is changed, if there is no domain of the stamp's epoch, or if a volume that it would
        gain is not attached to this host under that epoch."""
        ...

    async def resize(self, vm: str, volume: str, size_gib: int, stamp: Stamp) -> None:
        """Let its guest see that this disk has grown to so much; one that sees as much already is left alone. Refused if there
        is no domain of the stamp's epoch, or if that has no such disk; Unavailable while it moves."""
        ...

    async def migrate(self, vm: VM, target: str, stamp: Stamp) -> None:
        """Copy its memory to the target host, for the epoch of that host which ``vm`` names; when it returns both copies are
        paused, the target's is current and of the stamp's next epoch, and the one here cannot be resumed. An error leaves the
        VM as it was on this host."""
        ...

    async def progress(self, vm: str) -> Progress | None:
        """None when its memory is not being copied from here."""
        ...

    async def finish_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        """The target may run: let it, with the stamp's epoch, and remove the copy here."""
        ...

    async def abort_migration(self, vm: str, target: str, stamp: Stamp) -> None:
        """Remove the target's copy and let the one here run on."""
        ...
