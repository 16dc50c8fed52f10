"""Routes, derived from the catalogue by the verb. Pure: nothing of HTTP but its words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from ave.api.nouns import NOUNS, Noun
from ave.api.questions import QUESTIONS, Question
from ave.operations import OPERATIONS, Operation

Entry = Operation | Question

ROOT = "/v1"
_METHODS = {"list": "GET", "show": "GET", "edit": "PATCH", "delete": "DELETE", "cancel": "DELETE"}
_SEVERAL_AS_THEY_ARE = ("list", "create")
_READS = ("log",)  # by a verb, and yet no change


T = TypeVar("T")


def remembered(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """What it says of a type is asked with every request, and always the same."""
    known: dict[type[Any], T] = {}

    def answer(type: type[Any]) -> T:
        if type not in known:
            known[type] = function(type)
        return known[type]

    return answer


class Paths(msgspec.Struct, frozen=True):
    """Routes by what stands in a path: found at once, however many there are."""

    by_shape: dict[tuple[str, bool, str], dict[str, Route]]  # plural, with a name, verb -> method -> route

    def find(self, path: str) -> tuple[Mapping[str, Route], str] | None:
        """The routes of that path by method, and the name in it. A name may have a colon: what follows the last one is a verb
        only if the noun has such a verb."""
        if not path.startswith(f"{ROOT}/"):
            return None
        plural, slash, id = path[len(ROOT) + 1 :].partition("/")
        if slash:
            if not id or "/" in id:
                return None
            name, _, verb = id.rpartition(":")
            if name and (found := self.by_shape.get((plural, True, verb))) is not None:
                return found, name
            found = self.by_shape.get((plural, True, ""))
            return None if found is None else (found, id)
        plural, _, verb = plural.partition(":")
        found = self.by_shape.get((plural, False, verb))
        return None if found is None else (found, "")


def paths(known: Iterable[Route]) -> Paths:
    shapes: dict[tuple[str, bool, str], dict[str, Route]] = {}
    for route in known:
        where, _, verb = route.path.partition(":")
        plural, slash, _ = where[len(ROOT) + 1 :].partition("/")
        shapes.setdefault((plural, bool(slash), verb), {})[route.method] = route
    return Paths(shapes)


class Route(msgspec.Struct, frozen=True):
    """``one``: the path names one thing, and the body says the rest about it."""

    method: str
    path: str
    entry: Entry
    one: bool

    @property
    def job(self) -> bool:
        return isinstance(self.entry, Operation)


def catalogue() -> Mapping[str, Entry]:
    """All that users can ask for, by name."""
    asked = {name: operation for name, operation in OPERATIONS.items() if operation.by_user}
    return {**asked, **QUESTIONS}


def routes(entries: Iterable[Entry]) -> tuple[Route, ...]:
    return tuple(route for entry in entries for route in _routes(entry))


def _routes(entry: Entry) -> Iterable[Route]:
    noun, verb = NOUNS[entry.noun], entry.verb
    path = f"{ROOT}/{noun.plural}"
    if noun.only:
        yield Route(_METHODS[verb], path, entry, True)
        return
    if verb in _SEVERAL_AS_THEY_ARE:
        yield Route(_METHODS.get(verb, "POST"), path, entry, False)
        return
    if isinstance(entry, Question) and not _names_one(noun, entry.request):
        yield Route("POST", f"{path}:{verb}", entry, False)
        return
    one = f"{path}/{{id}}"
    if verb in _METHODS:
        yield Route(_METHODS[verb], one, entry, True)
    else:
        yield Route("GET" if verb in _READS else "POST", f"{one}:{verb}", entry, True)
    if isinstance(entry, Operation) and several(entry.request) is not None:
        yield Route("POST", f"{path}:batch-{verb}", entry, False)
    if isinstance(entry, Question) and entry.of_none:
        yield Route("POST", f"{path}:{verb}", entry, False)


def _names_one(noun: Noun, request: type[Any]) -> bool:
    return any(field.name in ("id", noun.name) for field in msgspec.structs.fields(request))


@remembered
def several(request: type[Any]) -> tuple[str, Any] | None:
    """The field of a request that has one entry for each thing, and what an entry is: a name, or more of it."""
    for field in msgspec.structs.fields(request):
        arguments = get_args(field.type)
        if field.required and get_origin(field.type) is tuple and arguments[1:] == (...,):
            return field.name, arguments[0]
        if field.required and get_origin(field.type) is dict:
            return field.name, dict
    return None


@remembered
def field_names(request: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(request))


def about_one(noun: Noun, request: type[Any], id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request about the thing of that name."""
    field = several(request)
    if field is None:
        return {**body, **dict.fromkeys(field_names(request) & {noun.name, "id"}, id)}
    name, entry = field
    if entry is dict:  # the only field of its kind: sizes_gib of several is size_gib of one
        singular = name.replace("sizes", "size")
        return {**{key: value for key, value in body.items() if key != singular}, name: {id: body.get(singular)}}
    if entry is str:
        return {**body, name: (id,)}
    rest = field_names(request) - {name}
    own = {key: value for key, value in body.items() if key not in rest}
    return {**{key: value for key, value in body.items() if key in rest}, name: ({**own, "id": id},)}
