"""Writing the audit record, in the very commit that makes the change: with neither can the other be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from ave.errors import Unavailable, UnknownOutcome
from ave.model.access import Caller
from ave.model.audit import THINGS_MOST, Chain, Outcome, Record, digest, name_of
from ave.ports.store import Conflict, Insert, Replace, Write
from ave.ports.together import Ports
from ave.sync import Slots

T = TypeVar("T")

TRIES = 5
WHY_MOST = 300
_CHAIN, _RECORD = "audit-chain", "audit"


class Auditor:
    """Of one host. One change after the other: each names the one before."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._turn = Slots(ports.runtime, 1)
        self._chain: Chain | None = None  # as the store has it

    async def with_record(self, entry: Record, act: Callable[[list[Write]], Awaitable[tuple[T, bool]]]) -> T:
        """``act`` commits these writes together with its own, and says whether it had anything to commit."""
        await self._turn.acquire()
        with self._turn.returned():
            for _ in range(TRIES):
                chain = (
                    self._chain or await self._ports.store.get(Chain, self._ports.host) or Chain(id=self._ports.host)
                )
                number = chain.number + 1
                record = msgspec.structs.replace(
                    entry, id=name_of(chain.id, number), number=number, previous=chain.digest
                )
                grown = msgspec.structs.replace(chain, number=number, digest=digest(record))
                self._chain = None  # until it is known how this ends
                try:
                    answer, committed = await act([_kept(grown), Insert(record, {"at": 0.0})])
                except Conflict as conflict:
                    if conflict.kind == _RECORD:  # nobody of us writes one before its chain has grown
                        why = f"the audit record {record.id} is there already, and nobody should have written it"
                        raise Unavailable(f"{why}: ask ave audit check, and take it out of the store") from None
                    if conflict.kind != _CHAIN:
                        raise
                    continue
                self._chain = msgspec.structs.replace(grown, version=grown.version + 1) if committed else None
                return answer
            raise Unavailable(f"the audit record of {self._ports.host} changes too fast: try again")

    async def refused(self, caller: Caller, entry: Record, why: str) -> None:
        """That it was asked, and refused. Should the store be away, it is not known who asked in vain."""

        async def alone(writes: list[Write]) -> tuple[None, bool]:
            await self._ports.store.commit(*writes)
            return None, True

        try:
            await self.with_record(msgspec.structs.replace(entry, outcome=Outcome.REFUSED, why=why[:WHY_MOST]), alone)
        except (Unavailable, UnknownOutcome):
            self._ports.runtime.log("a refusal is not in the audit record", user=caller.user, operation=entry.operation)


def _kept(chain: Chain) -> Write:
    return Replace(chain) if chain.version else Insert(chain)


def entry(
    host: str,
    caller: Caller,
    operation: str,
    things: Iterable[str],
    *,
    request: str = "",
    job: str = "",
    request_id: str = "",
) -> Record:
    """A record without its place in the chain."""
    named = tuple(things)
    return Record(
        id="",
        host=host,
        number=0,
        previous="",
        user=caller.user,
        token=caller.token,
        operation=operation,
        things=named[:THINGS_MOST],
        more=max(0, len(named) - THINGS_MOST),
        request=request,
        job=job,
        request_id=request_id,
    )
