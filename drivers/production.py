"""A real host: the control plane's own node, put together on real drivers. One of the two composition roots."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import ExitStack
from traceback import format_exception
from typing import Any

from ave.api.desk import open_desk
from ave.api.gate import Tokens
from ave.api.people import first_token
from ave.api.rates import Rates
from ave.errors import Refused, Unavailable
from ave.guard import run_guard
from ave.ha.lease import new_host
from ave.ha.promise import not_promised
from ave.model.host import Host
from ave.node import run_node
from ave.placement.plugged import Plugged
from ave.ports.together import Ports
from ave.sync import together
from drivers.assembly import HOSTS
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.collecting import settle
from drivers.config import Config, timing_of
from drivers.decoding import make_ready
from drivers.plugins import plugged
from drivers.stores import open_store
from drivers.told import until_told
from drivers.urls import endpoint, is_loopback, shown


async def run(config: Config) -> None:
    """Run the node until SIGTERM or SIGINT. Raises Refused, Unavailable when it cannot begin."""
    import networkx  # noqa: F401 - now: it takes a tenth of a second, in which no lease is renewed

    rules = plugged()
    runtime = AsyncioRuntime(f"{config.node.host}/node")
    store = await open_store(config.store, runtime)
    try:
        with ExitStack() as held:
            ports = await HOSTS[config.hypervisor.driver].node(config, runtime, store, held)
            make_ready()
            main = run_node(
                ports,
                master=config.node.master,
                timing=timing_of(config),
                services=config.node.services,
                plugged=rules,
            )
            if config.api.listen:
                main = _with_api(config, ports, rules, main)
            await _warn(ports)
            runtime.log("node starts", services=",".join(config.node.services), store=shown(config.store.url))
            await until_told(runtime, main, "node")
    finally:
        await store.close()


async def _with_api(config: Config, ports: Ports, rules: Plugged, main: Coroutine[Any, Any, None]) -> None:
    """What people ask is taken by the same process, and read from a view that it keeps."""
    from drivers.passwords import Argon2
    from drivers.rest.app import application
    from drivers.rest.host import Here, Served
    from drivers.rest.server import Secret, listen, serve

    try:
        where = listen(*endpoint(config.api.listen))
    except Refused as problem:
        main.close()
        raise Refused(f"api.listen: {problem}") from problem
    desk, view = open_desk(ports, rules, hasher=Argon2())
    gate = Tokens(ports.store, view, loopback=is_loopback(config.api.listen))
    host = Served(ports.host, desk, view, gate, Here())
    secret = Secret(config.api.certificate, config.api.key) if config.api.certificate else None

    def bug(error: BaseException) -> None:
        ports.runtime.log("bug in the API", error="".join(format_exception(error)))

    ports.runtime.log("api listens", address=config.api.listen)
    rates = Rates(ports.runtime.now, address=config.api.address_rate, token=config.api.token_rate)
    served = serve(application(host, bug=bug, rates=rates), where, secret)
    await together(ports.runtime, {"node": main, "view": view.run(), "settle": settle(view), "api": served})


async def _warn(ports: Ports) -> None:
    """Say what a cluster of so few hosts cannot promise. Those that have not joined yet are not known."""
    try:
        others = [other for other in await ports.store.find(Host) if other.id != ports.host]
        here = new_host(await ports.machine.facts())
    except Unavailable:
        return
    for lacking in not_promised([*others, here]):
        ports.runtime.log("high availability cannot promise everything", why=lacking)


async def guard(config: Config) -> None:
    """Run the guard beside the node until SIGTERM or SIGINT. It needs no store, no network, and nothing of the node."""
    runtime = AsyncioRuntime(f"{config.node.host}/guard")
    machine = HOSTS[config.hypervisor.driver].guard(config, runtime)
    make_ready()
    runtime.log("guard starts")
    await until_told(runtime, run_guard(runtime, machine), "guard")


async def initialise(config: Config, name: str, *, again: bool) -> str:
    """The token of a first administrator. Refused if the cluster has users, Unavailable if its store does not answer."""
    runtime = AsyncioRuntime(f"{config.node.host}/init")
    store = await open_store(config.store, runtime)
    try:
        return (await first_token(store, runtime, name, again=again)).token
    finally:
        await store.close()
