"""What only a simulated cluster can be asked: what its clock does, and what befalls it. A real one says that it is real."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path

from ave.api.problems import FieldError, Invalid, OnlySimulated
from ave.api.routes import ROOT
from ave.api.wording import converted
from drivers.rest import body

SPEED_MOST = 1e6
STEP_MOST = 86_400.0  # simulated seconds at once
ID_MOST = 64

_ANY: dict[str, Any] = {"type": "object"}
Speed: TypeAlias = float | Literal["max"]
When: TypeAlias = float | Literal["live"]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """``now`` and ``step`` (what is left of one) are simulated seconds, ``speed`` such per real one: what was asked for, and
    ``pace`` what it was of late. ``lost``: simulated seconds that it did not keep up with and gave up."""

    now: float
    speed: Speed
    paused: bool
    step: float
    pace: float
    lost: float
    host: str  # whose API answers
    broken: str = ""  # why the world stands still for ever
    begin: float = 0.0  # from when on one can see it
    end: float = 0.0  # and up to when
    past: bool = False  # it is shown as it was then; what there is stands at ``end``
    marks: int = 0  # on its line of time
    damage: str = ""  # why a recording ends before it ended

    @property
    def goes(self) -> tuple[Any, ...]:
        """All but what changes as time goes by."""
        return self.speed, self.paused, self.step > 0, self.host, self.broken, self.past, self.marks, self.damage


class SetClock(msgspec.Struct, frozen=True, kw_only=True):
    """What is absent stays as it is. A speed of 0 pauses; ``step`` pauses too, once it has gone so far. ``at``: show that
    moment, and stand still there; "live": as far as it has come."""

    paused: bool | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET
    step: float | UnsetType = UNSET
    at: When | UnsetType = UNSET


class Mark(msgspec.Struct, frozen=True):
    """A moment to find again: a fault."""

    t: float
    text: str


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """``partial``: it may go on, or was interrupted."""

    begin: float
    end: float
    marks: tuple[Mark, ...]
    partial: bool = False
    damage: str = ""


class Simulation(Protocol):
    """What stands behind. Raises what ``ave.api.problems`` knows."""

    @property
    def extensions(self) -> tuple[str, ...]: ...

    def timeline(self) -> Timeline: ...

    def clock(self) -> Clock: ...

    async def set_clock(self, wish: SetClock) -> Clock:
        """Answers once a step has been gone."""
        ...

    def faults(self) -> Any: ...

    def begin_fault(self, said: Any) -> Any:
        """It has begun."""
        ...

    def end_fault(self, id: str) -> Any: ...


def paths(simulation: Simulation | None, safely: Callable[[Endpoint], Endpoint]) -> list[Path]:
    """Nobody is asked for a token here: a served simulation is reached from its own machine alone, and everybody is root."""

    def those(*methods: str, path: str, answer: Callable[[Simulation, Request], Awaitable[Response]]) -> Path:
        async def endpoint(request: Request) -> Response:
            if simulation is None:
                raise OnlySimulated("its time goes by itself, and so do its faults")
            return await answer(simulation, request)

        return Path(f"{ROOT}{path}", safely(endpoint), methods=list(methods))

    return [
        those("GET", "PUT", path="/clock", answer=_clock),
        those("GET", path="/timeline", answer=_timeline),
        those("GET", "POST", path="/faults", answer=_faults),
        those("DELETE", path="/faults/{id}", answer=_end),
    ]


async def _clock(simulation: Simulation, request: Request) -> Response:
    if request.method == "PUT":
        return body.json(await simulation.set_clock(_wish(await body.read(request))))
    return body.json(simulation.clock())


async def _faults(simulation: Simulation, request: Request) -> Response:
    if request.method == "POST":
        return body.json(simulation.begin_fault(await body.read(request)), 201)
    return body.json(simulation.faults())


async def _timeline(simulation: Simulation, request: Request) -> Response:
    return body.json(simulation.timeline())


async def _end(simulation: Simulation, request: Request) -> Response:
    return body.json(simulation.end_fault(request.path_params["id"][:ID_MOST]))


def described() -> tuple[dict[str, Any], dict[str, Any]]:
    """Paths and schemas for the OpenAPI file of a served simulation."""
    (clock, wish, timeline), schemas = msgspec.json.schema_components(
        [Clock, SetClock, Timeline], ref_template="#/components/schemas/{name}"
    )

    def said(phrase: str, status: str = "200", answer: Any = None, wanted: Any = None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "summary": phrase,
            "tags": ["simulation"],
            "responses": {
                status: {"description": phrase, "content": {"application/json": {"schema": answer or _ANY}}},
                "default": {"$ref": "#/components/responses/problem"},
            },
        }
        return made | ({"requestBody": {"content": {"application/json": {"schema": wanted}}}} if wanted else {})

    fault = {**_ANY, "properties": {"fault": {"type": "string"}}, "required": ["fault"]}
    id = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        f"{ROOT}/clock": {
            "get": said("what time it is in the simulation", answer=clock),
            "put": said("let its time stand still, go on, faster, or so far", answer=clock, wanted=wish),
        },
        f"{ROOT}/timeline": {"get": said("from when to when it can be seen, and what befell it", answer=timeline)},
        f"{ROOT}/faults": {
            "get": said("what can befall the simulated cluster, and which of it is under way"),
            "post": said("begin a fault, as a scenario would say it", "201", wanted=fault),
        },
        f"{ROOT}/faults/{{id}}": {"delete": {**said("end a fault that lasts"), "parameters": [id]}},
    }, schemas


def _wish(said: Any) -> SetClock:
    wish = converted(said, SetClock)
    for name, value, most in (("speed", wish.speed, SPEED_MOST), ("step", wish.step, STEP_MOST)):
        if isinstance(value, int | float) and not 0 <= value <= most:
            what = f"from 0 to {most:g}" + (", or max" if name == "speed" else "")
            raise Invalid(f"{name}: {what}", (FieldError(f"/{name}", what),))
    return wish
