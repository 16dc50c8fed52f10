"""A connection to a libvirtd, or the word that there is none, within a limit.

libvirt's own ``open`` waits without one: its keepalive begins when the connection stands. A host that loses power while it
greets, or one whose libvirtd hangs, would hold for ever who asked, and with it whatever that has locked. So it is asked in a
thread of its own; when that takes too long, its socket is cut off, by which libvirt gives up and the thread ends.

Sockets to other hosts are known by their address. One of this host needs no cutting: the kernel tells the end of a process.
Those of ssh are not known: set its ServerAliveInterval.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import libvirt

PORTS = {"tcp": 16509, "tls": 16514, "": 16514}  # by transport; TLS is what is meant by a host without one
CUT_SECONDS = 1.0  # for libvirt to notice that its socket was cut off

Address = tuple[str, int]


class Opening:
    """One attempt. ``over`` is called when its thread has ended, however late."""

    def __init__(self, uri: str, over: Callable[[], None]) -> None:
        self._uri, self._over = uri, over
        self._lock, self._done = threading.Lock(), threading.Event()
        self._connection: libvirt.virConnect | None = None
        self._error: Exception | None = None
        self._given_up = False
        self._peers: frozenset[Address] = frozenset()
        self._before = set(_sockets())

    def wait(self, seconds: float) -> libvirt.virConnect:
        """TimeoutError after so long; libvirt.libvirtError as libvirt says it."""
        threading.Thread(target=self._run, name=f"libvirt/open {self._uri}", daemon=True).start()
        in_time = self._done.wait(seconds)
        if not in_time:
            self._cut()
            self._done.wait(CUT_SECONDS)
        with self._lock:
            if self._connection is not None:
                return self._connection
            self._given_up = True
        if in_time and self._error is not None:
            raise self._error
        raise TimeoutError

    def _run(self) -> None:
        try:
            self._peers = _addresses(self._uri)
            connection = libvirt.open(self._uri)
            with self._lock:
                if not self._given_up:
                    self._connection, connection = connection, None
            if connection is not None:
                connection.close()
        except (libvirt.libvirtError, OSError) as error:
            self._error = error
        finally:
            self._done.set()
            self._over()

    def _cut(self) -> None:
        for inode, number in _sockets().items():
            if inode in self._before:
                continue
            with suppress(OSError):
                mine = os.dup(number)
                with socket.socket(fileno=mine) as cut:
                    if os.fstat(mine).st_ino == inode and cut.getpeername()[:2] in self._peers:
                        cut.shutdown(socket.SHUT_RDWR)


def _sockets() -> dict[int, int]:
    """Those of this process: inode and number."""
    return dict(_each_socket())


def _each_socket() -> Iterator[tuple[int, int]]:
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            kind, _, inode = os.readlink(f"/proc/self/fd/{name}").partition(":[")
            if kind == "socket":
                yield int(inode.rstrip("]")), int(name)


def _addresses(uri: str) -> frozenset[Address]:
    """Where libvirt will knock; none for a socket of this host."""
    parts = urlsplit(uri)
    transport = parts.scheme.partition("+")[2]
    if parts.hostname is None or transport not in PORTS:
        return frozenset()
    found = socket.getaddrinfo(parts.hostname, parts.port or PORTS[transport], type=socket.SOCK_STREAM)
    return frozenset((str(where[0]), int(where[1])) for *_, where in found)
