"""The API of a simulated cluster, asked in this process: no socket, and no time that is not simulated.

What is asked runs on the simulated host's own runtime, and the world goes on until it is answered, and a little further: so
Jobs are done, VMs come and go, and the same requests have the same answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from ave.api.gate import Gate, Open
from ave.api.nouns import NOUNS
from ave.api.view import View
from ave.model.access import Token, User
from ave.model.network import Network
from ave.ports.store import Insert
from drivers.rest.app import application
from drivers.rest.host import Asked
from sim.serve import scenario_of
from sim.served import Served

ANSWER_SECONDS = 120.0  # simulated
BEAT_SECONDS = 0.2  # simulated: between two requests


class Answer(NamedTuple):
    status: int
    headers: dict[str, list[str]]
    body: bytes


class World:
    """Close it. ``bugs``: what nobody foresaw."""

    def __init__(self, seed: int, hosts: int = 2) -> None:
        self._served = Served(scenario_of(f"sim:{hosts}-host"), seed=seed)
        self._loop = asyncio.new_event_loop()
        self.bugs: list[BaseException] = []
        self._app = application(_Host(self._served), bug=self.bugs.append)
        self._served.advance(1.0)
        ledger = self._served.story.cluster.store.ledger
        ledger.commit(
            [Insert(User(id="ada")), Insert(Network(id="lan")), Insert(Token(id="t1", user="ada", digest="0"))], 1.0
        )
        self._served.advance(2.0)

    def close(self) -> None:
        self._served.close()
        self._loop.close()

    @property
    def broken(self) -> str:
        return self._served.broken

    def things(self) -> dict[str, list[str]]:
        """Noun -> ids of what there is, as far as the API has heard."""
        view = self._served.view
        return {noun.name: list(view.docs(noun.kind)) for noun in NOUNS.values() if noun.viewed}

    def ask(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """``path`` is percent-encoded, as it stands in a request."""
        said = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), *said],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            told.append(message)

        self._loop.run_until_complete(self._app(scope, receive, send))
        self._served.advance(self._served.now + BEAT_SECONDS)
        found: dict[str, list[str]] = {}
        for name, value in told[0]["headers"]:
            found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return Answer(told[0]["status"], found, b"".join(each.get("body", b"") for each in told[1:]))


class _Host:
    """Whoever asks is root: what others may is tested elsewhere."""

    gate: Gate = Open()
    epoch = "asked"

    def __init__(self, served: Served) -> None:
        self._served = served
        self.world = _Here(served)

    @property
    def name(self) -> str:
        return self._served.host

    @property
    def desk(self) -> Asked:
        return self._served

    @property
    def view(self) -> View:
        return self._served.view

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Here:
    apart = False

    def __init__(self, served: Served) -> None:
        self._served = served

    async def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        served = self._served
        ends = served.now + ANSWER_SECONDS
        answer: list[Any] = []
        error: list[Exception] = []

        async def told() -> None:
            try:
                answer.append(await make())
            except Exception as raised:
                error.append(raised)

        served.runtime().spawn(told(), name="request")
        served.advance(served.now)
        while not answer and not error:
            if served.broken or served.peek() > ends:
                raise AssertionError(served.broken or "a request is not answered")
            served.advance(served.peek())
        if error:
            raise error[0]
        return answer[0]
