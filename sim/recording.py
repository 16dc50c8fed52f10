"""Reading a recording (see sim/record.py) back, at any moment, as far as it is whole."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from sim.collecting import uncollected
from sim.record import (
    BUFFER_BYTES,
    GZIP,
    KEYFRAME,
    LOG_TAIL,
    SCHEMA,
    Index,
    Line,
    Mark,
    Member,
    Samples,
    State,
    index_path,
)

CUT_SHORT = "ends half-way"


class _Keyframe(msgspec.Struct):
    keyframe: msgspec.Raw  # decoded only if it is wanted
    rev: int
    t: float
    log: list[Line]


class _Head(msgspec.Struct, array_like=True):
    """A line whose document is passed over."""

    rev: int
    t: float
    kind: str


_keyframe = msgspec.json.Decoder(_Keyframe).decode
_documents = msgspec.json.Decoder(dict[str, list[dict[str, Any]]]).decode
_line = msgspec.json.Decoder(Line).decode
_head = msgspec.json.Decoder(_Head).decode


class Recording:
    """A recording, or what is left of it: ``damage`` says what is wrong and where; all before it can be played."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unpacked: tuple[int, list[bytes]] = (-1, [])  # the member that was read last, and its lines
        self.damage: str | None = None
        size = path.stat().st_size
        index = self._read_index()
        if index is None or index.size != size:
            promised = 0 if index is None else index.size
            index = self._scan(size)
            if self.damage is None and size < promised:
                self._report(size, f"the rest of {promised} bytes is missing", index.end)
        self._members = index.members
        self.start = index.members[0].t if index.members else 0.0
        self.partial, self.end, self.marks, self.series = index.partial, index.end, index.marks, index.series

    def seek(self, t: float) -> State:
        """Everything as it was when all that happened by then, and at that very moment, had happened."""
        _, lines = self._find(t)
        if not lines:
            return State(t, 0, {}, [])
        with uncollected():
            return _play(lines[0], lines[1 : _after(lines, t)], t)

    def lines(self, from_t: float = -math.inf, to_t: float = math.inf) -> Iterator[Line]:
        """Changes and log lines after ``from_t`` and up to ``to_t``: what leads from one ``seek`` to the other."""
        for line in map(_line, self.texts(from_t, to_t)):
            if line.kind not in ("mark", "sample"):
                yield line

    def texts(self, from_t: float = -math.inf, to_t: float = math.inf) -> Iterator[bytes]:
        """All lines after ``from_t`` and up to ``to_t``, as they are written."""
        number, lines = self._find(from_t)
        while lines:
            last = _after(lines, to_t)
            yield from lines[_after(lines, from_t) : last]
            number += 1
            lines = self._read(number) if last == len(lines) and number < len(self._members) else []

    def text(self, t: float, lead: float = 0.0) -> list[bytes]:
        """What leads to that moment, as it is written: a keyframe from before ``t - lead``, if there is one so early, and all
        lines from there. Nothing, if there is nothing that can be played."""
        number, lines = self._find(t - lead)
        found = lines[: _after(lines, t)]
        while lines and len(found) and number + 1 < len(self._members) and self._members[number + 1].t <= t:
            number += 1
            lines = self._read(number)
            found += lines[1 : _after(lines, t)]
        return found

    def _find(self, t: float) -> tuple[int, list[bytes]]:
        """The last member that begins by then, or else the first; its number and what it holds."""
        while self._members:
            number = max(bisect_right(self._members, t, key=lambda member: member.t) - 1, 0)
            if lines := self._read(number):
                return number, lines
        return 0, []

    def _read(self, number: int) -> list[bytes]:
        """A member's keyframe and lines; nothing if it is damaged, and the recording ends before it."""
        if self._unpacked[0] != number:
            lines, end, problem = _unpack(self._path, self._members[number].offset)
            growing = self.partial and number == len(self._members) - 1 and problem == CUT_SHORT
            if problem and not (growing and lines):
                lines, self.end = [], self._members[number].t
                del self._members[number:]
                self._report(end, problem, self.end)
            self._unpacked = (number, lines)
        return self._unpacked[1]

    def _report(self, offset: int, problem: str, end: float) -> None:
        self.damage = f"{self._path.name} at byte {offset}: {problem}; it can be played up to t = {end:.3f}"

    def _read_index(self) -> Index | None:
        try:
            index = msgspec.json.decode(index_path(self._path).read_bytes(), type=Index)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return index if index.schema == SCHEMA else None

    def _scan(self, size: int) -> Index:
        """What the index would say, from the file itself."""
        index, samples = Index(SCHEMA, True, 0.0, size, [], [], {}), Samples()
        offset, problem = 0, "" if size else "empty"
        while offset < size and not problem:
            lines, end, problem = _unpack(self._path, offset)
            if lines:
                keyframe = _keyframe(lines[0])
                index.members.append(Member(offset, keyframe.t, keyframe.rev))
                index.end = _head(lines[-1]).t if len(lines) > 1 else keyframe.t
            for text in lines[1:]:
                kind = _head(text).kind
                if kind == "mark":
                    index.marks.append(msgspec.convert(_line(text).doc, Mark))
                elif kind == "sample":
                    samples.add(_line(text).doc)
            offset = end
        index.series = samples.columns()
        if problem:
            self._report(offset, problem, index.end)
        return index


def _play(first: bytes, lines: list[bytes], t: float) -> State:
    keyframe = _keyframe(first)
    docs = {kind: {doc["id"]: doc for doc in of_kind} for kind, of_kind in _documents(keyframe.keyframe).items()}
    rev, log = keyframe.rev, deque(keyframe.log, LOG_TAIL)
    for line in map(_line, lines):
        rev = line.rev
        if line.kind == "log":
            log.append(line)
        elif line.kind in docs:
            docs[line.kind].pop(line.id, None)
            if not line.gone:
                docs[line.kind][line.id] = line.doc
    return State(t, rev, docs, list(log))


def _after(lines: list[bytes], t: float) -> int:
    return bisect_right(lines, t, lo=1, key=lambda text: _head(text).t)


def _unpack(path: Path, offset: int) -> tuple[list[bytes], int, str]:
    """The member that begins there: its whole lines, where it ends, and what is wrong with it."""
    unpacker, parts = zlib.decompressobj(wbits=GZIP), []
    with path.open("rb") as file:
        file.seek(offset)
        try:
            while not unpacker.eof and (packed := file.read(BUFFER_BYTES)):
                parts.append(unpacker.decompress(packed))
        except zlib.error as error:
            return [], offset, f"the member that begins here is damaged: {error}"
        end = file.tell() - len(unpacker.unused_data)
    lines = b"".join(parts).split(b"\n")
    lines.pop()
    if unpacker.eof:
        return (lines, end, "") if lines and lines[0].startswith(KEYFRAME) else ([], offset, "no keyframe")
    sound = 0  # no checksum has been seen, so the lines may be anything
    try:
        for sound, text in enumerate(lines):
            _line(text) if sound else _keyframe(text)
        return lines, end, CUT_SHORT
    except (msgspec.DecodeError, UnicodeDecodeError):
        return lines[:sound], end, CUT_SHORT
