"""Routes, derived from the catalogue by the verb. Pure: nothing of HTTP but its words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin

import msgspec

from ave.api.nouns import NOUNS, Noun
from ave.api.questions import QUESTIONS, Question
from ave.operations import OPERATIONS, Operation

Entry = Operation | Question

ROOT = "/v1"
_METHODS = {"list": "GET", "show": "GET", "edit": "PATCH", "delete": "DELETE", "cancel": "DELETE"}
_SEVERAL_AS_THEY_ARE = ("list", "create")


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
    one = f"{path}/{{id}}"
    yield Route(_METHODS[verb], one, entry, True) if verb in _METHODS else Route("POST", f"{one}:{verb}", entry, True)
    if isinstance(entry, Operation) and several(entry.request) is not None:
        yield Route("POST", f"{path}:batch-{verb}", entry, False)
    if isinstance(entry, Question) and entry.of_none:
        yield Route("POST", f"{path}:{verb}", entry, False)


def several(request: type[Any]) -> tuple[str, Any] | None:
    """The field of a request that has one entry for each thing, and what an entry is: a name, or more of it."""
    for field in msgspec.structs.fields(request):
        arguments = get_args(field.type)
        if field.required and get_origin(field.type) is tuple and arguments[1:] == (...,):
            return field.name, arguments[0]
        if field.required and get_origin(field.type) is dict:
            return field.name, dict
    return None


def about_one(noun: Noun, request: type[Any], id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request about the thing of that name."""
    field = several(request)
    if field is None:
        names = {field.name for field in msgspec.structs.fields(request)} & {noun.name, "id"}
        return {**body, **dict.fromkeys(names, id)}
    name, entry = field
    if entry is dict:  # the only field of its kind: sizes_gib of several is size_gib of one
        singular = name.replace("sizes", "size")
        return {**{key: value for key, value in body.items() if key != singular}, name: {id: body.get(singular)}}
    if entry is str:
        return {**body, name: (id,)}
    rest = {field.name for field in msgspec.structs.fields(request)} - {name}
    own = {key: value for key, value in body.items() if key not in rest}
    return {**{key: value for key, value in body.items() if key in rest}, name: ({**own, "id": id},)}
