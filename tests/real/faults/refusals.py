"""Whom the storage box turns away, heard on the switch of the storage network: logins to a target that is not there any more.

They are what an old owner's QEMU comes to when it goes on after a fence: its connection was cut, and it logs in again, since
its guest waits for a write.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from time import monotonic

from drivers.iscsi.names import prefix
from tests.real.bed.names import Names
from tests.real.faults.tap import Tap

PORT = 3260
LOGIN, ANSWER = 0x03, 0x23  # what a PDU of iSCSI begins with, without its flag
_HEADER = 48
# IPv4 without options, TCP; then to or from the portal, its payload begins with a login or the answer to one
_FILTER = (
    (0x28, 0, 0, 12),  # A = type of the frame
    (0x15, 0, 11, 0x0800),
    (0x28, 0, 0, 34),  # A = port of the sender
    (0x15, 2, 0, PORT),
    (0x28, 0, 0, 36),  # A = port of the receiver
    (0x15, 0, 7, PORT),
    (0x30, 0, 0, 46),  # A = length of TCP's header, in the upper half
    (0x54, 0, 0, 0xF0),
    (0x74, 0, 0, 2),
    (0x07, 0, 0, 0),  # X = A
    (0x50, 0, 0, 34),  # A = first byte of the payload
    (0x54, 0, 0, 0x1F),
    (0x15, 1, 0, LOGIN),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFF),
)


@dataclass(frozen=True)
class Refusal:
    at: float  # by this process's clock
    address: str  # on the storage network
    target: str


class Refusals:
    """Of all since it was made."""

    def __init__(self, names: Names) -> None:
        self.all: list[Refusal] = []
        self._asked: dict[tuple[bytes, int], str] = {}  # the target, by whose port asks
        self._tap = Tap(names, _FILTER, self._take)

    def close(self) -> None:
        self._tap.close()

    def of(self, address: str, volume: str, since: float) -> int:
        """How often that host was turned away from a target of the volume."""
        mine = [each for each in self.all if each.at >= since and each.address == address]
        return sum(each.target.startswith(prefix(volume)) for each in mine)

    def _take(self, frame: bytes, port: str) -> None:
        sender, receiver = struct.unpack_from(">HH", frame, 34)
        data = frame[34 + ((frame[46] & 0xF0) >> 2) :]
        if len(data) < _HEADER:
            return
        if receiver == PORT and data[0] & 0x3F == LOGIN:
            if name := re.search(rb"TargetName=([^\0]+)", data[_HEADER:]):
                self._asked[frame[26:30], sender] = name[1].decode(errors="replace")
        elif sender == PORT and data[0] & 0x3F == ANSWER and data[36]:  # the class of its status
            address = ".".join(str(byte) for byte in frame[30:34])
            self.all.append(Refusal(monotonic(), address, self._asked.get((frame[30:34], receiver), "")))
