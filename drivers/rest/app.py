"""The application: one endpoint for every route of the catalogue, and the few that are not of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from secrets import token_hex
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path

from ave import __version__
from ave.api.desk import Answer, Desk, Manner
from ave.api.gate import Gate
from ave.api.nouns import NOUNS, plain
from ave.api.openapi import openapi
from ave.api.problems import FieldError, Invalid, NotFound, problem, retry_after
from ave.api.questions import Page
from ave.api.routes import ROOT, Route, catalogue, routes
from ave.api.view import View
from ave.api.wording import request as worded
from ave.errors import AveError
from ave.model.access import Caller
from ave.model.work import ENDED, OnConflict
from drivers.rest.stream import events

BODY_MOST = 8 << 20
KEY_MOST = 200
LINE_MOST = 200  # characters of a request id
RETRY_SECONDS = "1"
MANNERS = ("dry_run", "on_conflict", "fields")
_encode = msgspec.json.Encoder(order="deterministic").encode


class World(Protocol):
    """Where the desk's coroutines run: here, or in a simulated world that is served."""

    async def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any: ...


class Here:
    async def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return await make()


class Host:
    """What of a host the application needs. ``epoch`` tells its revisions from those of any other cluster or world."""

    def __init__(self, name: str, desk: Desk, view: View, gate: Gate, world: World, epoch: str) -> None:
        self.name, self.desk, self.view, self.gate, self.world, self.epoch = name, desk, view, gate, world, epoch


class Said(Exception):
    """An answer that HTTP itself asks for."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, code, detail)
        self.status, self.code, self.detail = status, code, detail


Endpoint = Callable[[Request], Awaitable[Response]]


def application(host: Host, *, bug: Callable[[BaseException], None], extensions: tuple[str, ...] = ()) -> Starlette:
    """``bug`` is told of every error that nobody foresaw. ``extensions``: what this one can beyond the rest."""
    front = Front(host, bug)
    known = routes(catalogue().values())
    document = _encode(openapi(known, __version__))
    version = {"version": __version__, "host": host.name, "api_extensions": list(extensions)}

    async def describe(request: Request) -> Response:
        return Response(document, media_type="application/json")

    async def say_version(request: Request) -> Response:
        return JSONResponse(version)

    async def healthz(request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz(request: Request) -> Response:
        return Response(
            "ok\n" if host.view.fed else "no store\n", 200 if host.view.fed else 503, media_type="text/plain"
        )

    paths = [
        Path("/healthz", healthz),
        Path("/readyz", readyz),
        Path("/openapi.json", describe),
        Path(f"{ROOT}/version", say_version),
        Path(f"{ROOT}/events", front.safely(front.events), methods=["GET"]),
        *(Path(each.path, front.safely(front.of(each)), methods=[each.method]) for each in _specific_first(known)),
    ]
    handlers: Mapping[Any, Any] = {HTTPException: front.not_ours, 500: front.not_ours}
    return Starlette(routes=paths, exception_handlers=dict(handlers))


def _specific_first(known: tuple[Route, ...]) -> list[Route]:
    """``/v1/vms/{id}:start`` before ``/v1/vms/{id}``, which would take all of it for a name."""
    return sorted(known, key=lambda route: (":" not in route.path, "{" in route.path))


class Front:
    """From HTTP to the desk and back."""

    def __init__(self, host: Host, bug: Callable[[BaseException], None]) -> None:
        self._host, self._bug = host, bug

    def safely(self, endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            id = request.headers.get("x-request-id", "")[:LINE_MOST] or token_hex(16)
            request.state.id = id if id.isprintable() else token_hex(16)
            try:
                response = await endpoint(request)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:
                response = self._failed(request, error)
            response.headers["X-Request-Id"] = request.state.id
            response.headers["Cache-Control"] = "no-store"
            return response

        return answer

    def of(self, route: Route) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            caller = await self._caller(request)
            query: dict[str, list[str]] = {}
            for name, value in request.query_params.multi_items():
                query.setdefault(name, []).append(value)
            fields = query.get("fields", [""])[-1]
            id = request.path_params.get("id", "")
            manner = self._manner(request, route, id, query)
            body = None if request.method == "GET" else await _body(request)
            asked = worded(route, id, {name: query[name] for name in query if name not in MANNERS}, body)
            desk, name = self._host.desk, route.entry.name
            answer: Answer = await self._host.world.call(lambda: desk.ask(caller, name, asked, manner))
            return self._answer(request, answer, fields)

        return endpoint

    async def events(self, request: Request) -> Response:
        caller = await self._caller(request)
        return events(request, self._host.view, caller, self._host.epoch)

    async def _caller(self, request: Request) -> Caller:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        gate = self._host.gate
        return await self._host.world.call(lambda: gate.caller(token.strip() if kind.lower() == "bearer" else ""))  # type: ignore[no-any-return]

    def _manner(self, request: Request, route: Route, id: str, query: Mapping[str, list[str]]) -> Manner:
        headers = request.headers
        key = headers.get("idempotency-key", "")
        if len(key) > KEY_MOST or not key.isprintable():
            raise Invalid(f"Idempotency-Key: at most {KEY_MOST} printable characters")
        conflict = query.get("on_conflict", [OnConflict.QUEUE])[-1]
        if conflict not in tuple(OnConflict):
            what = f"one of {', '.join(OnConflict)}"
            raise Invalid(f"on_conflict: {what}", (FieldError("?on_conflict", what),))
        return Manner(
            key=key,
            on_conflict=OnConflict(conflict),
            version=_version(headers.get("if-match", "")),
            dry_run=query.get("dry_run", ["false"])[-1].lower() in ("true", "1", ""),
            wait=_wait(headers.get("prefer", "")),
            revision=self._revision(headers.get("x-ave-revision", "")),
            one=id or (NOUNS[route.entry.noun].only if route.one else ""),
        )

    def _revision(self, said: str) -> int:
        epoch, _, revision = said.rpartition(":")
        return int(revision) if epoch == self._host.epoch and revision.isdecimal() and len(revision) < 19 else 0

    def _answer(self, request: Request, answer: Answer, fields: str) -> Response:
        headers = {"X-Ave-Revision": f"{self._host.epoch}:{answer.revision}"}
        value, status = answer.value, 200
        if isinstance(value, Page):
            items = [_only(plain(answer.noun, doc), fields) for doc in value.items]
            return _json({"items": items, "next_page_token": value.next_page_token, "total": value.total}, 200, headers)
        if not isinstance(value, answer.noun.type):
            return _json(value, 200, headers)
        if answer.job:
            headers["Location"] = f"{ROOT}/jobs/{value.id}"
            if value.state not in ENDED:
                status, headers["Retry-After"] = 202, RETRY_SECONDS
        headers["ETag"] = f'"{value.version}"'
        if request.method == "GET" and request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return _json(_only(plain(answer.noun, value), fields), status, headers)

    def _failed(self, request: Request, error: Exception) -> Response:
        if isinstance(error, Said):
            return _problem(
                {
                    "type": f"urn:ave:problem:{error.code}",
                    "title": error.code.replace("-", " "),
                    "status": error.status,
                    "detail": error.detail,
                    "code": error.code,
                    "request_id": request.state.id,
                },
                error.status,
            )
        told = problem(error, instance=request.url.path, request_id=request.state.id)
        if not isinstance(error, AveError | TimeoutError):
            self._bug(error)
        headers = {"Retry-After": f"{after:.0f}"} if (after := retry_after(error)) else {}
        if told.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return _problem(told, told.status, headers)

    async def not_ours(self, request: Request, error: Exception) -> Response:
        """No route, another method, or a bug in what is before an endpoint."""
        request.state.id = getattr(request.state, "id", token_hex(16))
        if isinstance(error, HTTPException) and error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            response = self._failed(request, Said(405, "no-such-method", f"{request.url.path} takes {allowed}"))
            response.headers["Allow"] = allowed
            return response
        if isinstance(error, HTTPException) and error.status_code == 404:
            return self._failed(request, NotFound(f"there is no {request.url.path[:LINE_MOST]}: see /openapi.json"))
        return self._failed(request, error)


async def _body(request: Request) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_MOST:
            raise Said(413, "too-large", f"a body may have {BODY_MOST >> 20} MiB")
        parts.append(part)
    text = b"".join(parts)
    if not text:
        return None
    if kind != "application/json":
        raise Said(415, "not-json", "send application/json")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the body is no JSON: {error}") from None


def _version(said: str) -> int | None:
    if said in ("", "*"):
        return None
    text = said.removeprefix("W/").strip('"')
    return int(text) if text.isdecimal() and len(text) < 19 else -1


def _wait(prefer: str) -> float:
    for wish in prefer.split(","):
        name, _, value = wish.strip().partition("=")
        if name.lower() == "wait" and value.isdecimal():
            return float(value[:6])
    return 0.0


def _only(doc: dict[str, Any], fields: str) -> dict[str, Any]:
    if not fields:
        return doc
    wanted = dict.fromkeys(name.strip() for name in fields.split(","))
    unknown = [name for name in wanted if name not in doc]
    if unknown:
        raise Invalid(f"fields: unknown are {', '.join(unknown)[:LINE_MOST]}", (FieldError("?fields", "unknown"),))
    return {name: doc[name] for name in wanted}


def _json(value: Any, status: int, headers: Mapping[str, str]) -> Response:
    return Response(_encode(value), status, headers, media_type="application/json")


def _problem(value: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(value), status, headers, media_type="application/problem+json")
