"""An application without a socket: for a client in the same process and on the same loop. Streams begin at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from starlette.types import ASGIApp, Message

QUEUED = 1  # pieces of an answer that wait for who reads them


class Within(httpx2.AsyncBaseTransport):
    """httpx2's own ASGITransport collects a whole body first, which of a stream of events never comes.

    The application is told that a client has gone by being cancelled.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        conversation = _Conversation(await request.aread())
        task = asyncio.ensure_future(conversation.run(self._app, _scope(request)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            begin = await asyncio.shield(conversation.begun)
        except BaseException:
            task.cancel()
            raise
        return httpx2.Response(
            begin["status"], headers=begin.get("headers", ()), stream=_Stream(conversation.pieces, task)
        )

    async def aclose(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class _Conversation:
    def __init__(self, body: bytes) -> None:
        self.begun: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED)  # None: that was all
        self._body: bytes | None = body

    async def run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:
            if not self.begun.done():
                self.begun.set_exception(httpx2.ReadError(f"the application failed: {error}"))
        finally:
            if not self.begun.done():
                self.begun.set_exception(httpx2.ReadError("the application ended without an answer"))
            if not self.begun.cancelled():
                self.begun.exception()  # whoever asked may have gone, and then nobody looks at it
        await self.pieces.put(None)

    async def _receive(self) -> Message:
        if self._body is None:
            await asyncio.Event().wait()  # it is there until it is cancelled
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun.set_result(message)
        elif piece := message.get("body", b""):
            await self.pieces.put(piece)


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, pieces: asyncio.Queue[bytes | None], task: asyncio.Task[None]) -> None:
        self._pieces, self._task = pieces, task

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def aclose(self) -> None:
        self._task.cancel()


def _scope(request: httpx2.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
        "root_path": "",
    }
