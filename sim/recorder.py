"""Writing a recording (see sim/record.py), while what it is of goes on."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ave.api.history import History
from ave.ports.store import Commit, Kind
from sim.record import BUFFER_BYTES, GZIP, KEYFRAME, LOG_TAIL, SCHEMA, Index, Mark, Member, Samples, index_path

LEVEL = 3
PIECE = 64  # documents of a keyframe that are packed at once
LEAST_LINES = 500  # between two keyframes

_encode = msgspec.json.Encoder().encode


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
        self._samples, self._history = Samples(), History()
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
