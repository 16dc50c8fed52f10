"""The drivers of one host, put together by its configuration: one row per kind of host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from ave.errors import Refused
from ave.ports.machine import Facts, Machine
from ave.ports.store import Store
from ave.ports.together import Ports
from ave.runtime import Runtime
from drivers.config import Config, StorageConfig
from drivers.disk import aside
from drivers.iscsi import names
from drivers.iscsi.block import IscsiBlock
from drivers.iscsi.secret import read_secret
from drivers.libvirt.disks import Lun
from drivers.libvirt.host import Reach, Settings
from drivers.process.ports import machine_of as process_machine
from drivers.process.ports import ports as process_ports
from drivers.process.power import power_on
from drivers.urls import endpoint


class BoxDisks:
    """How a hypervisor opens the volumes of a storage box."""

    def __init__(self, block: IscsiBlock) -> None:
        self._block = block

    async def owner(self, volume: str) -> tuple[str, int]:
        return await self._block.owner(volume)

    async def where(self, volume: str, host: str, epoch: int) -> Lun:
        way = self._block.way(volume, host, epoch)
        address, port = endpoint(way.portal)
        return Lun(
            portal=address,
            port=port,
            target=way.target,
            lun=way.lun,
            initiator=way.initiator,
            user=way.user,
            secret=way.usage,
        )


async def _process_node(config: Config, runtime: Runtime, store: Store, held: ExitStack) -> Ports:
    root = Path(config.hypervisor.root)
    power_on(root, _facts(config))
    return process_ports(root, config.node.host, runtime, store)


def _process_guard(config: Config, runtime: Runtime) -> Machine:
    root = Path(config.hypervisor.root)
    power_on(root, _facts(config))
    return process_machine(root, config.node.host, runtime)


async def _real_node(config: Config, runtime: Runtime, store: Store, held: ExitStack) -> Ports:
    """VMs on libvirt, volumes on a storage box."""
    try:
        from drivers.libvirt import ports as libvirt_ports
        from drivers.libvirt import secrets
        from drivers.libvirt.hypervisor import LibvirtHypervisor
    except ImportError as missing:
        raise Refused(
            f"hypervisor.driver is libvirt, and {missing.name} is not there: pip install ave[libvirt]"
        ) from None
    block = _block(config, runtime)
    made = libvirt_ports.ports(libvirt_settings(config), BoxDisks(block), block, runtime, store)
    assert isinstance(made.hypervisor, LibvirtHypervisor), "it was made just now"
    held.callback(made.hypervisor.close)
    link, usage, secret = made.hypervisor.here.link, names.usage(config.node.host), block.chap_secret().encode()
    await aside("the secret of the host's volumes", lambda: secrets.keep(link, usage, secret))
    return made


def _real_guard(config: Config, runtime: Runtime) -> Machine:
    from drivers.libvirt.machine import LibvirtMachine

    return LibvirtMachine(libvirt_settings(config), runtime)


def _block(config: Config, runtime: Runtime) -> IscsiBlock:
    storage = config.storage
    assert isinstance(storage, StorageConfig), "the configuration was checked for it"
    secret = read_secret(Path(storage.secret_file))
    box = endpoint(storage.box)
    return IscsiBlock(config.node.host, box, storage.portal, secret, runtime, may_lead=config.node.master)


def libvirt_settings(config: Config) -> Settings:
    """How a host reaches its own libvirt and those of others. Refused if a memory that it sent could not come back."""
    made = config.libvirt

    def reach(host: str) -> Reach:
        peer = made.peers.get(host)
        if peer is None:
            raise Refused(f"libvirt.peers: there is no {host}: how its libvirt is reached is not known")
        return Reach(uri=peer.uri, peer=peer.peer or peer.uri, migration=peer.migration)

    itself = made.peers.get(config.node.host)
    if made.peers and itself is None:
        raise Refused(
            f"libvirt.peers: there is no {config.node.host} itself: a memory that it has sent away could not be brought back"
        )
    own = Reach(uri=made.uri)
    if itself is not None:
        own = Reach(uri=made.uri, peer=itself.peer or itself.uri, migration=itself.migration)
    return Settings(
        facts=_facts(config),
        reach=own,
        peers=reach,
        bridges=made.bridges,
        kind=made.kind,
        probe_kernel=made.probe_kernel,
        state=Path(made.state),
        run=Path(made.run),
    )


class Kind(NamedTuple):
    """How a node of such a host, and a guard, come by what they may touch. What is to be let go in the end goes on the
    stack."""

    node: Callable[[Config, Runtime, Store, ExitStack], Awaitable[Ports]]
    guard: Callable[[Config, Runtime], Machine]


HOSTS = {"process": Kind(_process_node, _process_guard), "libvirt": Kind(_real_node, _real_guard)}


def _facts(config: Config) -> Facts:
    made = config.machine
    return Facts(
        host=config.node.host,
        boot="",
        cpus=made.cpus,
        memory_mib=made.memory_mib,
        reserve_mib=made.reserve_mib,
        zone=made.zone,
        primary=False,
        master=config.node.master,
        cpu_model="any",
        networks=made.networks,
        exclusive_cpus=made.exclusive_cpus,
        nics_max=made.nics_max,
        volumes_max=made.volumes_max,
    )
