"""An iSCSI target, and which of its LUNs is which volume's. Users never see one."""

from __future__ import annotations

import msgspec

from ave.model.volume import StoragePolicy


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Never deleted, and numbered without a gap: who reads one after the other until there is none has read all."""

    id: str  # "1", "2", …
    version: int = 0
    policy: StoragePolicy = StoragePolicy()  # of all its volumes
    luns: dict[
        str, str
    ] = {}  # LUN id -> volume: from before its LUN is made until the storage has said that it is gone
