"""``python -m tests.bench.rest_server WHAT``: the API of the benchmark, which prints its port and its token."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

from ave.api.desk import open_desk
from ave.api.gate import Tokens
from ave.api.people import create_token, create_user
from ave.api.questions import NewToken, NewUser
from ave.kinds import KINDS, SCHEMA
from ave.model.access import Grant, Role
from ave.model.cluster import Handler
from ave.model.host import Host, HostState
from ave.ports.store import Insert
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.collecting import settle
from drivers.rest.app import application
from drivers.rest.host import Here, Served
from drivers.rest.server import listen, serve
from drivers.sqlite.store import SqliteStore
from tests.bench.bare_server import vms


async def opened(what: str, runtime: AsyncioRuntime, folder: Path) -> Any:
    if what == "ave":
        return await SqliteStore.open(folder / "store", KINDS, schema=SCHEMA)
    from drivers.mongo.settings import MongoSettings
    from drivers.mongo.store import MongoStore

    settings = MongoSettings(uri=what, database=f"bench-{token_hex(4)}", user="", password_file="")
    return await MongoStore.open(runtime, settings, KINDS, schema=SCHEMA)


async def main(what: str, folder: Path) -> None:
    """``what``: ave, on SQLite, or the URI of a MongoDB that its store is on."""
    where = listen("127.0.0.1", 0)
    runtime = AsyncioRuntime("h1/bench")
    store = await opened(what, runtime, folder)
    try:
        desk, view = open_desk(Ports("h1", runtime, store, None, None, None))  # type: ignore[arg-type]
        await store.commit(Insert(Handler(id="h1", uuid="h1-1")))
        await store.commit(Insert(Host(id="h1", state=HostState.ONLINE, cpus=8, memory_mib=32_768)))
        for vm in vms():
            await store.commit(Insert(vm))
        await create_user(store.commit, NewUser(id="bench", grants=(Grant(Role.ADMIN),)))
        token = (await create_token(store.commit, runtime, NewToken(user="bench"))).token
        kept = runtime.spawn(view.run(), name="view")
        await settle(view)
        host = Served("h1", desk, view, Tokens(store, view, loopback=True), Here())
        print(where.getsockname()[1], token, flush=True)
        await serve(application(host, bug=lambda error: print(repr(error), file=sys.stderr)), where)
        kept.cancel()
    finally:
        await store.close()


if __name__ == "__main__":
    with TemporaryDirectory(prefix="ave-bench-") as folder:
        asyncio.run(main(sys.argv[1], Path(folder)))
