"""What a host and the storage box say to each other over TCP: short JSON in frames, proven by a secret that is never sent.

A connection serves one call. Both sides draw a number and prove first that they know the storage secret; then the host asks,
and the box answers, each with a seal that fits this connection only. So until the host has seen the box's proof, nothing was
asked for, and after it no one in between can change, repeat or make up a question or an answer. It is not encrypted: nothing
in it is secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import struct

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ports.hypervisor import Stamp

MAGIC = b"AVE storage 1\n"
NUMBER = 32  # bytes that each side draws
SEAL = 32
REQUEST_MAX, ANSWER_MAX = 64 * 2**10, 4 * 2**20  # bytes; the leases of 10,000 hosts fit
LENGTH = struct.Struct(">I")


class Create(msgspec.Struct, frozen=True, tag=True):
    volume: str
    size_gib: int
    stamp: Stamp


class Grow(msgspec.Struct, frozen=True, tag=True):
    volume: str
    size_gib: int
    stamp: Stamp


class Delete(msgspec.Struct, frozen=True, tag=True):
    volume: str
    stamp: Stamp


class Attach(msgspec.Struct, frozen=True, tag=True):
    volume: str
    owner: str
    stamp: Stamp


class Admit(msgspec.Struct, frozen=True, tag=True):
    volume: str
    host: str
    stamp: Stamp


class Detach(msgspec.Struct, frozen=True, tag=True):
    volume: str
    stamp: Stamp


class Owner(msgspec.Struct, frozen=True, tag=True):
    volume: str


class Join(msgspec.Struct, frozen=True, tag=True):
    host: str
    boot: str


class Renew(msgspec.Struct, frozen=True, tag=True):
    host: str
    boot: str
    may_lead: bool
    anew: bool = False


class Leases(msgspec.Struct, frozen=True, tag=True):
    pass


class Revoke(msgspec.Struct, frozen=True, tag=True):
    host: str
    counter: int


class StepAside(msgspec.Struct, frozen=True, tag=True):
    seconds: float


LEASE_CALLS = (Join, Renew, Leases, Revoke, StepAside)
Call = Create | Grow | Delete | Attach | Admit | Detach | Owner | Join | Renew | Leases | Revoke | StepAside


class Request(msgspec.Struct, frozen=True):
    host: str  # who asks
    call: Call


class Done(msgspec.Struct, frozen=True, tag=True):
    value: msgspec.Raw = msgspec.Raw(b"null")


class Failed(msgspec.Struct, frozen=True, tag=True):
    kind: str  # the error's class
    words: str


Answer = Done | Failed
ERRORS: dict[str, type[Exception]] = {each.__name__: each for each in (Refused, Unavailable, UnknownOutcome)}


class Broken(Exception):
    """The other side has gone, does not know the secret, or does not speak like this."""


class Link:
    """One connection, after both sides have proven themselves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes) -> None:
        self._reader, self._writer, self._key = reader, writer, key

    async def send(self, role: bytes, body: bytes) -> None:
        self._writer.write(LENGTH.pack(len(body)) + _seal(self._key, role, body) + body)
        await self._writer.drain()

    async def receive(self, role: bytes, limit: int) -> bytes:
        """Broken unless a whole frame of at most so many bytes comes, with its seal."""
        try:
            (size,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            if size > limit:
                raise Broken(f"a frame of {size} bytes")
            seal, body = await self._reader.readexactly(SEAL), await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as gone:
            raise Broken("the connection was closed") from gone
        if not hmac.compare_digest(seal, _seal(self._key, role, body)):
            raise Broken("a frame with a wrong seal")
        return body


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes) -> Link:
    """The box's side. Broken if whoever connects does not prove to know the secret."""
    mine = secrets.token_bytes(NUMBER)
    writer.write(MAGIC + mine)
    await writer.drain()
    theirs, proof = await _read(reader, NUMBER), await _read(reader, SEAL)
    key = _session(secret, mine, theirs)
    if not hmac.compare_digest(proof, _seal(key, b"host", b"")):
        raise Broken("a wrong storage secret")
    writer.write(_seal(key, b"box", b""))
    await writer.drain()
    return Link(reader, writer, key)


async def present(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes) -> Link:
    """The host's side. Broken if the box does not prove to know the secret, or closes since it was not convinced."""
    if await _read(reader, len(MAGIC)) != MAGIC:
        raise Broken("what answers there is no storage box of this version")
    theirs, mine = await _read(reader, NUMBER), secrets.token_bytes(NUMBER)
    key = _session(secret, theirs, mine)
    writer.write(mine + _seal(key, b"host", b""))
    await writer.drain()
    try:
        proof = await _read(reader, SEAL)
    except Broken as refused:
        raise Broken("the storage box closed the connection: is the storage secret the same on both?") from refused
    if not hmac.compare_digest(proof, _seal(key, b"box", b"")):
        raise Broken("what answers there does not know the storage secret")
    return Link(reader, writer, key)


async def _read(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except (OSError, asyncio.IncompleteReadError) as gone:
        raise Broken("the connection was closed") from gone


def _session(secret: bytes, box: bytes, host: bytes) -> bytes:
    return hmac.new(secret, MAGIC + box + host, hashlib.sha256).digest()


def _seal(key: bytes, role: bytes, body: bytes) -> bytes:
    return hmac.new(key, role + b"\n" + body, hashlib.sha256).digest()
