"""Recordings: what a projection is fed, written down, so that every moment of a run can be seen again.

``events.jsonl.gz`` is a chain of gzip members, which zcat and jq read as one text. Each begins with a keyframe, all that
there is and the last log lines, and goes on with a line per change, so that any of them can be played by itself:

    {"keyframe": {kind: [document, ...]}, "rev": revision, "t": seconds, "log": [line, ...]}
    [revision, seconds, kind, document]   or, if it was deleted, {"id": its id, "gone": true} in its place
    [revision, seconds, "log", {"who": ..., "event": ..., and its fields}]
    [revision, seconds, "mark", {"t": seconds, "text": ...}]
    [revision, seconds, "sample", {"t": seconds, name: number, ...}]

``events.index.json`` beside it says where the members begin and repeats marks and samples; without it, reading the whole
file finds the same. Nothing in either comes from the machine: the same run writes the same.
"""

from __future__ import annotations

import gc
import math
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ave.api.history import History
from ave.ports.store import Commit, Kind

SCHEMA = 1
LEVEL = 3
BUFFER_BYTES = 1 << 16  # lines wait until there are so many, and are packed together
PIECE = 64  # documents of a keyframe that are packed at once
LEAST_LINES = 500  # between two keyframes
LOG_TAIL = 200  # log lines in a keyframe
MOST_SAMPLES = 20_000  # in the index: 55 hours at one every 10 s
GZIP = 31  # zlib's wbits for gzip: a header without time or name, and a checksum
KEYFRAME = b'{"keyframe":{'
CUT_SHORT = "ends half-way"


class Line(msgspec.Struct, frozen=True, array_like=True):
    rev: int
    t: float
    kind: str
    doc: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.doc.get("id", ""))

    @property
    def gone(self) -> bool:
        return len(self.doc) == 2 and self.doc.get("gone") is True


class State(msgspec.Struct, frozen=True):
    """Everything at one moment: documents by kind and id, as they are in JSON and in order of their last change."""

    t: float
    rev: int
    docs: dict[str, dict[str, dict[str, Any]]]
    log: list[Line]


class Member(msgspec.Struct, frozen=True):
    offset: int  # in the file, packed
    t: float
    rev: int


class Mark(msgspec.Struct, frozen=True):
    t: float
    text: str


class Index(msgspec.Struct):
    schema: int
    partial: bool  # the run was interrupted, or goes on
    end: float
    size: int  # of the file, packed
    members: list[Member]
    marks: list[Mark]
    series: dict[str, list[float | None]]  # columns of equal length; "t" is when


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


_encode = msgspec.json.Encoder().encode
_keyframe = msgspec.json.Decoder(_Keyframe).decode
_documents = msgspec.json.Decoder(dict[str, list[dict[str, Any]]]).decode
_line = msgspec.json.Decoder(Line).decode
_head = msgspec.json.Decoder(_Head).decode


def index_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".jsonl.gz") + ".index.json")


class Recorder:
    """Close it, or use it as a context manager: then a run that ends by an error is marked as partial."""

    def __init__(self, path: Path, kinds: Sequence[Kind], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._docs: dict[str, dict[str, Any]] = {kind.name: {} for kind in kinds if kind.shown}
        self._rev = 0
        self._log: deque[bytes] = deque(maxlen=LOG_TAIL)
        self._torn = False  # true while bytes are on their way: after an error there, nothing fits behind them
        self._members: list[Member] = []
        self._marks: list[Mark] = []
        self._samples, self._history = _Samples(), History()
        self._index_path = index_path(path)
        self._index_path.unlink(missing_ok=True)
        self._file = path.open("wb")
        self._begin_member(clock())

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.close(partial=error is not None)

    def apply(self, commit: Commit) -> None:
        now = self._now()
        for kind, id, doc in commit.changes:
            docs = self._docs.get(kind)
            if docs is None:
                continue
            old = docs.pop(id, None)  # popped, so that it goes to the end
            if doc is not None:
                docs[id] = doc
            self._history.count(old, doc)
            self._add(_encode((commit.revision, now, kind, {"id": id, "gone": True} if doc is None else doc)))
        self._rev = commit.revision

    def log(self, who: str, event: str, fields: Mapping[str, Any]) -> None:
        doc = {"who": who, "event": event}
        for name, value in fields.items():
            doc.setdefault(name, value)  # no field speaks for somebody else
        line = _encode((self._rev, self._now(), "log", doc))
        self._add(line)
        self._log.append(line)

    def mark(self, t: float, text: str) -> None:
        """Something to find again when looking at the whole run: a fault."""
        self._marks.append(Mark(t, text))
        self._add(_encode((self._rev, self._now(), "mark", self._marks[-1])))

    def sample(self, t: float, values: Mapping[str, float]) -> None:
        """One point of every chart, the API's own among them; every 10 s is often enough."""
        row = {"t": t, **values, **self._history.row()}
        self._samples.add(row)
        self._add(_encode((self._rev, self._now(), "sample", row)))

    def flush(self) -> None:
        """What has happened so far can be played, while the run goes on."""
        self._pack_all(zlib.Z_SYNC_FLUSH)
        self._file.flush()
        self._write_index(partial=True)

    def close(self, *, partial: bool = False) -> None:
        if not self._file.closed:
            if not self._torn:
                self._pack_all(zlib.Z_FINISH)
            self._write_index(partial=partial or self._torn)
            self._file.close()

    def _now(self) -> float:
        now = self._clock()
        if self._lines >= self._least and self._weight + len(self._buffer) >= self._keyframe_weight:
            # So keyframes are at most half of the file, and a seek reads two keyframes' worth.
            self._pack_all(zlib.Z_FINISH)
            self._begin_member(now)
        return now

    def _begin_member(self, now: float) -> None:
        self._members.append(Member(self._file.tell(), now, self._rev))
        self._zip = zlib.compressobj(LEVEL, wbits=GZIP)
        docs = {kind: list(of_kind.values()) for kind, of_kind in self._docs.items()}
        self._pieces: Iterator[bytes] | None = _pieces(docs, self._rev, now, list(self._log))
        # By then it is packed and weighed, whether or not somebody flushed it earlier.
        self._least = max(LEAST_LINES, 3 + sum(3 + len(of_kind) // PIECE for of_kind in docs.values()))
        self._buffer = bytearray()
        self._keyframe_weight = self._weight = self._lines = 0  # weights in bytes, of what is packed

    def _add(self, line: bytes) -> None:
        self._buffer += line
        self._buffer += b"\n"
        self._lines += 1
        if self._pieces is not None or len(self._buffer) >= BUFFER_BYTES:
            self._pack()

    def _pack(self) -> None:
        """The next piece of the keyframe, or else what waits behind it: a large keyframe must not stop the world."""
        self._torn = True
        if self._pieces is not None and (piece := next(self._pieces, b"")):
            self._keyframe_weight += len(piece)
            self._file.write(self._zip.compress(piece))
        else:
            self._pieces = None
            self._weight += len(self._buffer)
            self._file.write(self._zip.compress(self._buffer))
            self._buffer.clear()
        self._torn = False

    def _pack_all(self, how: int) -> None:
        while self._pieces is not None or self._buffer:
            self._pack()
        self._torn = True
        self._file.write(self._zip.flush(how))
        self._torn = False

    def _write_index(self, *, partial: bool) -> None:
        end, size, series = self._clock(), self._file.tell(), self._samples.columns()
        index = Index(SCHEMA, partial, end, size, self._members, self._marks, series)
        self._index_path.write_bytes(_encode(index) + b"\n")


def _pieces(docs: Mapping[str, list[Any]], rev: int, t: float, log: list[bytes]) -> Iterator[bytes]:
    """A keyframe. Documents are frozen, so it does not matter that later ones are encoded later."""
    yield KEYFRAME
    for number, (kind, of_kind) in enumerate(docs.items()):
        yield (b"," if number else b"") + _encode(kind) + b":["
        for first in range(0, len(of_kind), PIECE):
            yield (b"," if first else b"") + _encode(of_kind[first : first + PIECE])[1:-1]
        yield b"]"
    yield b'},"rev":%b,"t":%b,"log":[%b]}\n' % (_encode(rev), _encode(t), b",".join(log))


class _Samples:
    """Of a long run every other one is left out, then three in four, and so on: a chart is only so wide."""

    def __init__(self) -> None:
        self._rows: list[Mapping[str, float]] = []
        self._seen, self._every = 0, 1

    def add(self, row: Mapping[str, float]) -> None:
        if self._seen % self._every == 0:
            self._rows.append(row)
        self._seen += 1
        if len(self._rows) == MOST_SAMPLES:
            del self._rows[1::2]
            self._every *= 2

    def columns(self) -> dict[str, list[float | None]]:
        names = dict.fromkeys(name for row in self._rows for name in row)
        return {name: [row.get(name) for row in self._rows] for name in names}


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
        index, samples = Index(SCHEMA, True, 0.0, size, [], [], {}), _Samples()
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


@contextmanager
def uncollected() -> Iterator[None]:
    """To look for cycles in 50,000 new documents takes several times as long as to read them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


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
