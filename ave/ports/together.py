"""Everything one process on one host may touch, handed to its services as one value."""

from __future__ import annotations

import msgspec

from ave.ports.block import BlockStorage
from ave.ports.hypervisor import Hypervisor
from ave.ports.machine import Machine
from ave.ports.store import Store
from ave.runtime import Runtime


class Ports(msgspec.Struct, frozen=True):
    host: str
    runtime: Runtime
    store: Store
    hypervisor: Hypervisor
    block: BlockStorage
    machine: Machine
