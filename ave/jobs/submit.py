"""Handing a Job to the Job Center. Once this returns, the Job is in the store and will end."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ave.errors import KeyReused, Refused, Unavailable, UnknownOutcome
from ave.jobs import queue
from ave.jobs.crew import Crew
from ave.jobs.folding import SUBMITTED
from ave.model.access import DEFAULT_TENANT
from ave.model.cluster import Key
from ave.model.work import LEAD, RANK_SECONDS, OnConflict, Urgency, Work
from ave.operations import OPERATIONS
from ave.ports.store import Conflict, Insert, Write
from ave.ports.together import Ports
from ave.runtime import Random

TRIES = 20


def job_id(operation: str, random: Random) -> str:
    return f"{operation}-{int(random.random() * 2**48):012x}"


async def submit(
    ports: Ports,
    crew: Crew,
    operation: str,
    request: Any,
    *,
    flag: str = "",
    on_conflict: OnConflict = OnConflict.QUEUE,
    urgency: Urgency | None = None,
    lane: str = "",
    id: str = "",
    key: str = "",
    user: str = "",
    tenant: str = DEFAULT_TENANT,
    behind: float = 0.0,
    commit: Callable[..., Awaitable[list[Any]]] | None = None,
) -> str:
    """Insert the Job and return its id; ``lane`` names the host that shall lead it, any idle one if empty.

    Refused for an unknown operation; Unavailable when nothing was submitted; UnknownOutcome when that cannot be told. Who
    asks again with the same ``id`` (see ``job_id``) gets the same Job, never a second one. So does who asks again with the
    same idempotency ``key`` while it is remembered; with another request it is refused. ``commit`` is asked
    in place of the store's, to add something of its own. Among those of its urgency the Job is claimed as if it were submitted
    ``behind`` seconds later.
    """
    if operation not in OPERATIONS:
        raise Refused(f"unknown operation {operation}: known are {', '.join(OPERATIONS)}")
    id = id or job_id(operation, ports.runtime.random)
    job = Work(
        id=id,
        job=id,
        function=LEAD,
        lane=lane or await crew.pick(),
        operation=operation,
        arguments=msgspec.to_builtins(request),
        flag=flag,
        on_conflict=on_conflict,
        user=user,
        tenant=tenant,
    )
    stamp = {**SUBMITTED, "rank": RANK_SECONDS[urgency or OPERATIONS[operation].urgency] + behind}
    same = digest(operation, request, flag, on_conflict, urgency)
    remember: list[Write] = [Insert(Key(id=key, job=id, digest=same), {"made": 0.0})] if key else []
    lost: UnknownOutcome | None = None
    for _ in range(TRIES):
        try:
            entry = await queue.enter(ports.store, job, stamp) if flag else [Insert(job, stamp)]
            await (commit or ports.store.commit)(*remember, *entry)
            return id
        except Conflict as conflict:
            if conflict.kind == "key":
                return _same(conflict.found, key, same)
            if conflict.id == id:
                return id  # an earlier try of ours got through
            pause = 0.05 * (0.5 + ports.runtime.random.random())
            await ports.runtime.sleep(pause)  # others are at the same Job Queue
        except UnknownOutcome as unknown:
            try:
                if await ports.store.get(Work, id) is not None:
                    return id
            except Unavailable:
                raise unknown from None
            lost = unknown  # it may be on its way; the next try is the same Job
    if lost is not None:
        raise lost
    raise Unavailable(f"{operation} was not submitted: too many Jobs enter the Job Queue {flag} at once")


def digest(operation: str, request: Any, *options: Any) -> str:
    """What makes two requests the same request."""
    text = msgspec.json.encode([operation, msgspec.to_builtins(request), options], order="deterministic")
    return hashlib.sha256(text).hexdigest()


def _same(known: Any, key: str, digest: str) -> str:
    if isinstance(known, Key) and known.digest == digest:
        return known.job
    job = known.job if isinstance(known, Key) else "another Job"
    raise KeyReused(f"the idempotency key {key} was used for a different request, {job}: use a new key")
