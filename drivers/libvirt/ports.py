"""One real host's ports, put together. Its block storage comes from whoever knows that."""

from __future__ import annotations

from ave.ports.block import BlockStorage
from ave.ports.store import Store
from ave.ports.together import Ports
from ave.runtime import Runtime
from drivers.libvirt.disks import Disks
from drivers.libvirt.host import Settings
from drivers.libvirt.hypervisor import LibvirtHypervisor
from drivers.libvirt.machine import LibvirtMachine


def ports(settings: Settings, disks: Disks, block: BlockStorage, runtime: Runtime, store: Store) -> Ports:
    """What a node may touch. The hypervisor is to be closed in the end."""
    hypervisor = LibvirtHypervisor(settings, disks, runtime)
    machine = LibvirtMachine(settings, runtime, hypervisor.size)
    return Ports(settings.facts.host, runtime, store, hypervisor, block, machine)


def machine_of(settings: Settings, runtime: Runtime) -> LibvirtMachine:
    """All that a guard may touch: it works without libvirt."""
    return LibvirtMachine(settings, runtime)
