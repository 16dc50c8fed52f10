"""``python -m tests.bench.rest_server WHAT``: one server of the benchmark, which prints its port and its token."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ave.api.desk import open_desk
from ave.api.gate import Tokens
from ave.api.people import create_token, create_user
from ave.api.questions import NewToken, NewUser
from ave.kinds import KINDS, SCHEMA
from ave.model.access import Grant, Role
from ave.model.vm import VM, VMState
from ave.ports.store import Insert
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.rest.app import application
from drivers.rest.host import Here, Served
from drivers.rest.server import listen, serve
from drivers.sqlite.store import SqliteStore

VMS = 1000


def vms() -> list[VM]:
    return [
        VM(
            id=f"web-{number}",
            vcpus=2,
            memory_mib=4096,
            state=VMState.RUNNING,
            host="h1",
            volumes=(f"web-{number}-disk-1",),
        )
        for number in range(VMS)
    ]


def bare() -> Starlette:
    """What the framework itself costs: a path, a dict, an encoder."""
    docs = {vm.id: vm for vm in vms()}
    encode = msgspec.json.Encoder().encode

    async def show(request: Request) -> Response:
        return Response(encode(docs[request.path_params["id"]]), media_type="application/json")

    return Starlette(routes=[Route("/v1/vms/{id}", show)])


def fastapi() -> Any:
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Shown(BaseModel):
        id: str
        version: int
        state: str
        story: list[str]
        name: str
        tenant: str
        labels: dict[str, str]
        vcpus: int
        memory_mib: int
        volumes: list[str]
        networks: list[str]
        ha: bool
        priority: str
        on: bool
        host: str
        epoch: int

    docs = {vm.id: Shown(**{name: msgspec.to_builtins(vm)[name] for name in Shown.model_fields}) for vm in vms()}
    app = FastAPI()

    @app.get("/v1/vms/{id}", response_model=Shown)
    async def show(id: str) -> Any:
        return docs[id]

    return app


async def main(what: str, folder: Path) -> None:
    where = listen("127.0.0.1", 0)
    token = ""
    if what != "ave":
        app = bare() if what == "starlette" else fastapi()
        print(where.getsockname()[1], token, flush=True)
        await serve(app, where)
        return
    runtime = AsyncioRuntime("h1/bench")
    async with await SqliteStore.open(folder / "store", KINDS, schema=SCHEMA) as store:
        desk, view = open_desk(Ports("h1", runtime, store, None, None, None))  # type: ignore[arg-type]
        await store.commit(*map(Insert, vms()))
        await create_user(store.commit, NewUser(id="bench", grants=(Grant(Role.ADMIN),)))
        token = (await create_token(store.commit, runtime, NewToken(user="bench"))).token
        kept = runtime.spawn(view.run(), name="view")
        await view.reach(0)
        host = Served("h1", desk, view, Tokens(store, view, loopback=True), Here(), "1")
        print(where.getsockname()[1], token, flush=True)
        await serve(application(host, bug=lambda error: print(repr(error), file=sys.stderr)), where)
        kept.cancel()


if __name__ == "__main__":
    with TemporaryDirectory(prefix="ave-bench-") as folder:
        asyncio.run(main(sys.argv[1], Path(folder)))
