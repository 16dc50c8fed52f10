"""The journal of a served run: all that was done to the world from outside, each at its moment, so that it can be done again.

A file of lines, each a JSON object: first what was served, then the entries, and at last when it ended. An entry is written
once it is known to have left something behind: what was answered without any simulated time has not, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from ave.api.desk import Manner
from ave.errors import Refused
from ave.model.access import Caller

SCHEMA = 1


class Head(msgspec.Struct, frozen=True, kw_only=True, tag="head"):
    schema: int = SCHEMA
    ave: str
    scenario: str
    seed: int
    host: str  # whose API it was; "": of one that was up


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    n: int
    t: float
    caller: Caller
    name: str
    request: dict[str, Any]
    manner: Manner


class Leave(msgspec.Struct, frozen=True, kw_only=True, tag="leave"):
    """Whoever asked that went away, or waited no longer."""

    n: int
    t: float
    ask: int


class Strike(msgspec.Struct, frozen=True, kw_only=True, tag="strike"):
    n: int
    t: float
    fault: dict[str, Any]  # as it was asked for


class Relieve(msgspec.Struct, frozen=True, kw_only=True, tag="relieve"):
    n: int
    t: float
    id: str


class Pause(msgspec.Struct, frozen=True, kw_only=True, tag="pause"):
    """While the world stands still nobody waits for the end of a Job: that is why it matters."""

    n: int
    t: float
    paused: bool


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    t: float


Entry: TypeAlias = Ask | Leave | Strike | Relieve | Pause
_line = msgspec.json.Decoder(Head | Ask | Leave | Strike | Relieve | Pause | End).decode


class Journal:
    """``write`` is given each entry; ``n`` numbers them in the order in which they were begun."""

    def __init__(self, write: Callable[[Entry], None] = lambda entry: None) -> None:
        self.write = write
        self._count = 0

    def number(self) -> int:
        self._count += 1
        return self._count


class JournalFile:
    """Lines are on disk as soon as they are written: what was done can be done again even if this process is killed."""

    def __init__(self, path: Path, head: Head) -> None:
        self._file = path.open("wb")
        self._put(head)

    def write(self, entry: Entry) -> None:
        if not self._file.closed:
            self._put(entry)

    def close(self, at: float) -> None:
        self._put(End(t=at))
        self._file.close()

    def _put(self, line: Head | Entry | End) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()


def read(path: Path) -> tuple[Head, list[Entry], float]:
    """What was served, what was done to it in the order in which it was begun, and when it ended. Raises Refused."""
    try:
        head, *lines = [_line(text) for text in path.read_bytes().splitlines()]
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise Refused(f"{path} is no journal of a served run: {error}") from None
    if not isinstance(head, Head) or head.schema != SCHEMA:
        raise Refused(f"{path} is no journal of a served run that this version can read")
    entries = [line for line in lines if not isinstance(line, Head | End)]
    ends = [line.t for line in lines if isinstance(line, End)]
    return head, sorted(entries, key=lambda entry: entry.n), max([*ends, *(entry.t for entry in entries)], default=0.0)
