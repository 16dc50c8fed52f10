"""More requests of those that were drawn: their parts put together anew, about things that there are.

To draw a request by its schema takes ten milliseconds, to ask it half of one. And what is drawn is about things that are not
there, most of the time: a name of one that is there reaches what lies behind.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

KEPT = 40  # parts of one operation
NAMES = {  # fields that name things of a noun
    "vms": "vm",
    "hosts": "host",
    "volumes": "volume",
    "networks": "network",
    "groups": "group",
    "host": "host",
    "user": "user",
}


class Request(NamedTuple):
    """``path`` and ``query`` are percent-encoded."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Mixer:
    """``route``: the path as the document has it, with ``{id}``; ``things``: noun -> ids of what there is."""

    def __init__(self, seed: int) -> None:
        self._draw = Random(seed)
        self._parts: dict[tuple[str, str], list[Request]] = {}

    def learn(self, route: str, request: Request) -> None:
        known = self._parts.setdefault((request.method, route), [])
        if len(known) < KEPT:
            known.append(request)
        else:
            known[self._draw.randrange(KEPT)] = request

    def mix(self, route: str, request: Request, things: dict[str, list[str]]) -> Request:
        """One of the same operation."""
        known = self._parts[request.method, route]
        choose = self._draw.choice
        path, own = request.path, things.get(_noun(route), [])
        if "{id}" in route and own and self._draw.random() < 0.8:
            path = route.replace("{id}", quote(choose(own), safe=""))
        body = choose(known).body
        return Request(
            request.method,
            path,
            choose(known).query if self._draw.random() < 0.5 else "",
            {**request.headers, **(choose(known).headers if self._draw.random() < 0.5 else {})},
            self._about(body, things) if self._draw.random() < 0.8 else body,
        )

    def _about(self, body: bytes, things: dict[str, list[str]]) -> bytes:
        """With names of what there is in place of names that were drawn."""
        try:
            said = json.loads(body)
        except ValueError:
            return body
        return json.dumps(self._named(said, "", things)).encode() if isinstance(said, dict) else body

    def _named(self, said: Any, field: str, things: dict[str, list[str]]) -> Any:
        known = things.get(NAMES.get(field, ""), [])
        if isinstance(said, dict):
            return {key: self._named(value, key, things) for key, value in said.items()}
        if isinstance(said, list) and known and all(isinstance(each, str) for each in said):
            return self._draw.sample(known, min(len(known), self._draw.randrange(1, 4)))
        if isinstance(said, list):
            return [self._named(each, "", things) for each in said]
        return self._draw.choice(known) if isinstance(said, str) and known else said


def _noun(route: str) -> str:
    plural = route.removeprefix("/v1/").partition("/")[0].partition(":")[0]
    return NAMES.get(plural, plural.removesuffix("s"))
