"""Server-sent events out of bytes. The first event of a stream may have 50 MB in one line: nothing is copied twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

END = b"\n\n"


class Said(NamedTuple):
    event: str
    id: str  # "": it has none
    data: bytes


class Parser:
    """``most``: bytes of one event."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Said]:
        """The events that end in these bytes. Comments are passed over. Raises ValueError: one is larger than ``most``."""
        if self._parts and self._parts[-1].endswith(b"\n") and chunk.startswith(b"\n"):
            chunk = self._parts.pop() + chunk  # the end was cut in two
        if END not in chunk:
            self._keep(chunk)
            return
        first, *rest = chunk.split(END)
        self._keep(first)
        whole, self._parts, self._size = b"".join(self._parts), [], 0
        for block in (whole, *rest[:-1]):
            if (said := _said(block)) is not None:
                yield said
        self._keep(rest[-1])

    def _keep(self, chunk: bytes) -> None:
        if chunk:
            self._parts.append(chunk)
            self._size += len(chunk)
        if self._size > self._most:
            raise ValueError(f"an event of more than {self._most} bytes")


def _said(block: bytes) -> Said | None:
    event = id = ""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            event = value.decode("utf-8", "replace")
        elif name == b"id":
            id = value.decode("utf-8", "replace")
        elif name == b"data":
            data.append(value)
    return Said(event, id, data[0] if len(data) == 1 else END[:1].join(data)) if data else None
