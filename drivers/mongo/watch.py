"""Change streams: every commit of the watched kinds, whole and in order.

A revision is the commit's cluster time as one number. Documents are delivered as of that commit: the server keeps what
each write replaced (its post-images), for looking them up again would show later commits and lose deleted documents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pymongo
from bson import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from ave.errors import Unavailable
from ave.ports.store import Commit, Kind, TooOld, Where
from ave.runtime import Cancelled
from drivers.mongo.codec import GHOST, Raw, decode
from drivers.mongo.faults import HISTORY_LOST, reason, translated
from drivers.mongo.link import Link, Session
from drivers.mongo.query import condition
from drivers.mongo.settings import ANSWER_SECONDS, CONNECT_SECONDS

AWAIT_MS = 1000  # how long the server waits before it says that there is nothing
UNREAD_MAX = 1000  # commits; beyond that the stream waits for its reader
_WRITES = ("insert", "replace", "delete")


def revision_of(time: Timestamp) -> int:
    return (time.time << 32) | time.inc


def time_of(revision: int) -> Timestamp:
    return Timestamp(revision >> 32, revision & 0xFFFFFFFF)


class _Building(NamedTuple):
    """A commit of which more may come."""

    revision: int
    at: float
    changes: dict[tuple[str, str], Any]


class MongoWatch:
    """``await open(since)`` first, and ``await ended()`` before the client is closed."""

    def __init__(self, link: Link, kinds: Sequence[Kind], where: Where, on_end: Callable[[MongoWatch], None]) -> None:
        self._link, self._on_end = link, on_end
        self._types = {kind.name: kind.type for kind in kinds}
        self._where = where
        self._unread: deque[Commit] = deque()
        self._arrived, self._room = link.runtime.signal(), link.runtime.signal()
        self._read = self._streamed = 0  # revisions
        self._broken = ""
        self._begun = False
        self._session: Session | None = None
        self._cursor: tuple[str, int] = "", 0
        self._task: Any = None
        self._building: _Building | None = None
        self._ghosts: dict[tuple[str, str], None] = {}

    async def open(self, since: int | None) -> None:
        link = self._link
        session = self._session = link.client.start_session(causal_consistency=False)
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                if since is None:
                    said = await link.database.command("hello", session=session)
                    since = revision_of(said["operationTime"])
                self._read = self._streamed = since
                answer = await link.database.command(
                    {
                        "aggregate": 1,
                        "pipeline": self._pipeline(since),
                        "cursor": {},
                        "readConcern": {"level": "majority"},
                    },
                    session=session,
                    codec_options=link.database.codec_options,
                )
        except BaseException as error:
            await session.end_session()
            if isinstance(error, OperationFailure) and error.code in HISTORY_LOST:
                raise TooOld(f"revision {since} is no longer kept: {reason(error)}") from error
            if isinstance(error, PyMongoError):
                raise translated(error, link.where, None) from error
            raise
        link.note(session)
        self._cursor = answer["cursor"]["ns"].split(".", 1)[1], answer["cursor"]["id"]
        self._take(answer["cursor"], "firstBatch")
        self._task = link.runtime.spawn(self._stream(session), name="watch")

    @property
    def revision(self) -> int:
        return self._read if self._unread else max(self._read, self._streamed)

    async def next(self) -> Commit:
        while not self._unread:
            if self._broken:
                raise Unavailable(self._broken)
            self._arrived.clear()
            await self._arrived.wait()
        commit = self._unread.popleft()
        self._read = commit.revision
        self._room.set()
        return commit

    def close(self) -> None:
        self._break("the watch was closed")
        if self._begun:  # or else it will see by itself
            self._task.cancel()

    async def ended(self) -> None:
        """Close it, and wait until it has left the server."""
        self.close()
        try:
            await self._task.join()
        except Cancelled:
            pass

    def _break(self, why: str) -> None:
        self._broken = self._broken or why
        self._arrived.set()

    # The stream

    async def _stream(self, session: Session) -> None:
        """Read on until it breaks or is closed."""
        self._begun = True
        try:
            while self._cursor[1] and not self._broken:
                while len(self._unread) >= UNREAD_MAX:
                    self._room.clear()
                    await self._room.wait()
                # A batch may end in the middle of a commit: then there is more at once, or that was all of it.
                wait = 1 if self._building else AWAIT_MS
                self._take(await self._more(session, wait), "nextBatch")
            self._break(f"{self._link.where}: the change stream ended")
        except PyMongoError as error:
            self._break(f"{self._link.where}: the change stream broke: {reason(error)}. Watch again")
        finally:
            await self._dispose(session)
            self._on_end(self)

    async def _more(self, session: Session, wait: int) -> Raw:
        collection, cursor = self._cursor
        database = self._link.database
        answer = await database.command(
            {"getMore": cursor, "collection": collection, "maxTimeMS": wait},
            session=session,
            codec_options=database.codec_options,
        )
        self._link.note(session)
        return dict(answer["cursor"])

    def _take(self, batch: Raw, name: str) -> None:
        self._cursor = self._cursor[0], batch["id"]
        events = batch[name]
        for event in events:
            self._add(event)
        if self._building and (not events or "txnNumber" not in events[-1]):
            self._finish()
        if not self._building:
            self._streamed = max(self._streamed, _passed(batch["postBatchResumeToken"]))

    def _add(self, event: Raw) -> None:
        """Events of one transaction have one cluster time."""
        revision = revision_of(event["clusterTime"])
        if self._building and self._building.revision != revision:
            self._finish()
        if event["operationType"] not in (*_WRITES, "update"):
            return
        kind, id = event["ns"]["coll"], event["documentKey"]["_id"]
        raw = event.get("fullDocument")
        if raw is not None and GHOST in raw:
            self._ghosts[kind, id] = None
            return
        if raw is None and (kind, id) in self._ghosts:
            del self._ghosts[kind, id]
            return
        if not self._building:
            self._building = _Building(revision, int(event["wallTime"]) / 1000, {})
        self._building.changes[kind, id] = None if raw is None else decode(self._types[kind], raw)

    def _finish(self) -> None:
        assert self._building is not None
        revision, at, changes = self._building
        self._unread.append(Commit(revision, at, tuple([(kind, id, doc) for (kind, id), doc in changes.items()])))
        self._building = None
        self._arrived.set()

    async def _dispose(self, session: Session) -> None:
        collection, cursor = self._cursor
        try:
            with pymongo.timeout(CONNECT_SECONDS):
                if cursor:
                    await self._link.database.command("killCursors", collection, cursors=[cursor], session=session)
                await session.end_session()
        except (PyMongoError, Cancelled):
            self._cursor = collection, 0  # the server forgets it by itself

    def _pipeline(self, since: int) -> list[Raw]:
        # A check touches a document without making a version: no change.
        match: list[Raw] = [
            {"ns.coll": {"$in": list(self._types)}},
            {
                "$or": [
                    {"operationType": {"$in": _WRITES}},
                    {"updateDescription.updatedFields.version": {"$exists": True}},
                ]
            },
        ]
        if self._where:
            ((field, wanted),) = condition(self._where).items()
            match.append(
                {
                    "$or": [
                        {f"fullDocument.{field}": wanted},
                        {"operationType": "delete"},
                        {f"fullDocument.{GHOST}": True},
                    ]
                }
            )
        start = {"startAtOperationTime": time_of(since + 1), "fullDocument": "required"}
        return [{"$changeStream": start}, {"$match": {"$and": match}}]


def _passed(token: Raw) -> int:
    """Everything up to here has been streamed. A token begins with a type (one byte) and the cluster time (eight);
    it may stand before the events of that time."""
    return int(token["_data"][2:18], 16) - 1
