"""A request whose headers are found at once, and an answer that is ready: what a framework does anew with every one of them is
most of what a short answer costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope


class Fields(Headers):
    """Of several of one name the first one counts."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(raw=scope["headers"])
        self._known = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(self.raw)}

    def __getitem__(self, key: str) -> str:
        return self._known[key.lower()]

    def get(self, key: str, default: Any = None) -> Any:
        return self._known.get(key.lower(), default)

    def __contains__(self, key: Any) -> bool:
        return key.lower() in self._known


class Incoming(Request):
    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self._fields = Fields(scope)

    @property
    def headers(self) -> Headers:
        return self._fields


class Ready(Response):
    """Bytes, and the headers that they are sent with."""

    def __init__(self, content: bytes, status: int, media: bytes, headers: Mapping[str, str]) -> None:
        self.status_code, self.body, self.background = status, content, None
        self.raw_headers = [
            (b"content-length", b"%d" % len(content)),
            (b"content-type", media),
            *[(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        ]
