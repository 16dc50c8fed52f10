"""The connection to one libvirtd: opened when it is needed, kept alive, and given up when the other side is silent.

Every method but ``tell`` blocks and is a thread's work. libvirt's event loop has a thread of its own, one per process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import libvirt

from ave.errors import Unavailable
from drivers.libvirt.faults import mapped

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3  # after so many times of silence every call that waits is given up
OPEN_SECONDS = 5.0  # for somebody else who is opening it

_begun = threading.Lock()
_running = False


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


class Link:
    def __init__(self, uri: str, host: str) -> None:
        self.uri, self.host = uri, host
        self._connection: libvirt.virConnect | None = None
        self._opening = threading.Lock()
        self._told: list[Callable[[], None]] = []

    def tell(self, told: Callable[[], None]) -> None:
        """Call this, in the events' thread, when a domain may have changed or the connection has ended. It must not block."""
        self._told.append(told)

    def connection(self) -> libvirt.virConnect:
        """One that lived a moment ago. Unavailable when there is none to be had."""
        open_one = self._connection
        if open_one is not None and self.is_alive(open_one):
            return open_one
        if not self._opening.acquire(timeout=OPEN_SECONDS):
            raise Unavailable(f"libvirt on {self.host} does not answer: a connection has been waited for since")
        try:
            if self._connection is not None and self.is_alive(self._connection):
                return self._connection
            self._connection = None
            self._connection = self._open()
            return self._connection
        finally:
            self._opening.release()

    def is_alive(self, connection: libvirt.virConnect) -> bool:
        try:
            return bool(connection.isAlive())
        except libvirt.libvirtError:
            return False

    @contextmanager
    def doing(self, what: str, *, mutates: bool = True) -> Iterator[libvirt.virConnect]:
        """Errors of libvirt within are ours without."""
        connection = self.connection()
        try:
            yield connection
        except libvirt.libvirtError as error:
            alive = self.is_alive(connection)
            raise mapped(f"{what} on {self.host}", error, alive=alive, mutates=mutates) from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(libvirt.libvirtError):
                connection.close()

    def _open(self) -> libvirt.virConnect:
        run_events()
        try:
            connection = libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            raise Unavailable(f"libvirt on {self.host} ({self.uri}): {error.get_error_message()}") from error
        # A driver without one of these (that of tests, say) is asked more often, and no less right for it.
        with suppress(libvirt.libvirtError):
            connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
        with suppress(libvirt.libvirtError):
            connection.registerCloseCallback(self._closed, None)
        for kind in (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE):
            with suppress(libvirt.libvirtError):
                connection.domainEventRegisterAny(None, kind, self._changed, None)
        return connection

    def _changed(self, *_: Any) -> None:
        for told in self._told:
            told()

    def _closed(self, *_: Any) -> None:
        self._changed()
