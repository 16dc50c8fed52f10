"""The configuration of a node and of a storage box: one TOML file, and the environment over it (``AVE_STORE__URL`` for
``[store] url``).

A secret is never in it, nor in the process's arguments: the store's password is read from a file of its own, or from
``AVE_MONGO_PASSWORD``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any, Literal

import msgspec

from ave.errors import Refused
from ave.ha.timing import PROFILES, Timing
from ave.model.services import SERVICES
from drivers.layers import Layers, Problem
from drivers.toml_lines import Key
from drivers.urls import endpoint, loopback, require_store


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    master: bool = True
    services: tuple[str, ...] = tuple(SERVICES)
    profile: str = "seed"  # the pair of HA times, see ave.ha.timing


class HaConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pair of HA times, in seconds, in place of those of a profile. Refused unless they are safe."""

    give_up: float = 0.0  # after so long without its storage lease a host stops its VMs
    verdict: float = 0.0  # after so long a silence the lease is revoked


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str  # sqlite:FILE or mongodb://one,two,three/?replicaSet=…
    database: str = "ave"  # MongoDB only, as the next two
    user: str = ""
    password_file: str = ""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"  # SQLite only; NORMAL may forget the last commits at a power loss


class HypervisorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    driver: Literal["process", "libvirt"] = "process"
    root: str = ""  # where the hosts of one process cluster keep their state


class PeerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the libvirt of a host is reached from others."""

    uri: str  # by AVE: qemu+tls://host/system
    peer: str = ""  # by the libvirt of a third host, for a migration, if that is another way
    migration: str = ""  # where the memory is sent: tcp://address; "": as libvirt thinks best


class LibvirtConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a host whose hypervisor is libvirt."""

    uri: str = "qemu:///system"
    kind: Literal["kvm", "qemu", "probe"] = "probe"  # of domains; a probe boots one to find out
    probe_kernel: str = ""  # which a probe boots; "": the one that runs here
    bridges: dict[str, str] = {}  # of each network of VMs, the same on every host
    peers: dict[str, PeerConfig] = {}  # every host that VMs move between, by name; this one too
    state: str = "/var/lib/ave"  # what must outlast a power loss
    run: str = "/run"  # what must not


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The storage box, as a host reaches it."""

    box: str  # address and port of its service, on the storage network
    portal: str  # address and port of its targets
    secret_file: str  # the same as the box's


class MachineConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host of a process cluster says it is made of."""

    cpus: int = 8
    memory_mib: int = 32 * 1024
    reserve_mib: int = 1024
    zone: str = ""
    networks: tuple[str, ...] = ()
    exclusive_cpus: int = 0  # of its cpus, those that pinned VMs may have for themselves
    nics_max: int = 0  # of its VMs; 0: no limit
    volumes_max: int = 0  # attached at once; 0: no limit


class ApiConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where requests of people and tools are taken."""

    listen: str = ""  # address and port; "": nowhere
    certificate: str = (
        ""  # a PEM file, with those that it hangs on; only with it one may listen elsewhere than on loopback
    )
    key: str = ""  # its private key, a PEM file that nobody else may read
    # Requests in a second, five times as many at once; 0: any number. This machine's own addresses are not limited.
    address_rate: float = 200.0  # from one address
    token_rate: float = 100.0  # with one token


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: NodeConfig
    store: StoreConfig
    hypervisor: HypervisorConfig
    machine: MachineConfig = MachineConfig()
    ha: HaConfig = HaConfig()
    api: ApiConfig = ApiConfig()
    libvirt: LibvirtConfig = LibvirtConfig()
    storage: StorageConfig | None = None


class BoxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[storage], of the storage box alone."""

    listen: str  # address and port on the storage network: what hosts ask is answered here
    pool: str  # a folder on a file system with reflink
    state: str  # where is kept what must never be forgotten: who owns which volume
    backend: Literal["tgt", "lio"] = "tgt"  # what serves the volumes: tgtd, or the kernel
    tgtd: str = "/run/tgtd/socket.0"  # its control socket
    portal: str = ""  # of lio: address and port on the storage network; tgtd is started with its own
    secret_file: str  # shared with every host


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """The configuration; ``flags`` ("node.host") win over the environment, which wins over the file.

    Refused, naming of every wrong key its place, and what is wrong with it.
    """
    return node_of(Layers(file, environment, flags))


def node_of(layers: Layers) -> Config:
    config = layers.build(Config)
    if wrong := list(_wrong(config)):
        raise layers.refusal(wrong)
    return config


def _wrong(config: Config) -> Iterator[Problem]:
    """What of values that are right by themselves does not fit the others."""
    try:
        timing_of(config)
    except Refused as unsafe:
        yield Problem((), str(unsafe))
    yield from _wrong_address(require_store, ("store", "url"), config.store.url)
    if config.hypervisor.driver == "process" and not config.hypervisor.root:
        yield Problem((), "hypervisor.root is missing: the folder of the process cluster")
    if config.hypervisor.driver == "libvirt" and config.storage is None:
        yield Problem((), "hypervisor.driver is libvirt, and there is no [storage]: box, portal and secret_file")
    if config.api.listen:
        yield from _wrong_address(
            endpoint if config.api.certificate else loopback, ("api", "listen"), config.api.listen
        )
    if bool(config.api.certificate) != bool(config.api.key):
        yield Problem((), "api.certificate and api.key belong together: one of them is missing")
    for name in ("address_rate", "token_rate"):
        if not 0.0 <= getattr(config.api, name) < inf:
            yield Problem(("api", name), "requests in a second, 0 or more")
    if config.storage is not None:
        yield from _wrong_address(endpoint, ("storage", "box"), config.storage.box)
        yield from _wrong_address(endpoint, ("storage", "portal"), config.storage.portal)
    services = ("node", "services")
    if unknown := [name for name in config.node.services if name not in SERVICES]:
        yield Problem(services, f"unknown {', '.join(unknown)}; known are {', '.join(SERVICES)}")
    for name in config.node.services:
        missing = [other for other in SERVICES.get(name, ()) if other not in config.node.services]
        if missing:
            yield Problem(services, f"{name} needs {', '.join(missing)} beside it")


def _wrong_address(read: Callable[[str], object], key: Key, text: str) -> Iterator[Problem]:
    try:
        read(text)
    except Refused as problem:
        yield Problem(key, str(problem))


def timing_of(config: Config) -> Timing:
    """The times of the profile, or those given. Refused, with both sides of the inequality, if they are unsafe."""
    profile, given = config.node.profile, config.ha
    if profile not in PROFILES:
        raise Refused(f"node.profile: unknown {profile}; known are {', '.join(PROFILES)}")
    if given == HaConfig():
        return PROFILES[profile]
    if not (given.give_up > 0.0 and given.verdict > 0.0):
        raise Refused("ha: give_up and verdict belong together, and are more than 0 s")
    timing = Timing(name="of this configuration", give_up=given.give_up, verdict=given.verdict)
    timing.require_safe()
    return timing


class _OnlyStore(msgspec.Struct, frozen=True, kw_only=True):
    store: StoreConfig


class BoxWhole(msgspec.Struct, frozen=True, kw_only=True):
    storage: BoxConfig


def load_store(file: Path | None, environment: Mapping[str, str], url: str) -> StoreConfig:
    """Only [store], for who reads a cluster's store without being one of its nodes; ``url`` wins. Refused as ``load``."""
    layers = Layers(file, environment, {"store.url": url})
    store = layers.build(_OnlyStore, only=("store",)).store
    if wrong := list(_wrong_address(require_store, ("store", "url"), store.url)):
        raise layers.refusal(wrong)
    return store


def load_box(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]) -> BoxConfig:
    """Only [storage]; flags win over the environment, which wins over the file. Refused as ``load``."""
    return box_of(Layers(file, environment, {f"storage.{key}": value for key, value in flags.items()})).storage


def box_of(layers: Layers) -> BoxWhole:
    """The sections of a node do no harm in it; one that nobody knows is a mistake."""
    config = layers.build(BoxWhole, known=tuple(field for field in Config.__struct_fields__ if field != "storage"))
    if wrong := list(_wrong_address(endpoint, ("storage", "listen"), config.storage.listen)):
        raise layers.refusal(wrong)
    return config
