"""A real host: the control plane's own node, put together on real drivers. One of the two composition roots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ave.errors import Refused, Unavailable
from ave.guard import run_guard
from ave.ha.lease import new_host
from ave.ha.promise import not_promised
from ave.kinds import KINDS, SCHEMA
from ave.model.host import Host
from ave.node import run_node
from ave.ports.machine import Facts
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import Config, StoreConfig, timing_of
from drivers.decoding import make_ready
from drivers.plugins import plugged
from drivers.process.ports import machine_of, ports
from drivers.process.power import power_on
from drivers.told import until_told

SQLITE, MONGODB = "sqlite:", ("mongodb://", "mongodb+srv://")


async def run(config: Config) -> None:
    """Run the node until SIGTERM or SIGINT. Raises Refused, Unavailable when it cannot begin."""
    rules = plugged()
    runtime = AsyncioRuntime(f"{config.node.host}/node")
    store = await open_store(config.store, runtime)
    try:
        root = Path(config.hypervisor.root)
        power_on(root, _facts(config))
        main = run_node(
            ports(root, config.node.host, runtime, store),
            master=config.node.master,
            timing=timing_of(config),
            services=config.node.services,
            plugged=rules,
        )
        await _warn(runtime, store, root, config.node.host)
        runtime.log("node starts", services=",".join(config.node.services), store=config.store.url)
        await until_told(runtime, main, "node")
    finally:
        await store.close()


async def _warn(runtime: AsyncioRuntime, store: Any, root: Path, host: str) -> None:
    """Say what a cluster of so few hosts cannot promise. Those that have not joined yet are not known."""
    try:
        others = [other for other in await store.find(Host) if other.id != host]
        here = new_host(await machine_of(root, host, runtime).facts())
    except Unavailable:
        return
    for lacking in not_promised([*others, here]):
        runtime.log("high availability cannot promise everything", why=lacking)


async def guard(config: Config) -> None:
    """Run the guard beside the node until SIGTERM or SIGINT. It needs no store, no network, and nothing of the node."""
    runtime = AsyncioRuntime(f"{config.node.host}/guard")
    power_on(Path(config.hypervisor.root), _facts(config))
    machine = machine_of(Path(config.hypervisor.root), config.node.host, runtime)
    runtime.log("guard starts")
    await until_told(runtime, run_guard(runtime, machine), "guard")


async def open_store(config: StoreConfig, runtime: AsyncioRuntime) -> Any:
    """The store that the URL names. Refused if it names none, or needs what is not installed."""
    if config.url.startswith(SQLITE):
        from drivers.sqlite.store import SqliteStore

        make_ready()
        path = Path(config.url.removeprefix(SQLITE))
        return await SqliteStore.open(path, KINDS, schema=SCHEMA, synchronous=config.synchronous)
    if config.url.startswith(MONGODB):
        try:
            from drivers.mongo.settings import MongoSettings
            from drivers.mongo.store import MongoStore
        except ImportError as missing:
            raise Refused(f"store.url names MongoDB, and {missing.name} is not there: pip install ave[mongo]") from None
        make_ready()
        settings = MongoSettings(
            uri=config.url, database=config.database, user=config.user, password_file=config.password_file
        )
        return await MongoStore.open(runtime, settings, KINDS, schema=SCHEMA)
    scheme = config.url.partition(":")[0]
    raise Refused(f"store.url: {scheme}: is no store that AVE knows; write sqlite:FILE or mongodb://…")


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
