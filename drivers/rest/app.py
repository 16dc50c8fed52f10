"""The application: one endpoint for every route of the catalogue, and the few that are not of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from ave import __version__
from ave.api.openapi import openapi
from ave.api.rates import Rates
from ave.api.routes import ROOT, Route, catalogue, paths, routes
from drivers.rest import metrics, simulated
from drivers.rest.front import Front
from drivers.rest.host import Host
from drivers.rest.incoming import Incoming

_encode = msgspec.json.Encoder().encode


def application(
    host: Host,
    *,
    bug: Callable[[BaseException], None],
    simulation: simulated.Simulation | None = None,
    rates: Rates | None = None,
) -> ASGIApp:
    """``bug`` is told of every error that nobody foresaw. ``simulation``: what can be asked of this one beyond the rest.
    ``rates``: how much one may ask; None: as much as one likes."""
    front = Front(host, bug, None if simulation is None else simulation.clock, rates)
    known = routes(catalogue().values())
    document = cache(lambda: _encode(_document(known, of_simulation=simulation is not None)))
    extensions = () if simulation is None else simulation.extensions

    async def describe(request: Request) -> Response:
        return Response(document(), media_type="application/json")

    async def say_version(request: Request) -> Response:
        return JSONResponse({"version": __version__, "host": host.name, "api_extensions": list(extensions)})

    async def healthz(request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    figures = metrics.registry(lambda: host.view)

    async def say_figures(request: Request) -> Response:
        return Response(metrics.text(figures), media_type=metrics.MEDIA_TYPE)

    async def readyz(request: Request) -> Response:
        return Response(
            "ok\n" if host.view.fed else "no store\n", 200 if host.view.fed else 503, media_type="text/plain"
        )

    others = [
        Path("/healthz", healthz),
        Path("/readyz", readyz),
        Path("/metrics", say_figures),
        Path("/openapi.json", describe),
        Path(f"{ROOT}/version", say_version),
        Path(f"{ROOT}/events", front.safely(front.events), methods=["GET"]),
        Path(f"{ROOT}/series", front.safely(front.series), methods=["GET"]),
        *simulated.paths(simulation, front.safely if simulation is None else front.locally),
    ]
    handlers: Mapping[Any, Any] = {HTTPException: front.not_ours, 500: front.not_ours}
    return Shortcut(front, known, Starlette(routes=others, exception_handlers=dict(handlers)))


def _document(known: tuple[Route, ...], *, of_simulation: bool) -> dict[str, Any]:
    document = openapi(known, __version__)
    if of_simulation:
        more, schemas = simulated.described()
        document["paths"] |= more
        document["components"]["schemas"] |= schemas
    return document


class Shortcut:
    """To what is of the catalogue: a look into a table, where a router would try one pattern after the other."""

    def __init__(self, front: Front, known: Iterable[Route], otherwise: ASGIApp) -> None:
        self._front, self._paths, self._otherwise = front, paths(known), otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._paths.find(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._otherwise(scope, receive, send)
            return
        by_method, id = found
        response = await self._front.answer(Incoming(scope, receive), by_method, id)
        await response(scope, receive, send)
