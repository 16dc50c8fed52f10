"""Bodies: what a client sent becomes plain data, and an answer bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ave.api.problems import Invalid
from drivers.rest.incoming import Ready

BODY_MOST = 8 << 20
BODY_SECONDS = 30.0  # for all of one
CLOSE = {"Connection": "close"}  # what is still to come of it is not waited for
_encode = msgspec.json.Encoder().encode


class Said(Exception):
    """An answer that HTTP itself asks for."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, code, detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers


async def read(request: Request) -> Any:
    """None: there is none. Raises Said, Invalid."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            text = await _all(request)
    except TimeoutError:
        raise Said(408, "too-slow", f"a body has {BODY_SECONDS:g} s to come", CLOSE) from None
    if not text:
        return None
    if kind != "application/json":
        raise Said(415, "not-json", "send application/json")
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the body is no JSON: {error}") from None
    if said is None:
        raise Invalid("the body must be an object, or absent")
    return said


async def _all(request: Request) -> bytes:
    """Of one that is too large hardly more is read than it may have."""
    length = request.headers.get("content-length", "")
    parts: list[bytes] = []
    size = int(length) if length.isdecimal() and len(length) < 19 else 0
    if size <= BODY_MOST:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > BODY_MOST:
                break
            parts.append(part)
    if size > BODY_MOST:
        raise Said(413, "too-large", f"a body may have {BODY_MOST >> 20} MiB", CLOSE)
    return b"".join(parts)


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Ready(_encode(value), status, b"application/json", headers or {})


def problem(value: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Ready(_encode(value), status, b"application/problem+json", headers or {})
