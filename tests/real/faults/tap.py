"""Hear what goes over the bed's switch. Nothing of AVE, libvirt or QEMU has a say in that."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence

from tests.real.bed.names import Names

_EVERYTHING = 0x0003  # of a switch's port nothing else can be heard: the bridge takes it
_OUTGOING = 4
_ATTACH_FILTER = 26
_NEWNET = 0x40000000
_RECEIVE_BYTES = 2**21
_FRAME_BYTES = 2**16

Line = tuple[int, int, int, int]  # of the kernel's filter: code, jump if true, jump if not, value


class Tap:
    """From the moment it is made ``take(frame, port)`` is called, in a thread of its own, with every frame that the filter lets
    through and that comes into the switch by this port."""

    def __init__(self, names: Names, filter: Sequence[Line], take: Callable[[bytes, str], None]) -> None:
        self._names, self._filter, self._take = names, filter, take
        self._socket: socket.socket | None = None
        self._made = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._listen, name="tap", daemon=True)
        self._thread.start()
        self._made.wait()
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()  # its thread ends with its next second

    def _listen(self) -> None:
        """A thread has a network namespace of its own: this one's is the switch's, for good."""
        try:
            self._socket = self._open()
        except OSError as error:
            self._failed = error
            return
        finally:
            self._made.set()
        while True:
            try:
                frame, (port, _, kind, *_) = self._socket.recvfrom(_FRAME_BYTES)
            except TimeoutError:
                continue
            except OSError:
                return
            if kind != _OUTGOING:
                self._take(frame, port)

    def _open(self) -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        place = os.open(f"/run/netns/{self._names.namespace('net')}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(place, _NEWNET):
                raise OSError(ctypes.get_errno(), "the switch's network cannot be entered")
        finally:
            os.close(place)
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in self._filter))
        program = struct.pack("HL", len(self._filter), ctypes.addressof(code))
        made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        made.settimeout(1.0)
        return made
