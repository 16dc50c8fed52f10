"""Writing the audit record, in the very commit that makes the change: with neither can the other be.

Changes that are asked for at the same time share a commit, as each record names the one before it and could not be written
before that is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from ave.api.problems import TooMany
from ave.errors import AveError, Unavailable, UnknownOutcome
from ave.model.access import Caller
from ave.model.audit import THINGS_MOST, Chain, Outcome, Record, digest, name_of
from ave.ports.store import Change, Check, Conflict, Insert, Replace, Write
from ave.ports.together import Ports
from ave.runtime import Signal

Commit = Callable[..., Awaitable[list[Any]]]

TOGETHER = 32  # changes in a commit
WAITING_MOST = 1000
TRIES = 5
WHY_MOST = 300
_CHAIN, _RECORD = "audit-chain", "audit"
_Target = tuple[type[Any], str]


class _Asked:
    """A change that waits for its commit."""

    __slots__ = ("answers", "done", "entry", "error", "targets", "writes")

    def __init__(self, entry: Record, writes: Sequence[Write], done: Signal) -> None:
        self.entry, self.writes, self.done = entry, writes, done
        self.targets = frozenset(map(_target, writes))
        self.answers: list[Any] = []
        self.error: AveError | None = None


class Auditor:
    """Of one host."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._waiting: list[_Asked] = []
        self._at_work = False
        self._chain: Chain | None = None  # as the store has it; None: not known

    def commit_of(self, entry: Record) -> Commit:
        """What commits as the store does, and writes this record with it."""
        return partial(self._commit, entry)

    async def refused(self, entry: Record, why: str) -> None:
        """That it was asked, and refused. Should the store be away, it is not known who asked in vain."""
        try:
            await self._commit(msgspec.structs.replace(entry, outcome=Outcome.REFUSED, why=why[:WHY_MOST]))
        except (Unavailable, UnknownOutcome):
            self._ports.runtime.log("a refusal is not in the audit record", user=entry.user, operation=entry.operation)

    async def _commit(self, entry: Record, *writes: Write) -> list[Any]:
        if len(self._waiting) >= WAITING_MOST:
            raise TooMany(f"{WAITING_MOST} changes wait for {self._ports.host} already")
        asked = _Asked(entry, writes, self._ports.runtime.signal())
        self._waiting.append(asked)
        if not self._at_work:
            self._at_work = True
            self._ports.runtime.spawn(self._work(), name="audit")  # of its own: who asked may go away
        await asked.done.wait()
        if asked.error is not None:
            raise asked.error
        return asked.answers

    async def _work(self) -> None:
        try:
            while batch := self._batch():
                try:
                    await self._write(batch)
                except AveError as error:
                    self._chain = None  # it is not known how far it is
                    for asked in batch:
                        asked.error = asked.error or error
                for asked in batch:
                    asked.done.set()
        finally:
            self._at_work = False

    def _batch(self) -> list[_Asked]:
        """No two of one commit may be about the same document: what one finds there must be there."""
        batch: list[_Asked] = []
        taken: set[_Target] = set()
        for asked in self._waiting[: 2 * TOGETHER]:
            if len(batch) < TOGETHER and not taken & asked.targets:
                batch.append(asked)
                taken |= asked.targets
        self._waiting = [asked for asked in self._waiting if asked not in batch]
        return batch

    async def _write(self, batch: list[_Asked]) -> None:
        """Whoever's own condition does not hold is told so, and the others are written without it."""
        left = list(batch)
        tries = 0
        while left:
            chain, records = await self._next(left)
            own = [write for asked in left for write in asked.writes]
            try:
                answers = await self._ports.store.commit(_kept(chain), *records, *own)
            except Conflict as conflict:
                if conflict.kind == _RECORD:  # nobody of us writes one before its chain has grown
                    why = f"the audit record {conflict.id} is there already, and nobody should have written it"
                    raise Unavailable(f"{why}: ask ave audit check, and take it out of the store") from None
                if conflict.kind == _CHAIN:
                    self._chain = None
                    tries += 1
                    if tries == TRIES:
                        raise Unavailable(
                            f"the audit record of {self._ports.host} changes too fast: try again"
                        ) from None
                    continue
                whose = next(asked for asked in left if any(id == conflict.id for _, id in asked.targets))
                whose.error = conflict
                left.remove(whose)
                continue
            self._chain = answers[0]
            at = 1 + len(records)
            for asked in left:
                asked.answers = answers[at : at + len(asked.writes)]
                at += len(asked.writes)
            return

    async def _next(self, left: Sequence[_Asked]) -> tuple[Chain, list[Write]]:
        """The chain with these at its end, and their records."""
        host = self._ports.host
        chain = self._chain or await self._ports.store.get(Chain, host) or Chain(id=host)
        records: list[Write] = []
        for asked in left:
            number = chain.number + 1
            record = msgspec.structs.replace(
                asked.entry, id=name_of(host, number), number=number, previous=chain.digest
            )
            chain = msgspec.structs.replace(chain, number=number, digest=digest(record))
            records.append(Insert(record, {"at": 0.0}))
        return chain, records


def _kept(chain: Chain) -> Write:
    return Replace(chain) if chain.version else Insert(chain)


def _target(write: Write) -> _Target:
    return (write.type, write.id) if isinstance(write, Change | Check) else (type(write.doc), write.doc.id)


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
