"""A host's API on a real store, without the host: what is asked becomes Jobs that nobody executes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2

from ave.api.desk import open_desk
from ave.api.gate import Tokens
from ave.api.passwords import Hasher
from ave.api.people import create_token, create_user
from ave.api.questions import NewToken, NewUser
from ave.api.rates import Rates
from ave.kinds import KINDS, SCHEMA
from ave.model.access import Grant
from ave.model.cluster import Handler
from ave.model.host import Host, HostState
from ave.ports.store import Insert
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.rest.app import application
from drivers.rest.host import Here, Served
from drivers.sqlite.store import SqliteStore


class Lab:
    """``bugs``: what the application could not foresee; a test ends with none."""

    def __init__(
        self,
        store: SqliteStore,
        runtime: AsyncioRuntime,
        *,
        loopback: bool,
        hasher: Hasher | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.store, self.runtime = store, runtime
        self.ports = Ports("h1", runtime, store, None, None, None)  # type: ignore[arg-type]
        self.desk, self.view = open_desk(self.ports, hasher=hasher)
        self.bugs: list[BaseException] = []
        gate = Tokens(store, self.view, loopback=loopback)
        host = Served("h1", self.desk, self.view, gate, Here())
        self.app = application(host, bug=self.bugs.append, rates=rates)
        self.client = self.client_of("127.0.0.1")

    def client_of(self, address: str) -> httpx2.AsyncClient:
        """A client that comes from there."""
        transport = httpx2.ASGITransport(self.app, client=(address, 12345))
        return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def put(self, *docs: Any) -> None:
        await self.store.commit(*map(Insert, docs))
        for doc in docs:
            kind = next(kind.name for kind in KINDS if kind.type is type(doc))
            await self.view.until(kind, doc.id, 1)

    async def token(self, user: str, *grants: Grant, tenant: str = "default") -> dict[str, str]:
        """The header of a new user."""
        await create_user(self.store.commit, NewUser(id=user, tenant=tenant, grants=grants))
        made = await create_token(self.store.commit, self.runtime, NewToken(user=user))
        return {"Authorization": f"Bearer {made.token}"}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return await self.client.request(method, path, json=body, headers=headers)


def run(
    folder: Path,
    test: Callable[[Lab], Awaitable[None]],
    *,
    loopback: bool = True,
    hasher: Hasher | None = None,
    rates: Callable[[AsyncioRuntime], Rates] | None = None,
) -> None:
    async def main() -> None:
        runtime = AsyncioRuntime("h1/test")
        async with await SqliteStore.open(folder / "store", KINDS, schema=SCHEMA, synchronous="NORMAL") as store:
            limits = rates(runtime) if rates is not None else None
            lab = Lab(store, runtime, loopback=loopback, hasher=hasher, rates=limits)
            kept = runtime.spawn(lab.view.run(), name="view")
            try:
                await lab.view.reach(0)
                await store.commit(Insert(Host(id="h1", state=HostState.ONLINE, cpus=8, memory_mib=32_768)))
                await store.commit(Insert(Handler(id="h1", uuid="h1-1")))
                await test(lab)
            finally:
                kept.cancel()
                await lab.client.aclose()
            assert not lab.bugs, lab.bugs

    asyncio.run(asyncio.wait_for(main(), 60))
