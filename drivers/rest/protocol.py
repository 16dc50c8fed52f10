"""HTTP as uvicorn speaks it with a parser in C, with bounds that this parser has not, and an answer in one piece.

Its other parser, in Python, has bounds and takes more than half of the time that a short answer costs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST = 64 << 10  # bytes of a head; and of what stands between two pieces of a body


class Protocol(HttpToolsProtocol):
    """A client whose head, or whose frame around a body, does not end is told so, and cut off."""

    _in_head = True
    _loose = 0  # bytes that are no body, since the last request or the last piece of a body

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Whole(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._loose += len(data)
        super().data_received(data)
        if self._loose > HEAD_MOST and not self.transport.is_closing():
            self.send_400_response("This is too much for a head.")

    def on_headers_complete(self) -> None:
        self._in_head, self._loose = False, 0
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes after a body nobody reads
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._loose = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._loose = True, 0
        super().on_message_complete()

    @property
    def owes(self) -> bool:
        """Has it begun to say what it wants, or has it never said anything?"""
        return self.timeout_keep_alive_task is None


class Whole:
    """A transport that sends together what is written at once: the head of an answer and its body, in one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._parts))

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))
