"""A node's configuration: one TOML file, and the environment over it (``AVE_STORE__URL`` for ``[store] url``).

A secret is never in it, nor in the process's arguments: the store's password is read from a file of its own, or from
``AVE_MONGO_PASSWORD``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from ave.errors import Refused
from ave.ha.timing import PROFILES, Timing
from ave.node import SERVICES

PREFIX = "AVE_"


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


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: NodeConfig
    store: StoreConfig
    hypervisor: HypervisorConfig
    machine: MachineConfig = MachineConfig()
    ha: HaConfig = HaConfig()
    libvirt: LibvirtConfig = LibvirtConfig()
    storage: StorageConfig | None = None


class BoxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[storage], of the storage box alone."""

    listen: str  # address and port on the storage network: what hosts ask is answered here
    pool: str  # a folder on a file system with reflink
    state: str  # where is kept what must never be forgotten: who owns which volume
    tgtd: str = "/run/tgtd/socket.0"  # its control socket
    secret_file: str  # shared with every host


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """The configuration; ``flags`` ("node.host") win over the environment, which wins over the file.

    Refused, naming the file, the key and what is wrong with it.
    """
    tree = _tree(file, environment)
    for path, value in flags.items():
        section, _, key = path.partition(".")
        if value:
            tree.setdefault(section, {})[key] = value
    source = str(file) if file is not None else "the configuration (no --config was given)"
    try:
        config = msgspec.convert(_split(tree), Config, strict=False)
    except msgspec.ValidationError as problem:
        raise Refused(f"{source}: {problem}") from None
    try:
        timing_of(config)
    except Refused as unsafe:
        raise Refused(f"{source}: {unsafe}") from None
    if config.hypervisor.driver == "process" and not config.hypervisor.root:
        raise Refused(f"{source}: hypervisor.root is missing: the folder of the process cluster")
    if config.hypervisor.driver == "libvirt" and config.storage is None:
        raise Refused(f"{source}: hypervisor.driver is libvirt, and there is no [storage]: box, portal and secret_file")
    unknown = [name for name in config.node.services if name not in SERVICES]
    if unknown:
        raise Refused(f"{source}: node.services: unknown {', '.join(unknown)}; known are {', '.join(SERVICES)}")
    for name in config.node.services:
        missing = [other for other in SERVICES[name] if other not in config.node.services]
        if missing:
            raise Refused(f"{source}: node.services: {name} needs {', '.join(missing)} beside it")
    return config


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


def load_store(file: Path | None, environment: Mapping[str, str], url: str) -> StoreConfig:
    """Only [store], for who reads a cluster's store without being one of its nodes; ``url`` wins. Refused as ``load``."""
    section = _tree(file, environment).get("store", {})
    try:
        return msgspec.convert(section | ({"url": url} if url else {}), StoreConfig, strict=False)
    except msgspec.ValidationError as problem:
        raise Refused(f"{file or 'the environment'}: store: {problem}") from None


def load_box(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]) -> BoxConfig:
    """Only [storage]; flags win over the environment, which wins over the file. Refused as ``load``."""
    section = _tree(file, environment).get("storage", {})
    given = {key: value for key, value in flags.items() if value}
    try:
        return msgspec.convert(section | given, BoxConfig, strict=False)
    except msgspec.ValidationError as problem:
        raise Refused(f"{file or 'the configuration (no --config was given)'}: storage: {problem}") from None


def _tree(file: Path | None, environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The file, and the environment over it."""
    tree = _read(file) if file is not None else {}
    for name, value in environment.items():
        section, mark, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and mark:
            tree.setdefault(section, {})[key] = value
    return tree


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        tree = tomllib.loads(file.read_text())
    except OSError as problem:
        raise Refused(f"{file} cannot be read: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise Refused(f"{file} is not TOML: {problem}") from None
    for section, value in tree.items():
        if not isinstance(value, dict):
            raise Refused(f"{file}: {section} stands outside of every section")
    return tree


def _split(tree: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Lists may be given as text with commas, as the environment and flags can only do."""
    services = tree.get("node", {}).get("services")
    if isinstance(services, str):
        tree["node"]["services"] = [name.strip() for name in services.split(",") if name.strip()]
    networks = tree.get("machine", {}).get("networks")
    if isinstance(networks, str):
        tree["machine"]["networks"] = [name.strip() for name in networks.split(",") if name.strip()]
    return tree
