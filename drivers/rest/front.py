"""From HTTP to the desk and back: one way for every route of the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from itertools import count
from math import ceil
from secrets import token_hex
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ave.api.desk import Answer, Manner
from ave.api.nouns import NOUNS, plain
from ave.api.problems import Denied, FieldError, Invalid, NotFound, problem, retry_after
from ave.api.questions import Page, Question
from ave.api.rates import Rates
from ave.api.routes import ROOT, Route
from ave.api.wording import request as worded
from ave.errors import AveError
from ave.model.access import NOBODY, Caller, Permission
from ave.model.work import ENDED, OnConflict
from drivers.rest import body
from drivers.rest.host import Host
from drivers.rest.simulated import Clock
from drivers.rest.stream import Streams, events
from drivers.rest.whence import address_of, has_two_lengths, is_here, require_local_name, require_own_page

KEY_MOST = 200
LINE_MOST = 200  # characters of a request id
RETRY_SECONDS = "1"
MANNERS = ("dry_run", "on_conflict")
#: With every answer: it is kept nowhere, is what it says it is, and stands in no page.
EVERY = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


class Front:
    """From HTTP to the desk and back."""

    def __init__(
        self,
        host: Host,
        bug: Callable[[BaseException], None],
        clock: Callable[[], Clock] | None = None,
        rates: Rates | None = None,
    ) -> None:
        self._host, self._bug, self._clock, self._rates = host, bug, clock, rates
        self._streams = Streams()
        self._name, self._count = token_hex(8), count(1)

    def safely(self, endpoint: Endpoint) -> Endpoint:
        """For what is of no catalogue."""

        async def answer(request: Request) -> Response:
            id = self._id_of(request)
            return await self._guarded(endpoint(request), request, id)

        return answer

    def locally(self, endpoint: Endpoint) -> Endpoint:
        """For what takes no token: a page elsewhere may not ask it."""

        async def answer(request: Request) -> Response:
            require_own_page(request.headers)
            require_local_name(request.headers)
            return await endpoint(request)

        return self.safely(answer)

    async def answer(self, request: Request, by_method: Mapping[str, Route], name: str) -> Response:
        """``name``: of the one thing that the path is about."""
        id = self._id_of(request)
        return await self._guarded(self._ask(request, by_method, name, id), request, id)

    async def _guarded(self, answering: Awaitable[Response], request: Request, id: str) -> Response:
        try:
            response = await answering
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            response = self._failed(request, error, id)
        response.raw_headers += [(b"x-request-id", id.encode("latin-1", "replace")), *EVERY]
        return response

    async def _ask(self, request: Request, by_method: Mapping[str, Route], name: str, id: str) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        route = by_method.get(method)
        if route is None:
            raise _no_such_method(request, ", ".join(by_method))
        host, headers = self._host, request.headers
        caller = await self._caller(request, anybody=isinstance(route.entry, Question) and route.entry.anybody)
        query: dict[str, list[str]] = {}
        if request.scope["query_string"]:
            for key, value in request.query_params.multi_items():
                query.setdefault(key, []).append(value)
        revision = self._revision(seen) if (seen := headers.get("x-ave-revision")) else 0
        one = name or (NOUNS[route.entry.noun].only if route.one else "")
        if route.job:
            manner = manner_of(headers, query, one, revision, id)
        else:
            manner = Manner(one=one, revision=revision, request_id=id)
        fields = query.pop("fields", [""])[-1] if query else ""
        for key in MANNERS if query else ():
            query.pop(key, None)
        said = None if method == "GET" else await body.read(request)
        asked = worded(route, name, query, said)
        call = host.world.call(lambda: host.desk.ask(caller, route.entry.name, asked, manner))
        answer: Answer = await (while_there(request, call) if host.world.apart else call)
        return self._answer(request, answer, fields)

    async def events(self, request: Request) -> Response:
        caller = await self._caller(request)
        answer = events(request, self._host, caller, self._clock)
        return self._streams.one(answer, caller.token or address_of(request.scope))

    async def series(self, request: Request) -> Response:
        """Figures over time, of the whole cluster: for who may see all of it."""
        caller = await self._caller(request)
        if not caller.may(Permission.VIEW):
            raise Denied(f"{caller.user} has no role that may see the whole cluster")
        self._host.view.require_fed()
        return body.json(self._host.view.history.columns())

    async def _caller(self, request: Request, *, anybody: bool = False) -> Caller:
        """Who asks. ``anybody``: he need not say so. Raises Unauthenticated, TooMany, Foreign."""
        headers = request.headers
        if has_two_lengths(headers):
            raise body.Said(400, "invalid", "Content-Length or Transfer-Encoding, one of them", body.CLOSE)
        require_own_page(headers)
        address = address_of(request.scope)
        if self._rates is not None and not is_here(address):
            self._rates.require_address(address)
        if anybody:
            return msgspec.structs.replace(NOBODY, address=address)
        kind, _, token = headers.get("authorization", "").partition(" ")
        gate = self._host.gate
        caller: Caller = await self._host.world.call(
            lambda: gate.caller(token.strip() if kind.lower() == "bearer" else "")
        )
        if not caller.token:
            require_local_name(headers)
        elif self._rates is not None:
            self._rates.require_token(caller.token)
        return caller

    def _id_of(self, request: Request) -> str:
        """As its sender calls it, if that can stand in a log."""
        said = request.headers.get("x-request-id", "")[:LINE_MOST]
        return said if said and said.isprintable() else f"{self._name}-{next(self._count):x}"

    def _revision(self, said: str) -> int:
        epoch, _, revision = said.rpartition(":")
        return int(revision) if epoch == self._host.epoch and revision.isdecimal() and len(revision) < 19 else 0

    def _answer(self, request: Request, answer: Answer, fields: str) -> Response:
        view = self._host.view
        headers = {"X-Ave-Revision": f"{self._host.epoch}:{answer.revision}", "X-Ave-Time": f"{view.now():.3f}"}
        value, status = answer.value, 200
        if isinstance(value, Page):
            items = [_only(plain(answer.noun, doc), fields) for doc in value.items]
            return body.json(
                {"items": items, "next_page_token": value.next_page_token, "total": value.total}, 200, headers
            )
        if not isinstance(value, answer.noun.type):
            return body.json(value, 200, headers)
        if answer.job:
            headers["Location"] = f"{ROOT}/jobs/{value.id}"
            if value.state not in ENDED:
                status, headers["Retry-After"] = 202, RETRY_SECONDS
        headers["ETag"] = f'"{value.version}"'
        if request.method == "GET" and request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        if not fields and not answer.noun.hidden:
            return body.json(value, status, headers)
        return body.json(_only(plain(answer.noun, value), fields), status, headers)

    def _failed(self, request: Request, error: Exception, id: str) -> Response:
        if isinstance(error, body.Said):
            return body.problem(
                {
                    "type": f"urn:ave:problem:{error.code}",
                    "title": error.code.replace("-", " "),
                    "status": error.status,
                    "detail": error.detail,
                    "code": error.code,
                    "request_id": id,
                },
                error.status,
                error.headers,
            )
        told = problem(error, instance=request.url.path, request_id=id)
        if not isinstance(error, AveError | TimeoutError):
            self._bug(error)
        headers = {"Retry-After": str(ceil(after))} if (after := retry_after(error)) else {}
        if told.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return body.problem(told, told.status, headers)

    async def not_ours(self, request: Request, error: Exception) -> Response:
        """No route, another method, or a bug in what is before an endpoint."""
        if isinstance(error, HTTPException) and error.status_code == 405:
            error = _no_such_method(request, (error.headers or {}).get("Allow", ""))
        if isinstance(error, HTTPException) and error.status_code == 404:
            error = NotFound(f"there is no {request.url.path[:LINE_MOST]}: see /openapi.json")
        return await self._guarded(_raised(error), request, self._id_of(request))


async def while_there(request: Request, answering: Coroutine[Any, Any, T]) -> T:
    """What it answers; once nobody waits for that any more it is cancelled, and ClientDisconnect raised."""
    answer, gone = asyncio.ensure_future(answering), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _raised(error: Exception) -> Response:
    raise error


def _no_such_method(request: Request, allowed: str) -> body.Said:
    return body.Said(405, "no-such-method", f"{request.url.path[:LINE_MOST]} takes {allowed}", {"Allow": allowed})


def manner_of(
    headers: Mapping[str, str], query: Mapping[str, list[str]], one: str, revision: int, request_id: str
) -> Manner:
    """How a change is asked for. Raises Invalid."""
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
        dry_run=_flag("dry_run", query.get("dry_run", ["false"])[-1]),
        wait=_wait(headers.get("prefer", "")),
        revision=revision,
        one=one,
        request_id=request_id,
    )


def _flag(name: str, said: str) -> bool:
    """What cannot be understood is refused: a dry run that is misspelt must not be done."""
    word = said.lower()
    if word not in ("true", "false", "1", "0", ""):
        raise Invalid(f"{name}: true or false", (FieldError(f"?{name}", "true or false"),))
    return word in ("true", "1", "")


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
