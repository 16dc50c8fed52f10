"""A virtual network: a virtual switch and a VLAN, present on the hosts that name it."""

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
    phrases={N.ACTIVE: "VMs may be connected to it", N.DELETING: "it is being removed from the hosts"},
    moves={N.ACTIVE: (N.DELETING,), N.DELETING: ()},
)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    version: int = 0
    state: NetworkState = NetworkState.ACTIVE
    story: tuple[str, ...] = ()
    vlan: int = 0  # 0 to 4095

    @property
    def table(self) -> Table:
        return NETWORK
