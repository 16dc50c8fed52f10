"""Server-sent events out of bytes. The first event of a stream may have 50 MB in one line: they are copied once at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

END = b"\n\n"
NAME_MOST = 16  # bytes, within which the name of a field ends


class Said(NamedTuple):
    event: str
    id: str  # "": it has none
    data: bytes | memoryview


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
        if self._parts and END in chunk:
            self._parts.append(chunk)
            chunk, self._parts, self._size = b"".join(self._parts), [], 0
        begin = 0
        while (end := chunk.find(END, begin)) >= 0:
            if (said := _said(chunk, begin, end)) is not None:
                yield said
            begin = end + len(END)
        self._keep(chunk[begin:] if begin else chunk)

    def _keep(self, chunk: bytes) -> None:
        if chunk:
            self._parts.append(chunk)
            self._size += len(chunk)
        if self._size > self._most:
            raise ValueError(f"an event of more than {self._most} bytes")


def _said(text: bytes, begin: int, end: int) -> Said | None:
    event = id = ""
    data: list[memoryview] = []
    while begin < end:
        line_end = text.find(b"\n", begin, end)
        line_end = end if line_end < 0 else line_end
        name, colon, rest = text[begin : min(begin + NAME_MOST, line_end)].partition(b":")
        value = begin + len(name) + len(colon) + rest.startswith(b" ")
        if name == b"data":
            data.append(memoryview(text)[value:line_end])
        elif name == b"event":
            event = text[value:line_end].decode("utf-8", "replace")
        elif name == b"id":
            id = text[value:line_end].decode("utf-8", "replace")
        begin = line_end + 1
    return Said(event, id, data[0] if len(data) == 1 else b"\n".join(data)) if data else None
