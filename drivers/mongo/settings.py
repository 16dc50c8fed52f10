"""Where the replica set is, who we are there, and how long we wait for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.monitoring import CommandListener
from pymongo.uri_parser import parse_uri

from ave.errors import Refused

SELECT_SECONDS = 5.0  # how long to look for a primary
ANSWER_SECONDS = 10.0  # how long one call may take in all, with its retries: longer than an election mostly is
CONNECT_SECONDS = 2.0
HEARTBEAT_SECONDS = 2.0  # how often each member is asked how it is: a frozen one is noticed after this and a connect
PASSWORD = "AVE_MONGO_PASSWORD"

Client = AsyncMongoClient[dict[str, Any]]


class MongoSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The password comes from ``password_file``, or else from AVE_MONGO_PASSWORD; never from the URI, which is shown."""

    uri: str  # mongodb://one,two,three/?replicaSet=rs, and tls=true&tlsCAFile=… if it is to be encrypted
    database: str = "ave"
    user: str = ""
    password_file: str = ""
    users_database: str = "admin"
    select_seconds: float = SELECT_SECONDS

    def place(self) -> tuple[tuple[str, ...], str]:
        """The addresses, and the replica set's name or nothing. Raises Refused for a URI that cannot be used."""
        if "@" in self.uri:
            raise Refused(
                f"the MongoDB URI must hold no user and no password: set user, and password_file or {PASSWORD}"
            )
        try:
            parsed = parse_uri(self.uri, warn=False)
        except (InvalidURI, ConfigurationError, ValueError) as error:
            raise Refused(f"this MongoDB URI cannot be used: {error}") from None
        names = tuple(f"{host}:{port}" if port else host for host, port in parsed["nodelist"])
        return names, str(parsed["options"].get("replicaSet") or "")

    def __str__(self) -> str:
        addresses, name = self.place()
        return f"MongoDB at {', '.join(addresses)}" + (f" (replica set {name})" if name else "")

    def client(self, listener: CommandListener) -> Client:
        """A client that has connected to nothing yet."""
        self.place()
        return AsyncMongoClient(
            self.uri,
            **self._credentials(),
            appname="ave",
            w="majority",
            journal=True,
            readConcernLevel="majority",
            serverSelectionTimeoutMS=_ms(self.select_seconds),
            connectTimeoutMS=_ms(CONNECT_SECONDS),
            socketTimeoutMS=_ms(ANSWER_SECONDS),
            waitQueueTimeoutMS=_ms(ANSWER_SECONDS),
            heartbeatFrequencyMS=_ms(HEARTBEAT_SECONDS),
            datetime_conversion="DATETIME_MS",
            event_listeners=[listener],
        )

    def probe(self, address: str) -> Client:
        """A client of this one member, that asks without a name and does not wait long."""
        options = parse_uri(self.uri, warn=False)["options"]
        tls: Mapping[str, Any] = {name: value for name, value in options.items() if name.startswith("tls")}
        wait = _ms(CONNECT_SECONDS)
        return AsyncMongoClient(
            f"mongodb://{address}/?directConnection=true",
            **tls,
            serverSelectionTimeoutMS=wait,
            connectTimeoutMS=wait,
            socketTimeoutMS=wait,
        )

    def _credentials(self) -> dict[str, Any]:
        if not self.user:
            return {}
        if self.password_file:
            try:
                password = Path(self.password_file).read_text().rstrip("\n")
            except OSError as error:
                raise Refused(f"cannot read MongoDB's password from {self.password_file}: {error.strerror}") from None
        elif not (password := os.environ.get(PASSWORD, "")):
            raise Refused(f"no password for MongoDB's user {self.user}: set password_file, or {PASSWORD}")
        return {"username": self.user, "password": password, "authSource": self.users_database}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
