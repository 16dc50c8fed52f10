"""A host: one physical machine of the cluster, and the zone it stands in."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ave.model.states import Table


class HostState(StrEnum):
    JOINING = "joining"
    ONLINE = "online"
    UNMANAGED = "unmanaged"
    SUSPECT = "suspect"
    FENCED = "fenced"
    RECOVERED = "recovered"
    ENTERING_MAINTENANCE = "entering-maintenance"
    MAINTENANCE = "maintenance"
    QUARANTINED = "quarantined"
    READ_ONLY = "read-only"


class Wish(StrEnum):
    """What a host's operator wants of it, whatever becomes of the host meanwhile."""

    SERVE = "serve"
    MAINTENANCE = "maintenance"


H = HostState
HOST = Table(
    noun="host",
    start=(H.JOINING,),
    phrases={
        H.JOINING: "known, but not yet cleared to run VMs",
        H.ONLINE: "renews its storage lease and accepts VMs",
        H.UNMANAGED: "renews its storage lease, but its worker is silent in the store, or it is full: VMs run on, none comes",
        H.SUSPECT: "silent, but not for long enough to judge; accepts no new VM",
        H.FENCED: "judged dead, its lease revoked; its VMs are being rescued",
        H.RECOVERED: "judged dead, nothing of it is left to rescue; may come back",
        H.ENTERING_MAINTENANCE: "its VMs are being moved away",
        H.MAINTENANCE: "runs no VM until an operator ends maintenance",
        H.QUARANTINED: "came back too often in a short time; takes no VM until it has stood long enough",
        H.READ_ONLY: "its file system takes no writes: its VMs are being moved away, and none comes",
    },
    moves={
        H.JOINING: (H.ONLINE, H.MAINTENANCE, H.QUARANTINED, H.FENCED),
        H.ONLINE: (H.UNMANAGED, H.SUSPECT, H.FENCED, H.ENTERING_MAINTENANCE, H.READ_ONLY, H.JOINING),
        H.UNMANAGED: (H.ONLINE, H.SUSPECT, H.FENCED, H.READ_ONLY, H.JOINING),
        H.SUSPECT: (H.ONLINE, H.UNMANAGED, H.FENCED, H.READ_ONLY, H.JOINING),
        H.FENCED: (H.RECOVERED, H.JOINING),
        H.RECOVERED: (H.JOINING,),
        H.ENTERING_MAINTENANCE: (H.MAINTENANCE, H.ONLINE, H.FENCED),
        H.MAINTENANCE: (H.ONLINE, H.FENCED),
        H.QUARANTINED: (H.ONLINE, H.FENCED, H.JOINING),
        H.READ_ONLY: (H.ONLINE, H.FENCED, H.JOINING),
    },
)


class Host(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    state: HostState = HostState.JOINING
    story: tuple[str, ...] = ()
    zone: str = ""
    master: bool = False  # may vote, and may hold the roles
    cpus: int  # logical CPUs
    memory_mib: int
    reserve_mib: int = 0  # kept for the host itself
    cpu_model: str = "any"
    networks: tuple[str, ...] = ()
    exclusive_cpus: int = 0  # of its logical CPUs, those that a pinned VM may have for itself
    nics_max: int = 0  # virtual NICs that its VMs may have; 0: no limit
    volumes_max: int = 0  # volumes that may be attached at once; 0: no limit
    boot: str = ""  # the boot id it joined with
    epoch: int = 0  # grows each time it joins; what an older epoch started runs no more
    returns: int = 0  # joins in a row, none of which lasted
    wish: Wish = Wish.SERVE
    away: tuple[str, ...] = ()  # VMs that maintenance moved away from it, or is moving

    @property
    def table(self) -> Table:
        return HOST


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says of itself, whenever it is another. Nobody else writes it."""

    id: str  # the host
    version: int = 0
    given_up: int = 0  # no turn of its storage lease up to this one lets anything run there any more
    read_only: bool = False  # its file system takes no writes
    full: bool = False  # nor has room for any
    down: tuple[str, ...] = ()  # networks of VMs that carry nothing there
    silent: dict[str, int] = {}  # VMs whose guest has said nothing for too long, and of which epoch they are


class ZoneState(StrEnum):
    AVAILABLE = "available"
    LOST = "lost"


Z = ZoneState
ZONE = Table(
    noun="zone",
    start=(Z.AVAILABLE,),
    phrases={Z.AVAILABLE: "at least one of its hosts is online", Z.LOST: "none of its hosts is online"},
    moves={Z.AVAILABLE: (Z.LOST,), Z.LOST: (Z.AVAILABLE,)},
)


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    state: ZoneState = ZoneState.AVAILABLE
    story: tuple[str, ...] = ()
    primary: bool = False

    @property
    def table(self) -> Table:
        return ZONE
