"""Plain data, as it comes in a body or a query, becomes a request of the catalogue; or it is said which field cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from ave.api.nouns import NOUNS
from ave.api.problems import FieldError, Invalid
from ave.api.questions import Select
from ave.api.routes import Route, about_one, field_names, remembered, several

T = TypeVar("T")
SHOWN_CHARACTERS = 200  # of what somebody sent
THINGS_MOST = 10_000  # that one request is about
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_SELECT = {"limit": int, "page_token": str, "sort": str, "q": str}


def request(route: Route, id: str, query: Mapping[str, Sequence[str]], body: Any) -> Any:
    """The request that this route is for. Raises Invalid."""
    if route.entry.request is Select:
        return selection(query)
    if body is None and not query and route.one and _named_alone(route.entry.request):
        noun = NOUNS[route.entry.noun]
        return route.entry.request(**about_one(noun, route.entry.request, id or noun.only, {}))
    fields = field_names(route.entry.request)
    said: dict[str, Any] = {}
    if body is not None:
        if not isinstance(body, dict):
            raise Invalid("the body must be an object", (FieldError("", "must be an object"),))
        said = dict(body)
    for name, values in query.items():
        if name not in fields:
            raise Invalid(f"unknown parameter {name[:SHOWN_CHARACTERS]}", (FieldError(f"?{name[:64]}", "unknown"),))
        said[name] = values[-1]
    many = several(route.entry.request)
    if many is not None and isinstance(things := said.get(many[0]), list | dict) and len(things) > THINGS_MOST:
        what = f"at most {THINGS_MOST:,} at once"
        raise Invalid(f"{many[0]}: {what}", (FieldError(f"/{many[0]}", what),))
    if route.one:
        if "id" in said:
            raise Invalid("id: it stands in the path", (FieldError("/id", "it stands in the path"),))
        noun = NOUNS[route.entry.noun]
        said = about_one(noun, route.entry.request, id or noun.only, said)
    return converted(said, route.entry.request, lax=bool(query))


def converted(said: Any, type: type[T], *, lax: bool = False) -> T:
    """Strictly: nothing that is unknown, no number as text (but in a query)."""
    try:
        found = msgspec.convert(said, type, strict=not lax)
    except msgspec.ValidationError as error:
        match = _PLACE.match(str(error))
        assert match is not None
        pointer = _pointer(match["path"] or "")
        what = match["what"][:SHOWN_CHARACTERS]
        raise Invalid(f"{pointer.lstrip('/') or 'the body'}: {what}", (FieldError(pointer, what),)) from None
    unknown = tuple(FieldError(pointer, "unknown field") for pointer in _unknown(said, _shape(type), ""))
    if unknown:
        raise Invalid("unknown field: " + ", ".join(each.pointer.lstrip("/") for each in unknown[:5]), unknown[:50])
    return found


@remembered
def _named_alone(type: type[Any]) -> bool:
    """Does the name of the thing say all that must be said? Then there is nothing that could be said wrongly."""
    field = several(type)
    if field is not None and field[1] is not str:
        return False
    known = {field[0]} if field is not None else {"id", *NOUNS}
    return all(each.name in known for each in msgspec.structs.fields(type) if each.required)


@remembered
def _shape(type: type[Any]) -> inspect.Type:
    return inspect.type_info(type)


def selection(query: Mapping[str, Sequence[str]]) -> Select:
    known: dict[str, Any] = {}
    where: dict[str, tuple[str, ...]] = {}
    for name, values in query.items():
        if name == "label":
            known[name] = tuple(values)
        elif name not in _SELECT:
            where[name] = tuple(values)
        else:
            try:
                known[name] = _SELECT[name](values[-1])
            except ValueError:
                raise Invalid(f"{name}: a whole number", (FieldError(f"?{name}", "a whole number"),)) from None
    return Select(where=where, **known)


@remembered
def _types_of(struct: type[Any]) -> dict[str, inspect.Type]:
    shape = inspect.type_info(struct)
    assert isinstance(shape, inspect.StructType)
    return {field.encode_name: field.type for field in shape.fields}


def _pointer(path: str) -> str:
    """``.vms[0].vcpus`` as RFC 6901 writes it."""
    steps = [name or number or "-" for name, number in _STEP.findall(path)]
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _unknown(said: Any, type: inspect.Type, at: str) -> Iterator[str]:
    """msgspec passes over what it does not know; who asks for it by mistake, or on purpose, shall hear of it."""
    if isinstance(type, inspect.UnionType):
        for each in type.types:
            if isinstance(each, inspect.StructType | inspect.CollectionType | inspect.DictType):
                yield from _unknown(said, each, at)
    elif isinstance(type, inspect.StructType) and isinstance(said, dict):
        fields = _types_of(type.cls)
        for name, value in said.items():
            if name not in fields:
                yield f"{at}/{str(name)[:64]}"
            else:
                yield from _unknown(value, fields[name], f"{at}/{name}")
    elif isinstance(type, inspect.CollectionType | inspect.VarTupleType) and isinstance(said, list | tuple):
        for number, value in enumerate(said):
            yield from _unknown(value, type.item_type, f"{at}/{number}")
    elif isinstance(type, inspect.DictType) and isinstance(said, dict):
        for name, value in said.items():
            yield from _unknown(value, type.value_type, f"{at}/{name}")
