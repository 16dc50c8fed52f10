"""A virtual network: a virtual switch and a VLAN, present on the hosts that name it.

A network that hosts name and nobody has declared has no document: VMs may use it, and nothing is promised about it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ave.model.states import Table


class NetworkState(StrEnum):
    ACTIVE = "active"
    DELETING = "deleting"


N = NetworkState
NETWORK = Table(
    noun="network",
    start=(N.ACTIVE,),
    phrases={
        N.ACTIVE: "VMs may be connected to it",
        N.DELETING: "no VM may be connected any more; it goes as soon as none is",
    },
    moves={N.ACTIVE: (N.DELETING,), N.DELETING: (N.ACTIVE,)},
)


MANAGEMENT, STORAGE = "management", "storage"
INTERNAL = (MANAGEMENT, STORAGE)  # the hosts' own: their names are their purpose, so there is at most one of each
VLAN_MAX = 4095


class Network(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    state: NetworkState = NetworkState.ACTIVE
    story: tuple[str, ...] = ()
    vlan: int = 0  # of frames without a tag; 0: none
    trunk: tuple[int, ...] = ()  # the VLANs whose tagged frames a NIC sees; none: an access network

    @property
    def table(self) -> Table:
        return NETWORK
