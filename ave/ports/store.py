"""The Store port: the cluster's shared memory and task queue, small enough to be implemented and broken in one place.

Documents are frozen structs with ``id`` and ``version``; a version counts the writes that changed the document. Every
commit is one instant: all its writes take effect or none. ``find`` and ``watch`` may be behind, though never behind what
this client has already seen; only ``get``, ``commit`` and ``take`` are proof.

Errors. ``Conflict``: a condition of a write did not hold, nothing was written. ``Unavailable``: nothing was and nothing
will be written. ``UnknownOutcome`` (commit and take only): read back, and settle it by a fact that never goes back (an id
exists, a state is terminal, a phase has passed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from ave.errors import AveError

D = TypeVar("D", bound="Document")
D_co = TypeVar("D_co", bound="Document", covariant=True)


class Document(Protocol):
    """Any stored struct. It must be a frozen ``msgspec.Struct``."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...


class Index(msgspec.Struct, frozen=True):
    """A shape of query: equality (or In) on all of ``by``, sorted by ``order`` and then by id.

    A range (Below, Above) may stand on the first field of ``order``. ``only``: the values of the last field of ``by`` that
    are ever asked for, so that no store need keep the others; to ask for one of those is an error like any other shape. All
    documents with some of these values may be asked for as well, by that field alone: they are what there is in it.
    """

    by: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    only: tuple[Any, ...] = ()  # empty: all


class Kind(msgspec.Struct, frozen=True):
    """One kind of document, and every shape in which it may be found. By id it always may."""

    name: str
    type: type[Any]
    indexes: tuple[Index, ...] = ()
    shown: bool = True  # do people want to see its changes? Beats and locks they do not


class In(msgspec.Struct, frozen=True):
    values: tuple[Any, ...]


class Below(msgspec.Struct, frozen=True):
    value: Any


class Above(msgspec.Struct, frozen=True):
    value: Any


Where = Mapping[str, Any]  # field -> value, In, Below or Above


class Insert(msgspec.Struct, frozen=True):
    """The document must not exist. ``stamp``: field -> seconds to add to the store's time, written into the field."""

    doc: Any
    stamp: Mapping[str, float] = {}


class Replace(msgspec.Struct, frozen=True):
    """The stored document must be of ``doc.version``; it becomes ``doc`` with the next version."""

    doc: Any
    stamp: Mapping[str, float] = {}


class Delete(msgspec.Struct, frozen=True):
    """The stored document must be of ``doc.version``."""

    doc: Any


class Change(msgspec.Struct, frozen=True):
    """Set or add to fields (dotted paths reach into structs and dicts) of a document for which ``where`` holds."""

    type: type[Any]
    id: str
    where: Where = {}
    set: Mapping[str, Any] = {}
    add: Mapping[str, float] = {}
    stamp: Mapping[str, float] = {}


class Check(msgspec.Struct, frozen=True):
    """Writes nothing, and loses the whole commit unless ``where`` holds; where None: unless there is no such document."""

    type: type[Any]
    id: str
    where: Where | None = {}


Write = Insert | Replace | Delete | Change | Check


class Conflict(AveError):
    """The first write, in the order given, whose condition did not hold, and the document found there (or None)."""

    def __init__(self, kind: str, id: str, found: Any) -> None:
        super().__init__(kind, id, found)
        self.kind, self.id, self.found = kind, id, found


class TooOld(AveError):
    """The store no longer remembers that revision: read everything again and watch from now."""


class Undeclared(Exception):
    """A bug: a query of a shape that no index of the kind serves."""


class Commit(msgspec.Struct, frozen=True):
    """What one commit changed: for each document its kind, its id, and what it is now (None: deleted)."""

    revision: int
    at: float  # store time
    changes: tuple[tuple[str, str, Any], ...]


class Watch(Protocol):
    async def next(self) -> Commit:
        """The next commit that touches what is watched. Raises Unavailable when the stream broke: watch again from
        the last revision seen."""
        ...

    def close(self) -> None: ...

    @property
    def revision(self) -> int:
        """Everything up to here has been delivered, or did not concern this watch."""
        ...


class Store(Protocol):
    async def get(self, type: type[D], id: str) -> D | None:
        """Linearizable."""
        ...

    async def find(
        self,
        type: type[D],
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int = 0,
        after: tuple[Any, ...] | None = None,
    ) -> list[D]:
        """Majority-committed documents, sorted by ``order`` and then by id; limit 0 means all; ``after`` is (order
        values…, id) of the last one seen."""
        ...

    async def count(self, type: type[Any], where: Where | None = None) -> int:
        """For display."""
        ...

    async def commit(self, *writes: Write) -> list[Any]:
        """All or nothing. Returns, write by write, the new document (None for Delete and Check)."""
        ...

    async def take(
        self,
        type: type[D],
        where: Where,
        order: Sequence[str],
        *,
        set: Mapping[str, Any],
        add: Mapping[str, float] | None = None,
        stamp: Mapping[str, float] | None = None,
        limit: int = 1,
    ) -> list[D]:
        """Find and change the first so many: the queue's claim. Returns the changed documents in order.

        Fewer than ``limit`` means that there were no more. Each is changed whole or not at all; a watch may be told of all of
        them in one commit or in several.
        """
        ...

    async def now(self) -> float:
        """Store time in seconds: for display, retention and retry times. An election can make it jump."""
        ...

    async def watch(self, types: Sequence[type[Any]], since: int | None = None, where: Where | None = None) -> Watch:
        """Every commit after revision ``since`` (default: from now), in order, that touches these kinds.

        ``where`` (equality or In on one field) narrows it to changes whose new document matches; deletions always pass.
        """
        ...
