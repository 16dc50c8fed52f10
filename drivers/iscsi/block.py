"""The BlockStorage port of one host: it asks the storage box, one connection for each call.

Until the box has proven itself nothing was asked for: what goes wrong by then is Unavailable. What goes wrong after that
leaves it open whether the box has done it: UnknownOutcome, unless the call changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.block import Grant, Lease, Slot
from ave.ports.hypervisor import Stamp
from ave.runtime import Runtime
from drivers import beats
from drivers.disk import DAMAGED
from drivers.iscsi import wire
from drivers.iscsi.names import Way, chap_secret, way

T = TypeVar("T")

VOLUME_SECONDS = 20.0  # more than the box lets a call take: its own answer is the better one
LEASE_SECONDS = 2.0  # for one renewal, there and back


class IscsiBlock:
    luns_per_target, targets_max = 1, 0  # each owner of a volume has a target of its own: see names.target

    def __init__(
        self, host: str, box: tuple[str, int], portal: str, secret: bytes, runtime: Runtime, *, may_lead: bool
    ) -> None:
        """``box``: address and port of its service. ``portal``: of its targets, "10.78.0.20:3260"."""
        self._host, self._box, self._portal, self._secret = host, box, portal, secret
        self._runtime, self._may_lead = runtime, may_lead

    def way(self, volume: str, host: str, epoch: int) -> Way:
        """How that host opens the volume, once it is attached to it under this epoch, or admitted for the one before."""
        return way(self._portal, volume, host, epoch)

    def chap_secret(self) -> str:
        """This host's, for all its volumes."""
        return chap_secret(self._secret, self._host)

    async def create(self, volume: str, size_gib: int, stamp: Stamp, slot: Slot | None = None) -> None:
        await self._ask(wire.Create(volume, size_gib, stamp), type(None))

    async def grow(self, volume: str, size_gib: int, stamp: Stamp) -> None:
        await self._ask(wire.Grow(volume, size_gib, stamp), type(None))

    async def delete(self, volume: str, stamp: Stamp) -> None:
        await self._ask(wire.Delete(volume, stamp), type(None))

    async def attach(self, volume: str, owner: str, stamp: Stamp) -> None:
        await self._ask(wire.Attach(volume, owner, stamp), type(None))

    async def admit(self, volume: str, host: str, stamp: Stamp) -> None:
        await self._ask(wire.Admit(volume, host, stamp), type(None))

    async def detach(self, volume: str, stamp: Stamp) -> None:
        await self._ask(wire.Detach(volume, stamp), type(None))

    async def owner(self, volume: str) -> tuple[str, int]:
        owner: tuple[str, int] = await self._look(wire.Owner(volume), tuple[str, int], VOLUME_SECONDS)
        return owner

    async def join(self, host: str, boot: str) -> None:
        await self._ask(wire.Join(host, boot), type(None), LEASE_SECONDS)

    async def renew(self, host: str, boot: str, *, anew: bool = False) -> Grant:
        return await self._ask(wire.Renew(host, boot, self._may_lead, anew), Grant, LEASE_SECONDS)

    async def keep(
        self, host: str, boot: str, grant: Grant, renewed: Callable[[float], bool], *, every: float
    ) -> Grant:
        return await beats.keep(self._runtime, lambda: self.renew(host, boot), grant, renewed, every)

    async def leases(self) -> tuple[Lease, ...]:
        leases: tuple[Lease, ...] = await self._look(wire.Leases(), tuple[Lease, ...], LEASE_SECONDS)
        return leases

    async def revoke(self, host: str, counter: int) -> None:
        await self._ask(wire.Revoke(host, counter), type(None), LEASE_SECONDS)

    async def step_aside(self, seconds: float) -> None:
        await self._ask(wire.StepAside(seconds), type(None), LEASE_SECONDS)

    async def _look(self, call: wire.Call, answer: Any, seconds: float) -> Any:
        """What changes nothing either succeeds or did not happen."""
        try:
            return await self._ask(call, answer, seconds)
        except UnknownOutcome as lost:
            raise Unavailable(*lost.args) from lost

    async def _ask(self, call: wire.Call, answer: type[T], seconds: float = VOLUME_SECONDS) -> T:
        what = f"the storage box, asked to {type(call).__name__.lower()},"
        body = msgspec.json.encode(wire.Request(self._host, call))
        writer: asyncio.StreamWriter | None = None
        asked = False
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(*self._box, limit=wire.ANSWER_MAX)
                link = await wire.present(reader, writer, self._secret)
                asked = True
                await link.send(b"ask", body)
                told = msgspec.json.decode(await link.receive(b"answer", wire.ANSWER_MAX), type=wire.Answer)
                if isinstance(told, wire.Done):
                    return msgspec.json.decode(told.value, type=answer)
        except (wire.Broken, OSError, *DAMAGED) as trouble:  # TimeoutError is an OSError
            why = str(trouble) or f"no answer within {seconds:g} s"
            raise (UnknownOutcome if asked else Unavailable)(f"{what} does not answer: {why}") from trouble
        finally:
            if writer is not None:
                writer.close()
        raise wire.ERRORS.get(told.kind, UnknownOutcome)(told.words)
