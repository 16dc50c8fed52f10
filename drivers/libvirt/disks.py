"""What the hypervisor needs to know of the block storage: who owns a volume, and where it is for one owner."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Lun(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as one host reaches it under one epoch. It holds no secret, only the name under which libvirt keeps one."""

    portal: str  # address of the storage, without port
    port: int = 3260
    target: str  # iqn
    lun: int = 1
    initiator: str  # iqn; the host and the epoch are in it: it is what the storage tells owners apart by
    user: str = ""  # of CHAP; "": none
    secret: str = ""  # usage name of its password among the secrets of libvirt on every host


class Disks(Protocol):
    async def owner(self, volume: str) -> tuple[str, int]:
        """As ``BlockStorage.owner``."""
        ...

    async def where(self, volume: str, host: str, epoch: int) -> Lun:
        """How that host reaches it under that epoch. Says nothing about whether it may write; for a migration's copy, the
        storage has to let it in before."""
        ...
