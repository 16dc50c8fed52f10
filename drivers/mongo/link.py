"""One call to the replica set: its session, its time limit, and its errors in the port's words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pymongo
from bson import Timestamp
from bson.errors import InvalidDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from ave.runtime import Runtime
from drivers.mongo.codec import Raw
from drivers.mongo.faults import SentLog, TooLarge, is_too_large, translated
from drivers.mongo.settings import ANSWER_SECONDS, Client, MongoSettings

T = TypeVar("T")
Session = AsyncClientSession
Collection = AsyncCollection[Raw]


class Link:
    def __init__(self, runtime: Runtime, settings: MongoSettings) -> None:
        self.runtime, self.where = runtime, str(settings)
        self._sent = SentLog()
        self.client: Client = settings.client(self._sent)
        self.database = self.client[settings.database]
        self._seen: Timestamp | None = None  # what any call has seen, every later find sees too

    async def read(self, call: Callable[[Session], Awaitable[T]], *, causal: bool = False) -> T:
        """``causal``: sees at least what this client has seen before. Raises Unavailable."""
        try:
            return await self._call(call, causal)
        except PyMongoError as error:
            raise translated(error, self.where, None) from error

    async def write(self, call: Callable[[Session], Awaitable[T]]) -> T:
        """Raises Unavailable if surely nothing was written, else UnknownOutcome; TooLarge for the caller to explain."""
        with self._sent.noted() as sent:
            try:
                return await self._call(call, False)
            except InvalidDocument as error:
                raise TooLarge(str(error)) from error
            except PyMongoError as error:
                if is_too_large(error):
                    raise TooLarge(str(error)) from error
                raise translated(error, self.where, sent) from error

    async def _call(self, call: Callable[[Session], Awaitable[T]], causal: bool) -> T:
        async with self.session(ANSWER_SECONDS, causal=causal) as session:
            return await call(session)

    @asynccontextmanager
    async def session(self, seconds: float, *, causal: bool) -> AsyncIterator[Session]:
        """What is asked in it ends within so many seconds."""
        with pymongo.timeout(seconds):
            async with self.client.start_session(causal_consistency=causal) as session:
                if causal and self._seen is not None:
                    session.advance_operation_time(self._seen)
                yield session
                self.note(session)

    async def time(self, session: Session) -> float:
        """The primary's clock, which is also the one of $$NOW."""
        said = await self.database.command("hello", session=session, codec_options=self.database.codec_options)
        return int(said["localTime"]) / 1000

    def note(self, session: Session) -> None:
        seen = session.operation_time
        if seen is not None and (self._seen is None or seen > self._seen):
            self._seen = seen
