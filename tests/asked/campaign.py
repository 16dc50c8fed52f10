"""Whatever the OpenAPI document lets one ask, and what it does not: drawn by schemathesis, asked of a simulated cluster.

No answer is a server's error, none is other than the document says, and nothing that it forbids is taken.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from ave.api.openapi import openapi
from ave.api.routes import catalogue, routes
from tests.asked.mixed import Mixer, Request
from tests.asked.world import Answer, World

STEPS = 20  # requests of a chain, at most
NO_STREAM = r"^/(?!v1/events$)"  # it does not end
WORLD_REQUESTS = 1500  # then it has a history that makes lists long, and another one begins
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
_MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
_SENT = ("method", "url", "headers", "params", "data", "json", "cookies")


NOBODYS = Request("", "", "", {}, b"")


class Wrong(NamedTuple):
    what: str
    request: Request


class Campaign:
    """``wrong``: by operation and kind of failure the first of its kind. ``seen``: by operation and status."""

    def __init__(self, *, seed: int, again: int, only: str = "") -> None:
        """``again``: how often parts of a request that was drawn are put together anew. ``only``: paths, as a pattern."""
        document = json.loads(json.dumps(openapi(routes(catalogue().values()), "1")))
        del document["security"]  # whoever asks here is root
        every = schemathesis.openapi.from_dict(document)
        self._schema = every.include(path_regex=only or NO_STREAM)
        self._again = again
        self._mixer = Mixer(seed)
        self._seed = seed
        self._world = World(seed)
        self._in_world = 0
        self.requests = 0
        self.seen: Counter[tuple[str, int]] = Counter()
        self.wrong: dict[tuple[str, str], Wrong] = {}

    def close(self) -> None:
        self._look()
        self._world.close()

    def report(self) -> str:
        return "\n\n".join(
            f"{label}, {kind}\n{wrong.what}\n{wrong.request}" for (label, kind), wrong in self.wrong.items()
        )

    def one_by_one(self, examples: int) -> None:
        """So many of each operation and mode, if there are so many."""
        for found in self._schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            for mode in _MODES:

                @_settings(examples)
                @hypothesis.given(operation.as_strategy(generation_mode=mode))
                def ask(case: Any) -> None:
                    self._validate(case, self._call(case), negative=True)

                try:
                    ask()
                except Unsatisfiable:
                    pass  # nothing of it can be wrong

    def in_chains(self, examples: int) -> None:
        """What one answer says is asked for next. Each chain in a world of its own: whoever draws it may do it again, and must
        then be answered the same."""
        campaign = self

        class Chain(self._schema.as_state_machine()):  # type: ignore[misc]
            def setup(self) -> None:
                campaign._begin()

            def call(self, case: Any, **_: Any) -> schemathesis.Response:
                return campaign._drawn(case)

            def validate_response(self, response: schemathesis.Response, case: Any, **_: Any) -> None:
                campaign._validate(case, response, negative=True)

        Chain.run(settings=_settings(examples))

    def _call(self, case: Any) -> schemathesis.Response:
        answer = self._drawn(case)
        request = _plain(answer.request)
        for _ in range(self._again):
            mixed = self._mixer.mix(case.operation.path, request, self._world.things())
            self._validate(case, _response(self._ask(case, mixed), answer.request), request=mixed)
        if self._in_world >= WORLD_REQUESTS:
            self._seed += 1
            self._begin()
        return answer

    def _drawn(self, case: Any) -> schemathesis.Response:
        told = case.as_transport_kwargs(base_url="http://h1")
        sent = requests.Request(**{key: value for key, value in told.items() if key in _SENT}).prepare()
        request = _plain(sent)
        self._mixer.learn(case.operation.path, request)
        return _response(self._ask(case, request), sent)

    def _begin(self) -> None:
        """Another world."""
        self._look()
        self._world.close()
        self._world, self._in_world = World(self._seed), 0

    def _ask(self, case: Any, request: Request) -> Answer:
        answer = self._world.ask(*request)
        self._in_world += 1
        self.requests += 1
        self.seen[case.operation.label, answer.status] += 1
        return answer

    def _validate(
        self, case: Any, response: schemathesis.Response, *, negative: bool = False, request: Request | None = None
    ) -> None:
        more = [checks.negative_data_rejection] if negative else []
        try:
            case.validate_response(response, checks=CHECKS + more)
        except BaseExceptionGroup as group:
            asked = request or _plain(response.request)
            for failure in group.exceptions:
                self.wrong.setdefault((case.operation.label, type(failure).__name__), Wrong(str(failure), asked))

    def _look(self) -> None:
        for bug in self._world.bugs:
            self.wrong.setdefault(("a bug", type(bug).__name__), Wrong(repr(bug), NOBODYS))
        if self._world.broken:
            self.wrong.setdefault(("the world", "broken"), Wrong(self._world.broken, NOBODYS))


def _settings(examples: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def _response(answer: Answer, sent: requests.PreparedRequest) -> schemathesis.Response:
    return schemathesis.Response(answer.status, answer.headers, answer.body, sent, 0.0, False)


def _plain(sent: requests.PreparedRequest) -> Request:
    where = urlsplit(_text(sent.url or ""))
    body = sent.body or b""
    assert isinstance(body, str | bytes)
    headers = {name: _text(value) for name, value in sent.headers.items()}
    return Request(
        sent.method or "GET", where.path, where.query, headers, body.encode() if isinstance(body, str) else body
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
