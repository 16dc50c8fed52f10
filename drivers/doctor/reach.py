"""The storage box, and whatever else listens on another machine or should on this one."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from pathlib import Path
from urllib.parse import urlsplit

from ave.errors import Refused
from drivers.doctor.check import WAIT_SECONDS, Check, Found, Subject, failed, ok, unless_on_box, unless_storage, warning
from drivers.iscsi import names, wire
from drivers.iscsi.secret import read_secret
from drivers.urls import endpoint

LOGIN = struct.Struct(">BBBBI6sHIHHII16x")  # the header of iSCSI's first question
LOGIN_REQUEST, LOGIN_ANSWER = 0x43, 0x23
TO_THE_END = 0x87  # no more than one question: from negotiation to a session in one step

PORTS = {"tls": 16514, "tcp": 16509, "ssh": 22, "libssh": 22, "libssh2": 22, "": 16514}  # of libvirt, by its transport


def no_way_to(address: str, port: int, seconds: float = WAIT_SECONDS) -> str:
    """Why nobody can be talked to there, or nothing."""
    try:
        socket.create_connection((address, port), timeout=seconds).close()
    except TimeoutError:
        return f"{address}:{port} does not answer within {seconds:g} s"
    except OSError as problem:
        return f"{address}:{port} cannot be reached: {problem.strerror or problem}"
    return ""


def port_of(uri: str) -> tuple[str, int]:
    """Where the libvirt of another host listens. Refused if the URI names no other host."""
    parts = urlsplit(uri)
    transport = parts.scheme.partition("+")[2]
    if not parts.hostname or transport not in PORTS:
        raise Refused(f"{uri!r} names no libvirt of another host, such as qemu+tls://b/system")
    return parts.hostname, parts.port or PORTS[transport]


def _box(subject: Subject) -> Found:
    """Both sides prove that they know the storage secret; nothing is asked."""
    assert subject.storage is not None, "this row is only for who has one"
    place = subject.storage.box
    try:
        secret = read_secret(Path(subject.storage.secret_file))
    except Refused as problem:
        return Found("not asked", f"without the storage secret nobody can: {problem}")
    return asyncio.run(_greeted(place, secret))


async def _greeted(place: str, secret: bytes) -> Found:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(WAIT_SECONDS * 0.9):  # so that its words are said, and not the runner's
            reader, writer = await asyncio.open_connection(*endpoint(place))
            await wire.present(reader, writer, secret)
    except (wire.Broken, OSError) as trouble:
        why = str(trouble) or f"no answer within {WAIT_SECONDS:g} s"
        if isinstance(trouble, OSError) and trouble.errno:
            why = os.strerror(trouble.errno)
        return failed(f"the storage box at {place} does not let this host in: {why}")
    finally:
        if writer is not None:
            writer.close()
    return ok(f"the storage box at {place} answers, and has the same storage secret")


def _portal(subject: Subject) -> Found:
    assert subject.storage is not None, "this row is only for who has one"
    place = subject.storage.portal
    try:
        said = iscsi_answer(*endpoint(place), WAIT_SECONDS * 0.9)
    except TimeoutError:
        return failed(f"the iSCSI portal at {place}: no answer within {WAIT_SECONDS:g} s")
    except OSError as problem:
        return failed(f"the iSCSI portal at {place}: {problem.strerror or problem}")
    if not said:
        return warning(
            f"what listens at {place} ends connections without a word: so does a tgtd that has no target yet",
            "ask again when a VM runs; until then look there whether it is tgtd: ss -ltnp",
        )
    if said[0] & 0x3F != LOGIN_ANSWER:
        return failed(f"what answers at {place} is no iSCSI target")
    return ok(f"an iSCSI target answers at {place}")


def iscsi_answer(address: str, port: int, seconds: float) -> bytes:
    """The first words to somebody who asks for a list of targets: that somebody accepts connections says little. Nothing if the
    connection is ended instead. Raises OSError."""
    words = f"InitiatorName={names.AUTHORITY}:doctor\0SessionType=Discovery\0AuthMethod=None\0".encode()
    head = LOGIN.pack(LOGIN_REQUEST, TO_THE_END, 0, 0, len(words), b"\x80ave\0\0", 0, 0, 0, 0, 0, 0)
    with socket.create_connection((address, port), timeout=seconds) as there:
        there.settimeout(seconds)
        try:
            there.sendall(head + words + bytes(-len(words) % 4))
            return there.recv(LOGIN.size)
        except ConnectionError:
            return b""


def _listen(subject: Subject) -> Found:
    """Free, or served by AVE itself."""
    assert subject.box is not None, "this row is only for who has one"
    place = subject.box.listen
    address, port = endpoint(place)
    try:
        with socket.create_connection((address, port), timeout=WAIT_SECONDS / 2) as there:
            there.settimeout(WAIT_SECONDS / 2)
            said = there.recv(len(wire.MAGIC))
        if said == wire.MAGIC:
            return ok(f"ave storage answers at {place}")
        return failed(
            f"somebody else listens at {place}", f"find out who, ss -ltnp 'sport = :{port}', or name another port"
        )
    except TimeoutError:
        return failed(f"{place} is this box's own, and does not answer", "is it this machine's address? ip address")
    except OSError as problem:
        if problem.errno != errno.ECONNREFUSED:
            return failed(f"{place} is this box's own, and cannot be reached: {problem.strerror}")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as here:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            here.bind((address, port))
        except OSError as problem:
            return failed(f"{place} cannot be listened on: {problem.strerror}")
    return ok(f"{place} is free")


ROWS = (
    Check(
        "storage.box",
        "the storage box lets this host in",
        _box,
        "look at ave storage there, at [storage] box, and that the secret file is the same on both",
        unless_on_box,
        2 * WAIT_SECONDS,
    ),
    Check(
        "storage.portal",
        "the storage box's targets can be reached",
        _portal,
        "look at tgtd there, its --iscsi portal=, and at [storage] portal",
        unless_on_box,
    ),
    Check(
        "storage.listen",
        "the storage box can listen",
        _listen,
        "set [storage] listen to an address of this machine on the storage network, and a free port",
        unless_storage,
    ),
)
