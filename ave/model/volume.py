"""A volume: one iSCSI LUN, by a storage policy."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ave.model.states import Table


class VolumeState(StrEnum):
    CREATING = "creating"
    READY = "ready"
    DELETING = "deleting"


S = VolumeState
VOLUME = Table(
    noun="volume",
    start=(S.CREATING,),
    phrases={
        S.CREATING: "its LUN is being made",
        S.READY: "its LUN exists and may be attached",
        S.DELETING: "its LUN is being removed",
    },
    moves={S.CREATING: (S.READY, S.DELETING), S.READY: (S.DELETING,), S.DELETING: ()},
)


SIZE_GIB_MAX = 64 * 2**10
REPLICAS_MAX, STRIPES_MAX, STRIPE_KIB = 3, 128, (4, 256)


class StoragePolicy(msgspec.Struct, frozen=True, kw_only=True):
    replicas: int = 2  # 1 to 3
    thin: bool = True
    stripes: int = 8  # 1 to 128, a power of two
    stripe_kib: int = 256  # 4 to 256, a power of two


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    state: VolumeState = VolumeState.CREATING
    story: tuple[str, ...] = ()
    tenant: str = "default"
    size_gib: int
    growing_gib: int = 0  # how large it is being made; 0: it is as large as it shall be
    policy: StoragePolicy = StoragePolicy()
    vm: str = ""  # to which it belongs, attached or not

    @property
    def table(self) -> Table:
        return VOLUME
