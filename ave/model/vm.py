"""A VM: what a user asked for, where it is, and which of its incarnations may run."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ave.model.states import Table


class VMState(StrEnum):
    CREATING = "creating"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"
    DELETING = "deleting"


V = VMState
VM_TABLE = Table(
    noun="VM",
    start=(V.CREATING,),
    phrases={
        V.CREATING: "its volumes and its place are being made",
        V.STOPPED: "exists, runs nowhere",
        V.STARTING: "its host was given the right to run it; it may already run",
        V.RUNNING: "runs on its host",
        V.SUSPENDED: "a user paused it; its memory stays on its host",
        V.UNKNOWN: "its host is judged dead; it may be rescued",
        V.DELETING: "its volumes are being removed",
    },
    moves={
        V.CREATING: (V.STOPPED, V.DELETING),
        V.STOPPED: (V.STARTING, V.DELETING),
        V.STARTING: (V.RUNNING, V.STOPPED, V.UNKNOWN, V.DELETING),
        V.RUNNING: (V.STARTING, V.STOPPED, V.SUSPENDED, V.UNKNOWN, V.DELETING),
        V.SUSPENDED: (V.RUNNING, V.STOPPED, V.UNKNOWN, V.DELETING),
        V.UNKNOWN: (V.STARTING, V.RUNNING, V.STOPPED, V.DELETING),
        V.DELETING: (),
    },
)


_HOLDING = frozenset({V.STARTING, V.RUNNING, V.SUSPENDED, V.UNKNOWN})


class Priority(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


PRIORITIES = (Priority.HIGH, Priority.MEDIUM, Priority.LOW)  # the order of rescue


class VM(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    state: VMState = VMState.CREATING
    story: tuple[str, ...] = ()
    name: str = ""  # for people; the id is what everything else knows it by
    tenant: str = "default"
    labels: dict[str, str] = {}
    vcpus: int
    memory_mib: int
    cpu_model: str = "any"
    pinned: bool = False  # its user wants CPUs for it alone
    unpinned: bool = False  # and it has none: no host had enough of them when it was rescued
    volumes: tuple[str, ...] = ()
    cdrom: str = ""  # the volume in its CD-ROM drive, which it reads only
    networks: tuple[str, ...] = ()
    ha: bool = True
    priority: Priority = Priority.MEDIUM
    on: bool = True  # what its user wants: to run; not while it is suspended
    host: str = ""  # where it is, or was last
    host_epoch: int = 0  # the epoch of that host when it was started there
    epoch: int = 0  # grows each time the right to run it is given; older incarnations are fenced
    reserved: str = ""  # the host whose room a Job holds for it
    reserved_under: int = 0  # the version of the scheduler's role under which that was decided
    had: tuple[str, ...] = ()  # volumes that it gave away under this epoch: it may have them again
    revived: int = 0  # restarts in a row because its guest had fallen silent
    making_gib: int = 0  # of its volumes, those that are still to be made: they count for its tenant
    refit: bool = False  # its domain's devices are being changed; should nobody end that, its host makes them these

    @property
    def table(self) -> Table:
        return VM_TABLE

    @property
    def media(self) -> tuple[str, ...]:
        """Every volume that its host must own to run it: its disks, and what is in its CD-ROM drive."""
        return (*self.volumes, self.cdrom) if self.cdrom else self.volumes

    @property
    def holds_memory(self) -> bool:
        """Does it take memory of its host? A suspended VM does, and so does one that may yet be running."""
        return self.state in _HOLDING
