"""The log of a probe writer on its disk, read from outside: the raw file on the storage box. See probe.c."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.real.faults.words import Life

BLOCK = 4096
BEGIN = 64 * 2**20  # what comes before is the disk that boots
MARK, RECORD = b"AVEPROBE", b"AVERECOR"
_HEAD = struct.Struct(">8s6Q")
_SUM = struct.Struct(">Q")
_CHUNK = 256


@dataclass(frozen=True)
class Record:
    life: Life
    seq: int
    nonce: int


def prepare(volume: Path, boots: Path, vm: int) -> None:
    """Let this volume boot the guest, and be written to."""
    with volume.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(0)
        file.write(boots.read_bytes())
        file.seek(BEGIN)
        file.write(block(MARK, Life(vm, 0, 0), (size - BEGIN) // BLOCK, 0))


def block(magic: bytes, life: Life, seq: int, nonce: int) -> bytes:
    head = _HEAD.pack(magic, life.vm, life.number, life.id, seq, nonce, 0)
    body = head.ljust(BLOCK - _SUM.size, bytes([nonce & 255]))
    return body + _SUM.pack(zlib.crc32(body))


def read(volume: Path) -> list[Record]:
    """The records from the first on, as far as they go without a gap."""
    found = []
    with volume.open("rb") as file:
        for place, text in _blocks(file):
            record = _record(text)
            if record is None or record.seq != place:
                break
            found.append(record)
    return found


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each place from the first on, and what is there."""
    place = 1
    file.seek(BEGIN + place * BLOCK)
    while chunk := file.read(_CHUNK * BLOCK):
        for at in range(0, len(chunk), BLOCK):
            yield place, chunk[at : at + BLOCK]
            place += 1


def _record(text: bytes) -> Record | None:
    if text[:8] != RECORD or _SUM.unpack(text[-8:])[0] != zlib.crc32(text[:-8]):
        return None
    _, vm, number, id, seq, nonce, _ = _HEAD.unpack_from(text)
    return Record(Life(vm, number, id), seq, nonce)
