"""What the probe writers say, heard on the switch of the VM network: that they run, and which record is kept.

A word is an Ethernet broadcast of the guest itself, so no host has a say in it; the port by which it came in tells the host.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from tests.real.bed.names import Names
from tests.real.faults.tap import Tap

ETHERTYPE = 0x88B5  # for local experiments, as in probe.c
WORD = struct.Struct(">6s6sH4sc3x6Q")
MAGIC = b"AVEP"
BEAT, KEPT = b"B", b"A"

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
        self._tap = Tap(names, _FILTER, self._take)

    def close(self) -> None:
        self._tap.close()

    def since(self, mark: int) -> Sequence[Word]:
        return self.words[mark:]

    def _take(self, frame: bytes, port: str) -> None:
        if port.startswith("h") and (word := heard(frame, port.split("-")[0], monotonic())):
            self.words.append(word)
