"""What pymongo reports in the port's words, and, when nothing answers, why and what to do."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from ave.errors import AveError, Refused, Unavailable, UnknownOutcome
from drivers.mongo.settings import MongoSettings

DUPLICATE_KEY = 11000
HISTORY_LOST = (280, 286)  # ChangeStreamFatalError, ChangeStreamHistoryLost
_TOO_LARGE = (10334, 17419, 17420, 257, 388)  # a document; and a transaction, for the log or for the cache
UNAUTHORIZED, AUTHENTICATION_FAILED = 13, 18
_NOT_DONE = (UNAUTHORIZED, AUTHENTICATION_FAILED, 112, 10058, 10107, 13435)  # and WriteConflict, and "I am no primary"
_GREETINGS = ("hello", "saslStart", "saslContinue")
WIRE_VERSION = 17  # of MongoDB 6.0: documents as of a change, and a change's time

_ERRNO = re.compile(r"\[Errno (\d+)\].*")

_sent: ContextVar[list[str] | None] = ContextVar("sent", default=None)


class SentLog(CommandListener):
    """Notes which commands left this process: what never left has surely not happened."""

    @contextmanager
    def noted(self) -> Iterator[list[str]]:
        """A list that grows with every command of this task."""
        sent: list[str] = []
        token = _sent.set(sent)
        try:
            yield sent
        finally:
            _sent.reset(token)

    def started(self, event: CommandStartedEvent) -> None:
        sent = _sent.get()
        if sent is not None and event.command_name not in _GREETINGS:
            sent.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def translated(error: PyMongoError, where: str, sent: Sequence[str] | None) -> AveError:
    """``sent``: the commands that left and might have written, or None if nothing was to be written."""
    what = f"{where}: {reason(error)}"
    refused = isinstance(error, OperationFailure) and error.code in _NOT_DONE
    if sent is None or not sent or isinstance(error, ServerSelectionTimeoutError) or (refused and len(sent) == 1):
        advice = "" if refused else ". Does a majority of its members run, and can they be reached?"
        return Unavailable(what + ("" if sent is None else ", and nothing was written") + advice)
    return unknown(error, where)


def unknown(error: PyMongoError, where: str) -> UnknownOutcome:
    return UnknownOutcome(f"{where}: {reason(error)}. It may have been written or not: read it back")


class TooLarge(Exception):
    """A document cannot be stored; nothing was written. Whoever knows the documents says which."""


def is_too_large(error: PyMongoError) -> bool:
    codes = [getattr(error, "code", None)]
    if isinstance(error, BulkWriteError):
        codes += [one.get("code") for one in error.details.get("writeErrors", ())]
    return any(code in _TOO_LARGE for code in codes) or "object to insert too large" in str(error)


def reason(error: BaseException) -> str:
    """One short line, without the settings that pymongo adds to every message."""
    details = getattr(error, "details", None) or {}
    text = str(details.get("errmsg") or error)
    for end in (" (configured timeouts", ", Timeout:", ", full error:"):
        text = text.split(end)[0]
    return _ERRNO.sub(lambda found: os.strerror(int(found[1])), text).strip()


async def explained(error: PyMongoError, settings: MongoSettings) -> AveError:
    """Why the store could not be opened: asks each address by itself."""
    code = getattr(error, "code", None)
    if code == AUTHENTICATION_FAILED:
        return Refused(
            f"{settings} refuses user {settings.user}: {reason(error)}. Look at user, its password, and "
            f"users_database={settings.users_database}"
        )
    if code == UNAUTHORIZED:
        who = f"user {settings.user} may not use" if settings.user else "no user was named to use"
        return Refused(f"{settings}: {who} database {settings.database}. It needs a user with the role readWrite there")
    if isinstance(error, ConfigurationError):
        return Refused(f"{settings}: {reason(error)}")
    if not isinstance(error, ServerSelectionTimeoutError):
        return Unavailable(f"{settings}: {reason(error)}. Nothing was written")
    addresses, wanted = settings.place()
    said_by = await asyncio.gather(*[_hello(settings, address) for address in addresses])
    found = list(zip(addresses, said_by, strict=True))
    for address, said in found:
        if isinstance(said, dict) and (refusal := refused(said, address, wanted)):
            return refusal
    reached = [said for _, said in found if isinstance(said, dict)]
    if not reached:
        why = "; ".join(f"{address}: {said}" for address, said in found)
        return Unavailable(f"{settings} cannot be reached ({why}). Is mongod running there, and is the address right?")
    if primary := next((said["primary"] for said in reached if said.get("primary")), None):
        return Unavailable(
            f"{settings} calls its primary {primary}, which cannot be reached from here. "
            "Its members must have names that every host can resolve: rs.conf() shows them"
        )
    members = sorted({member for said in reached for member in said.get("hosts", ())})
    return Unavailable(f"{settings} has no primary. A majority of {', '.join(members)} must run and reach each other")


def refused(said: dict[str, Any], address: str, wanted: str) -> Refused | None:
    """Why a server that says this of itself can never be our store."""
    name = said.get("setName", "")
    if said.get("isreplicaset"):
        return Refused(f"MongoDB at {address} waits for its replica set: run rs.initiate() there once")
    if not name:
        return Refused(
            f"MongoDB at {address} is no replica set, and without one there are no transactions: "
            f"start it with --replSet {wanted or 'rs'} and run rs.initiate() there once"
        )
    if wanted and name != wanted:
        return Refused(
            f"MongoDB at {address} belongs to replica set {name}, not {wanted}: "
            f"write replicaSet={name} in the URI, or correct the address"
        )
    if said["maxWireVersion"] < WIRE_VERSION:
        return Refused(f"MongoDB at {address} is older than 6.0: upgrade it")
    return None


async def _hello(settings: MongoSettings, address: str) -> dict[str, Any] | str:
    """What this member says of itself, or why it says nothing."""
    async with settings.probe(address) as client:
        try:
            return dict(await client.admin.command("hello"))
        except PyMongoError as error:
            return reason(error).removeprefix(f"{address}: ")
