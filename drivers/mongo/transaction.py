"""One try of a transaction: all that was done in it is there, journalled by a majority, or nothing is.

It sees one snapshot. The server makes it lose to whoever has written one of its documents since then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bson.errors import InvalidDocument
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from drivers.mongo.faults import DUPLICATE_KEY, TooLarge, is_too_large, reason, translated, unknown
from drivers.mongo.link import Link, Session

T = TypeVar("T")

ASK_SECONDS = 0.1  # between two questions about what came of a commit
_SNAPSHOT = ReadConcern("snapshot")
_MAJORITY = WriteConcern(w="majority", j=True)


class Again(Exception):
    """Nothing was written, and another try may succeed: mostly, somebody else was faster."""


async def attempt(link: Link, call: Callable[[Session], Awaitable[T]], seconds: float, *, causal: bool = False) -> T:
    """What ``call`` answers, once it is committed. Raises Again, Unavailable, UnknownOutcome or TooLarge."""
    deadline = link.runtime.now() + seconds
    async with link.session(seconds, causal=causal) as session:
        try:
            await session.start_transaction(read_concern=_SNAPSHOT, write_concern=_MAJORITY)
            answer = await call(session)
        except InvalidDocument as error:
            raise TooLarge(str(error)) from error
        except PyMongoError as error:
            if is_too_large(error):
                raise TooLarge(str(error)) from error
            if _lost_a_race(error):
                raise Again(reason(error)) from error
            raise translated(error, link.where, None) from error
        await _end(link, session, deadline)
        return answer


async def _end(link: Link, session: Session, deadline: float) -> None:
    """Commit, and ask as long as there is time for what came of it."""
    while True:
        try:
            return await session.commit_transaction()
        except PyMongoError as error:
            if is_too_large(error):
                raise TooLarge(str(error)) from error
            if error.has_error_label("TransientTransactionError"):
                raise Again(reason(error)) from error
            late = link.runtime.now() + ASK_SECONDS > deadline
            if late or not error.has_error_label("UnknownTransactionCommitResult"):
                raise unknown(error, link.where) from error
        await link.runtime.sleep(ASK_SECONDS)


def _lost_a_race(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        return any(one.get("code") == DUPLICATE_KEY for one in error.details.get("writeErrors", ()))
    return error.has_error_label("TransientTransactionError")
