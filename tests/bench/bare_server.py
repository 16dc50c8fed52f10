"""``python -m tests.bench.bare_server WHAT``: what the API is compared with, starlette or fastapi; it prints its port.

It imports nothing of ours but the document that it shows, so that its memory is its own.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ave.model.vm import VM, VMState
from drivers.rest.server import listen, serve

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
    """The same document, field for field and type for type, by the ways that its guide shows: a model says what is answered."""
    from fastapi import FastAPI
    from pydantic import create_model

    fields: dict[str, Any] = {field.name: (field.type, ...) for field in msgspec.structs.fields(VM)}
    shown = create_model("Shown", **fields)
    docs = {vm.id: shown(**msgspec.structs.asdict(vm)) for vm in vms()}
    app = FastAPI()

    @app.get("/v1/vms/{id}", response_model=shown)
    async def show(id: str) -> Any:
        return docs[id]

    return app


async def main(what: str) -> None:
    where = listen("127.0.0.1", 0)
    app = bare() if what == "starlette" else fastapi()
    print(where.getsockname()[1], flush=True)
    await serve(app, where)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
