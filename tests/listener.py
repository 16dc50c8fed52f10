"""A reader of the stream of events, who holds what he is told against what he was told before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2


async def heard(port: int, path: str, **headers: str) -> AsyncGenerator[tuple[str, str, dict[str, Any]], None]:
    """Event, id, body; comments are passed over."""
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if not line and fields:
                yield fields["event"], fields["id"], json.loads(fields["data"])
                fields = {}
            elif line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value


class Picture:
    """All that it was told, by noun and id. Of what it is told again, or after it was told newer things, it fails."""

    def __init__(self, *types: str) -> None:
        self._path = f"/v1/events?types={','.join(types)}"
        self.docs: dict[str, dict[str, Any]] = {type: {} for type in types}
        self.last = ""
        self.events: list[str] = []

    async def follow(self, port: int) -> None:
        """Until whoever speaks there is lost."""
        headers = {"Last-Event-ID": self.last} if self.last else {}
        try:
            async for event, id, body in heard(port, self._path, **headers):
                self._hear(event, id, body)
        except httpx2.HTTPError:
            pass

    async def until(self, revision: int) -> None:
        while not self.last or int(self.last.rpartition(":")[2]) < revision:
            await asyncio.sleep(0.02)

    def _hear(self, event: str, id: str, body: dict[str, Any]) -> None:
        (epoch, _, revision), (known, _, before) = id.rpartition(":"), self.last.rpartition(":")
        if event == "reset":
            for docs in self.docs.values():
                docs.clear()
        else:
            assert epoch == known
            assert int(revision) > int(before)
        self.events.append(event)
        self.last = id
        for noun, id in body.get("gone", []):
            self.docs[noun].pop(id, None)
        for noun in self.docs:
            for doc in body.get(noun, []):
                older = self.docs[noun].get(doc["id"])
                assert older is None or older["version"] < doc["version"], f"{doc['id']} was told again"
                self.docs[noun][doc["id"]] = doc
