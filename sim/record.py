"""The format of recordings: what a projection is fed, written down, so that every moment of a run can be seen again.

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

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

SCHEMA = 1
GZIP = 31  # zlib's wbits for gzip: a header without time or name, and a checksum
BUFFER_BYTES = 1 << 16  # are packed and unpacked together
LOG_TAIL = 200  # log lines in a keyframe
KEYFRAME = b'{"keyframe":{'  # so a member begins
MOST_SAMPLES = 20_000  # in the index: 55 hours at one every 10 s


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


def index_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".jsonl.gz") + ".index.json")


class Samples:
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
