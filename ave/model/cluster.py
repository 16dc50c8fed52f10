"""The documents by which hosts agree: roles, worker beats, locks and Job Queues.

None of them carries a deadline. A beat is a counter, and only who has watched it unchanged for a whole lease, on its own
clock, may act on its silence. None but a key is ever deleted, so ``version`` only grows and serves as the fencing token.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts for the whole cluster in one matter. The holder is on the storage meta leader's host."""

    id: str
    version: int = 0
    holder: str = ""
    term: int = 0  # grows with every new holder; what an older term decides is refused


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """One host's Job Center Worker."""

    id: str  # the host
    version: int = 0
    uuid: str = ""  # drawn anew at every worker start
    beat: int = 0
    busy: int = 0  # execution units in use


def lock_name(type: type[Any], id: str) -> str:
    """What the lock of a resource is called: vm/web-1."""
    return f"{type.__name__.lower()}/{id}"


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """A resource's lock. Its version at the moment of locking is the token that every effect must carry."""

    id: str  # "vm/web-1"
    version: int = 0
    job: str = ""
    queue: tuple[str, ...] = ()  # Jobs that wait for it, in order


class JobQueue(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one flag run strictly one after the other."""

    id: str  # the flag
    version: int = 0
    running: str = ""
    last: int = 0  # how many were ever submitted
    length: int = 0  # how many of them have not ended


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A user's idempotency key: the same request with the same key is the same Job."""

    id: str
    version: int = 0
    job: str = ""
    digest: str = ""  # of the request it was first used for
    made: float = 0.0  # store time
