"""What the probe writers say, heard on the switch of the VM network: that they run, and which record is kept.

A word is an Ethernet broadcast of the guest itself, so no host has a say in it; the port by which it came in tells the host.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from tests.real.bed.names import Names

ETHERTYPE = 0x88B5  # for local experiments, as in probe.c
WORD = struct.Struct(">6s6sH4sc3x6Q")
MAGIC = b"AVEP"
BEAT, KEPT = b"B", b"A"

_EVERYTHING = 0x0003  # of a switch's port nothing else can be heard: the bridge takes it
_OUTGOING = 4
_ATTACH_FILTER = 26
_NEWNET = 0x40000000
_RECEIVE_BYTES = 2**21
# load the half word at 12; if it is the type, take the whole frame; else nothing
_FILTER = ((0x28, 0, 0, 12), (0x15, 0, 1, ETHERTYPE), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))


class Life(NamedTuple):
    """One boot of a VM's guest: it keeps it through a migration. ``number`` counts what its disk has seen."""

    vm: int
    number: int
    id: int


@dataclass(frozen=True)
class Word:
    at: float  # by this process's clock
    host: str
    kind: bytes
    life: Life
    seq: int = 0
    nonce: int = 0


def heard(frame: bytes, host: str, at: float) -> Word | None:
    """None for what is no word of a probe writer."""
    if len(frame) < WORD.size:
        return None
    _, _, ethertype, magic, kind, vm, number, id, seq, nonce, _ = WORD.unpack_from(frame)
    if ethertype != ETHERTYPE or magic != MAGIC:
        return None
    return Word(at, host, kind, Life(vm, number, id), seq, nonce)


class Ear:
    """Hears from the moment it is made; ``words`` only grows."""

    def __init__(self, names: Names) -> None:
        self.words: list[Word] = []
        self._names = names
        self._socket: socket.socket | None = None
        self._made = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)
        self._thread.start()
        self._made.wait()
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()  # its thread ends with its next second

    def since(self, mark: int) -> Sequence[Word]:
        return self.words[mark:]

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
                frame, (port, _, kind, *_) = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            except OSError:
                return
            if kind != _OUTGOING and port.startswith("h") and (word := heard(frame, port.split("-")[0], monotonic())):
                self.words.append(word)

    def _open(self) -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        place = os.open(f"/run/netns/{self._names.namespace('net')}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(place, _NEWNET):
                raise OSError(ctypes.get_errno(), "the switch's network cannot be entered")
        finally:
            os.close(place)
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _FILTER))
        program = struct.pack("HL", len(_FILTER), ctypes.addressof(code))
        made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        made.settimeout(1.0)
        return made
