"""Requests made from the catalogue: for every route one that can be asked. An operation more is tried with no line here."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from ave.api.nouns import NOUNS
from ave.api.questions import Select
from ave.api.routes import Route, catalogue, routes, several
from ave.kinds import KINDS
from ave.model.access import Grant, Role, Token, User
from ave.model.alarm import Alarm
from ave.model.cluster import Role as Held
from ave.model.group import Group, Rule
from ave.model.host import Zone
from ave.model.network import Network
from ave.model.tenant import Tenant
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import LEAD, Work, WorkState
from ave.operations import NewVM
from tests.unit.api.lab import Lab

ROUTES = routes(catalogue().values())
TENANT = "acme"

#: One of each noun, by its name. What has a tenant is acme's.
THINGS: dict[str, Any] = {
    "vm": VM(id="web-1", vcpus=1, memory_mib=1024, state=VMState.STOPPED, tenant=TENANT),
    "volume": Volume(id="data", size_gib=1, state=VolumeState.READY, tenant=TENANT),
    "network": Network(id="lan"),
    "group": Group(id="apart", rule=Rule.MUST_DIFFERENT_HOSTS, tenant=TENANT),
    "job": Work(
        id="job-1", job="job-1", function=LEAD, lane="h1", operation="vm.start", state=WorkState.WAITING, tenant=TENANT
    ),
    "zone": Zone(id="east"),
    "role": Held(id="scheduler", holder="h1", term=1),
    "tenant": Tenant(id=TENANT, vms=1000),
    "user": User(id="somebody", tenant=TENANT, grants=(Grant(Role.VIEWER),)),
    "token": Token(id="abcdef", user="somebody", digest="0" * 64),
    "alarm": Alarm(id="hot", what="it is hot"),
}
IDS = {**{noun: doc.id for noun, doc in THINGS.items()}, "host": "h1"}
_WORDS = {"user": "somebody", "path": "/", "tenant": TENANT}


class Asked(NamedTuple):
    method: str
    path: str
    body: Any
    names: str  # the thing that it is about, if it is about one that there is


def ask(route: Route, id: str | None = None) -> Asked:
    """About the thing of its noun, or the one of that name."""
    noun = NOUNS[route.entry.noun]
    named = "{id}" in route.path
    id = IDS.get(noun.name, "") if id is None else id
    path = route.path.replace("{id}", id)
    if route.method == "GET":
        return Asked("GET", path, None, id if named else "")
    if route.entry.verb == "explain-placement" and not route.one:
        return Asked(route.method, path, {"new": _value(NewVM, noun.name, id, new=True)}, "")
    body = _one(route, noun.name) if route.one else _value(route.entry.request, noun.name, id, new=_makes(route))
    return Asked(route.method, path, body or None, id if named or (not route.one and not _makes(route)) else "")


def _makes(route: Route) -> bool:
    return route.entry.verb == "create"


def _one(route: Route, noun: str) -> dict[str, Any]:
    """The body where the path has the name."""
    field = several(route.entry.request)
    if field is not None and field[1] is dict:
        return {field[0].replace("sizes", "size"): 7}
    body = _value(route.entry.request, noun, "", new=False)
    inner = body.pop(field[0], [{}])[0] if field is not None else {}
    return {
        key: value
        for key, value in {**body, **(inner if isinstance(inner, dict) else {})}.items()
        if key not in ("id", noun)
    }


def _value(kind: Any, noun: str, id: str, *, new: bool) -> Any:
    """The least that can be said of that type."""
    origin, inner = get_origin(kind), [each for each in get_args(kind) if each is not ...]
    if origin is tuple:
        return [_value(inner[0], noun, id, new=new)]
    if origin is dict:
        return {id: _value(inner[1], noun, id, new=new)}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        needed = [field for field in msgspec.structs.fields(kind) if field.required]
        return {field.encode_name: _field(field, noun, id, new=new) for field in needed}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    return {bool: True, int: 512, float: 1.0, str: id}[kind]


def _field(field: Any, noun: str, id: str, *, new: bool) -> Any:
    if field.name == "id" and new:
        return "brand-new"
    if field.type is str and field.name not in ("id", noun):
        return _WORDS.get(field.name, "long enough by far" if field.name.endswith("password") else "x")
    return _value(field.type, noun, id, new=new)


def lists(route: Route) -> bool:
    return route.entry.request is Select


async def furnish(lab: Lab) -> None:
    """All of these things are there, whatever was done to them."""
    for doc in THINGS.values():
        if await lab.store.get(type(doc), doc.id) is None:
            await lab.put(doc)


async def dump(lab: Lab, *without: str) -> dict[tuple[str, str], Any]:
    """Every document that there is."""
    found: dict[tuple[str, str], Any] = {}
    for kind in KINDS:
        if kind.name in without:
            continue
        if not any(index.by == () for index in kind.indexes):
            continue  # can only be found by what is known of it
        order = next((index.order for index in kind.indexes if index.by == ()), ())
        found |= {(kind.name, doc.id): doc for doc in await lab.store.find(kind.type, {}, order)}
    return found


def string_fields(route: Route) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Where in its body a text may stand, and what the field is called."""
    if route.method != "GET":
        yield from _places(route.entry.request, (), (str,))


def _places(kind: Any, at: tuple[Any, ...], wanted: tuple[type[Any], ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    origin, inner = get_origin(kind), [each for each in get_args(kind) if each is not ...]
    if origin is tuple:
        yield from _places(inner[0], (*at, 0), wanted)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield from _places(field.type, (*at, field.encode_name), wanted)
    elif origin is dict:
        yield from _places(inner[1], (*at, IDS["volume"]), wanted)
    elif inner:
        for each in inner:
            yield from _places(each, at, wanted)
    elif kind in wanted:
        yield at, next((step for step in reversed(at) if isinstance(step, str)), "")


def number_fields(route: Route) -> Iterator[tuple[tuple[Any, ...], str]]:
    """As ``string_fields``, of numbers."""
    if route.method != "GET":
        yield from _places(route.entry.request, (), (int, float))
