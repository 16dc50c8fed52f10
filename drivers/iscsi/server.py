"""The storage box's service: it answers the calls of the hosts, a bounded number at a time and each within its time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ave.errors import AveError, Refused, Unavailable, UnknownOutcome
from ave.runtime import Runtime
from drivers.disk import DAMAGED, aside
from drivers.iscsi import wire
from drivers.iscsi.box import Box, Found
from drivers.meta import MetaService

CONNECTIONS_MAX = 512
HOSTS_MAX = 4096
SAY_SECONDS = 5.0  # for the other side to send or take its next words
LOOK_AGAIN_SECONDS = 2.0  # at whether the targets are as they should be: some 50 ms of work with 300 of them


class Service:
    """``now``: this machine's own clock, on which silences of meta leaders are measured."""

    def __init__(self, box: Box, state: Path, secret: bytes, runtime: Runtime) -> None:
        self._box, self._state, self._secret, self._runtime = box, state.absolute(), secret, runtime
        os.makedirs(self._state / "storage", mode=0o700, exist_ok=True)  # the meta service's
        self._meta: dict[str, MetaService] = {}
        self._threads = {  # leases never wait for volumes, whose targets or disk may hang
            True: ThreadPoolExecutor(4, thread_name_prefix="leases"),
            False: ThreadPoolExecutor(32, thread_name_prefix="volumes"),
        }
        self._open: set[asyncio.Task[Any]] = set()
        self._told = Found()

    async def serve(self, address: str, port: int) -> asyncio.Server:
        """Answer from now on. Everything has been put right first, as far as it can be: nobody finds an older owner."""
        await self.look()
        return await asyncio.start_server(self._accept, address, port, limit=wire.REQUEST_MAX, backlog=128)

    async def look_for_ever(self) -> None:
        while True:
            await self._runtime.sleep(LOOK_AGAIN_SECONDS)
            await self.look()

    async def look(self) -> None:
        try:
            found = await aside("a look at the targets", self._box.look)
        except (Unavailable, UnknownOutcome) as trouble:
            found = Found(unclear={"": str(trouble)})
        if found != self._told:
            self._told = found
            if found != Found():
                self._runtime.log("the storage was looked at", **msgspec.to_builtins(found))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        if len(self._open) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._open.add(task)
        try:
            await self._converse(reader, writer)
        except (wire.Broken, TimeoutError, OSError) as end:
            self._runtime.log("a connection ended", peer=writer.get_extra_info("peername"), why=str(end) or "too slow")
        finally:
            self._open.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(SAY_SECONDS):
            link = await wire.greet(reader, writer, self._secret)
            body = await link.receive(b"ask", wire.REQUEST_MAX)
        answer = await self._answer(body)
        async with asyncio.timeout(SAY_SECONDS):
            await link.send(b"answer", msgspec.json.encode(answer))

    async def _answer(self, body: bytes) -> wire.Answer:
        try:
            request = msgspec.json.decode(body, type=wire.Request)
            call = self._function(request)
            what = f"{type(request.call).__name__.lower()} of {request.host}"
            threads = self._threads[isinstance(request.call, wire.LEASE_CALLS)]
            return wire.Done(msgspec.Raw(msgspec.json.encode(await aside(what, call, threads))))
        except DAMAGED as problem:
            return wire.Failed(Refused.__name__, f"the storage box does not understand this: {problem}")
        except AveError as error:
            kind = next(
                (kind for kind, each in wire.ERRORS.items() if isinstance(error, each)), UnknownOutcome.__name__
            )
            return wire.Failed(kind, str(error))

    def _function(self, request: wire.Request) -> Callable[[], Any]:
        """What to do in a thread."""
        box, meta = self._box, self._meta_of(request.host)
        match request.call:
            case wire.Create(volume, size_gib, stamp):
                return partial(box.create, volume, size_gib, stamp)
            case wire.Grow(volume, size_gib, stamp):
                return partial(box.grow, volume, size_gib, stamp)
            case wire.Delete(volume, stamp):
                return partial(box.delete, volume, stamp)
            case wire.Attach(volume, owner, stamp):
                return partial(box.attach, volume, owner, stamp)
            case wire.Admit(volume, host, stamp):
                return partial(box.admit, volume, host, stamp)
            case wire.Detach(volume, stamp):
                return partial(box.detach, volume, stamp)
            case wire.Owner(volume):
                return partial(box.owner, volume)
            case wire.Join(host, boot):
                return partial(meta.join, host, boot)
            case wire.Renew(host, boot, may_lead, anew):
                return partial(meta.renew, host, boot, may_lead=may_lead, anew=anew)
            case wire.Leases():
                return meta.leases
            case wire.Revoke(host, counter):
                return partial(meta.revoke, host, counter)
            case wire.StepAside(seconds):
                return partial(meta.step_aside, seconds)

    def _meta_of(self, host: str) -> MetaService:
        """Each host watches the meta leader for itself, and by itself."""
        if host not in self._meta:
            if len(self._meta) >= HOSTS_MAX:
                raise Refused(f"the storage box has answered {HOSTS_MAX} hosts already: {host} is one too many")
            self._meta[host] = MetaService(self._state, host, self._runtime.now)
        return self._meta[host]
