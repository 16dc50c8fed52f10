"""Connections to one libvirtd: opened when they are needed, kept alive, and given up when the other side is silent.

A connection is used by one thread at a time. libvirt allows more, but its client has had races there by which processes died
(CVE-2024-4418 is one), and the ones that are to be lost with a libvirtd that hangs are the very ones that are shared.
So whoever works in a ``session`` has connections of its own until that is over.

Everything here blocks and is a thread's work. libvirt's event loop has a thread of its own, one per process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import libvirt

from ave.errors import Unavailable
from drivers.libvirt.faults import mapped
from drivers.libvirt.opening import Opening

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3  # after so many times of silence every call that waits is given up
OPEN_SECONDS = 5.0  # to open one, and for somebody else who does: they open one by one
IDLE_MAX = 4  # connections that wait for work

_begun = threading.Lock()
_running = False
_own = threading.local()  # of each thread: its connections, by link


def run_events() -> None:
    """Have libvirt's event loop run in this process. Before the first connection is opened."""
    global _running
    with _begun:
        if _running:
            return
        libvirt.registerErrorHandler(lambda _context, _error: None, None)  # or it prints every error
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run, name="libvirt/events", daemon=True).start()
        _running = True


def _run() -> None:
    while True:
        with suppress(libvirt.libvirtError):
            libvirt.virEventRunDefaultImpl()


@contextmanager
def session() -> Iterator[None]:
    """What this thread does within it does by connections that are its own; so are the domains that it looks up."""
    before = getattr(_own, "of", None)
    _own.of = {}
    try:
        yield
    finally:
        for link, connection in _own.of.items():
            link.give_back(connection)
        _own.of = before


class Link:
    def __init__(self, uri: str, host: str) -> None:
        self.uri, self.host = uri, host
        self._idle: list[libvirt.virConnect] = []
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._ears: Ears | None = None

    def connection(self) -> libvirt.virConnect:
        """This thread's, which lived a moment ago. Unavailable when there is none to be had."""
        if getattr(_own, "of", None) is None:
            _own.of = {}  # a thread without sessions keeps what it opens
        mine: dict[Link, libvirt.virConnect] = _own.of
        connection = mine.pop(self, None) or self._take()
        if connection is None or not is_alive(connection):
            close(connection)
            connection = self._open()
        mine[self] = connection
        return connection

    @contextmanager
    def doing(self, what: str, *, mutates: bool = True) -> Iterator[libvirt.virConnect]:
        """Errors of libvirt within are ours without."""
        connection = self.connection()
        try:
            yield connection
        except libvirt.libvirtError as error:
            alive = is_alive(connection)
            raise mapped(f"{what} on {self.host}", error, alive=alive, mutates=mutates) from error

    def give_back(self, connection: libvirt.virConnect) -> None:
        with self._lock:
            if len(self._idle) < IDLE_MAX and is_alive(connection):
                self._idle.append(connection)
                return
        close(connection)

    def listen(self, told: Callable[[], None]) -> None:
        """See to it that this is called, in the events' thread, when a domain may have changed; it must not block. To be
        called again and again, by one thread, since a connection ends with its libvirtd. Unavailable as ``connection``."""
        if self._ears is None or not is_alive(self._ears.connection):
            if self._ears is not None:
                self._ears.close()
            self._ears = None
            self._ears = Ears(self._open(), told)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in (*idle, (getattr(_own, "of", None) or {}).pop(self, None)):
            close(connection)
        if self._ears is not None:
            self._ears.close()
            self._ears = None

    def _take(self) -> libvirt.virConnect | None:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if is_alive(connection):
                    return connection
                close(connection)
        return None

    def _open(self) -> libvirt.virConnect:
        run_events()
        where = f"libvirt on {self.host} ({self.uri})"
        if not self._opening.acquire(timeout=OPEN_SECONDS):
            raise Unavailable(f"{where} has not answered for {OPEN_SECONDS:g} s")
        try:
            connection = Opening(self.uri, self._opening.release).wait(OPEN_SECONDS)
        except TimeoutError:
            raise Unavailable(f"{where} has not answered for {OPEN_SECONDS:g} s") from None
        except (libvirt.libvirtError, OSError) as error:  # a name that is not known is the latter
            raise Unavailable(f"{where}: {error}") from error
        with suppress(libvirt.libvirtError):  # the driver of tests has none: it cannot be silent either
            connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
        return connection


class Ears:
    """A connection by which nothing is asked, only heard."""

    KINDS = (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE)

    def __init__(self, connection: libvirt.virConnect, told: Callable[[], None]) -> None:
        self.connection, self._told = connection, told
        self._numbers = []
        with suppress(libvirt.libvirtError):
            connection.registerCloseCallback(self._heard, None)
        for kind in self.KINDS:
            with suppress(libvirt.libvirtError):  # what is not told is looked for, only later
                self._numbers.append(connection.domainEventRegisterAny(None, kind, self._heard, None))

    def close(self) -> None:
        for number in self._numbers:
            with suppress(libvirt.libvirtError):
                self.connection.domainEventDeregisterAny(number)
        with suppress(libvirt.libvirtError):
            self.connection.unregisterCloseCallback()
        close(self.connection)

    def _heard(self, *_: Any) -> None:
        self._told()


def is_alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def close(connection: libvirt.virConnect | None) -> None:
    if connection is not None:
        with suppress(libvirt.libvirtError):
            connection.close()
