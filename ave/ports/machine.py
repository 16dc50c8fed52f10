"""The Machine port: the host itself, as its own processes see it."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What this host is made of; ``boot`` is new after every start of the machine."""

    host: str
    boot: str
    cpus: int
    memory_mib: int
    reserve_mib: int
    zone: str
    primary: bool
    master: bool
    cpu_model: str
    networks: tuple[str, ...]
    exclusive_cpus: int = 0  # that pinned VMs may have for themselves
    nics_max: int = 0  # of its VMs; 0: no limit
    volumes_max: int = 0  # attached at once; 0: no limit


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What may break of a host that goes on."""

    read_only: bool = False  # its file system takes no writes
    full: bool = False  # there is no room left on it
    down: tuple[str, ...] = ()  # networks of VMs that carry nothing here, by name


class Machine(Protocol):
    async def facts(self) -> Facts: ...

    async def health(self, unlike: Health | None = None) -> Health:
        """How it is; with ``unlike`` as soon as it is not so any more, within seconds."""
        ...

    def hold_until(self, moment: float, epoch: int) -> None:
        """Tell the guard until when, on this host's clock, VMs may run, and whose: those that were given to this epoch of
        the host. Survives the death of who said it. Unavailable if it cannot be noted: what was told before holds."""
        ...

    def held_until(self) -> float: ...

    def held_for(self) -> int:
        """The epoch that was told last in this boot; 0: none, or nobody knows."""
        ...

    async def lapse(self, grace: float = 0.0) -> None:
        """Return as soon as VMs have not been allowed to run for so many seconds."""
        ...

    async def freeze(self) -> int:
        """Stop every VM's process without the hypervisor's help; returns how many were still running."""
        ...

    async def live(self) -> None:
        """Show signs of life of this process, the host's node, for as long as this is awaited: it does not return."""
        ...

    async def hung(self, seconds: float) -> None:
        """Return as soon as the node is there, and has shown no sign of life for so many seconds, all of them watched."""
        ...

    async def end_node(self) -> None:
        """Kill the node, and nobody else, so that its supervisor starts another one. Gone already is success."""
        ...
