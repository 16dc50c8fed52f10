"""A conversation with the API, kept: what a real simulated cluster answered once is answered again.

Pictures are drawn of it, so that they are others only when the dashboard is, and not with every draw of a simulated cluster.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

KEPT_HEADERS = ("content-type", "x-ave-revision", "x-ave-time")


def _key(request: httpx2.Request) -> str:
    return f"{request.method} {request.url.raw_path.decode()} {request.content.decode()}"


class Recording(httpx2.AsyncBaseTransport):
    """Passes on what the cluster says, and keeps it."""

    def __init__(self, real: httpx2.AsyncBaseTransport) -> None:
        self._real = real
        self.kept: dict[str, dict[str, Any]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        response = await self._real.handle_async_request(request)
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        kept = self.kept[_key(request)] = {"status": response.status_code, "headers": headers, "body": ""}
        return httpx2.Response(response.status_code, headers=headers, stream=_Kept(response, kept))

    def save(self, path: Path) -> None:
        text = json.dumps(self.kept, indent=0, sort_keys=True).encode()
        path.write_bytes(gzip.compress(text, mtime=0))


class _Kept(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, kept: dict[str, Any]) -> None:
        self._response, self._kept = response, kept

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._response.stream, httpx2.AsyncByteStream)
        async for chunk in self._response.stream:
            self._kept["body"] += chunk.decode()
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


class Replay(httpx2.AsyncBaseTransport):
    """Answers as it was answered then. A stream says what it said, then what is put into ``more``, and else nothing."""

    def __init__(self, path: Path) -> None:
        self._kept: dict[str, dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
        self.more: asyncio.Queue[bytes] = asyncio.Queue()
        self.silent = False  # nobody is there

    def tell(self, event: str, body: Any) -> None:
        """Something more in the stream."""
        self.more.put_nowait(f"event: {event}\ndata: {json.dumps(body)}\n\n".encode())

    def told(self, noun: str) -> list[dict[str, Any]]:
        """The things of that kind that there were at the begin."""
        stream = next(kept["body"] for key, kept in self._kept.items() if "/v1/events" in key)
        reset = next(line for line in stream.splitlines() if line.startswith("data: ") and f'"{noun}":[' in line)
        found: list[dict[str, Any]] = json.loads(reset.removeprefix("data: "))[noun]
        return found

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        if self.silent:
            raise httpx2.ConnectError("nobody is there")
        kept = self._kept.get(_key(request))
        assert kept is not None, f"nobody has asked that then: {_key(request)[:200]}"
        endless = kept["headers"].get("content-type", "").startswith("text/event-stream")
        return httpx2.Response(
            kept["status"], headers=kept["headers"], stream=_Again(self, kept["body"].encode(), endless)
        )


class _Again(httpx2.AsyncByteStream):
    def __init__(self, replay: Replay, body: bytes, endless: bool) -> None:
        self._replay, self._body, self._endless = replay, body, endless

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
        while self._endless:
            try:
                yield await asyncio.wait_for(self._replay.more.get(), 0.5)
            except TimeoutError:
                if self._replay.silent:
                    raise httpx2.ReadError("it has gone") from None
                yield b": still here\n\n"
