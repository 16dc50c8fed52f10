"""A real host: the control plane's own node, put together on real drivers. One of the two composition roots."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from ave.errors import Refused
from ave.ha.timing import PROFILES
from ave.kinds import KINDS, SCHEMA
from ave.node import run_node
from ave.ports.machine import Facts
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import Config, StoreConfig
from drivers.plugins import plugged
from drivers.process.ports import ports
from drivers.process.power import power_on

SQLITE, MONGODB = "sqlite:", ("mongodb://", "mongodb+srv://")


async def run(config: Config) -> None:
    """Run the node until SIGTERM or SIGINT. Raises Refused, Unavailable when it cannot begin."""
    if config.node.profile not in PROFILES:
        raise Refused(f"node.profile: unknown {config.node.profile}; known are {', '.join(PROFILES)}")
    rules = plugged()
    runtime = AsyncioRuntime(f"{config.node.host}/node")
    store = await open_store(config.store, runtime)
    try:
        root = Path(config.hypervisor.root)
        power_on(root, _facts(config))
        main = run_node(
            ports(root, config.node.host, runtime, store),
            master=config.node.master,
            timing=PROFILES[config.node.profile],
            services=config.node.services,
            plugged=rules,
        )
        runtime.log("node starts", services=",".join(config.node.services), store=config.store.url)
        task = asyncio.ensure_future(runtime.supervise(main))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            runtime.log("node stops")
    finally:
        await store.close()


async def open_store(config: StoreConfig, runtime: AsyncioRuntime) -> Any:
    """The store that the URL names. Refused if it names none, or needs what is not installed."""
    if config.url.startswith(SQLITE):
        from drivers.sqlite.store import SqliteStore

        path = Path(config.url.removeprefix(SQLITE))
        return await SqliteStore.open(path, KINDS, schema=SCHEMA, synchronous=config.synchronous)
    if config.url.startswith(MONGODB):
        try:
            from drivers.mongo.settings import MongoSettings
            from drivers.mongo.store import MongoStore
        except ImportError as missing:
            raise Refused(f"store.url names MongoDB, and {missing.name} is not there: pip install ave[mongo]") from None
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
