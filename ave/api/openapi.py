"""The OpenAPI 3.1 document of the catalogue: pure, so that it can be committed and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ave.api.beside import PATHS
from ave.api.nouns import NOUNS
from ave.api.preview import Preview
from ave.api.problems import Problem
from ave.api.questions import Select
from ave.api.routes import Route, several
from ave.api.shown import Job

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_JOB_HEADERS = {
    "Location": "where the Job is shown",
    "ETag": "its version",
    "Retry-After": "seconds, to look again",
    "X-Ave-Revision": "what this host has shown",
}


def openapi(routes: Iterable[Route], version: str = "") -> dict[str, Any]:
    routes = list(routes)
    types: list[Any] = [Problem, Job, Preview]
    types += [route.entry.request for route in routes if route.entry.request is not Select]
    types += [route.entry.answer for route in routes if not route.job]  # type: ignore[union-attr]
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema = {repr(type): made for type, made in zip(types, found, strict=True)}
    for noun in NOUNS.values():
        _hide(components.get(noun.type.__name__, {}), noun.hidden)
    for route in routes:
        if route.entry.request is not Select:
            _close(schema[repr(route.entry.request)], components)
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "AVE", "version": version, "description": "A control plane for KVM virtual machines."},
        "security": [{"token": []}],
        "paths": {**paths, **PATHS},
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"problem": _content("what went wrong", schema[repr(Problem)], "application/problem+json")},
        },
    }


def _close(schema: Any, components: dict[str, Any]) -> None:
    """What is asked may have no field that is not known; nor may any struct in it."""
    for name in _named(schema):
        component = components[name]
        if "properties" in component and "additionalProperties" not in component:
            component["additionalProperties"] = False
            _close(component, components)


def _named(schema: Any) -> Iterator[str]:
    """The components to which it refers."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for each in schema.values():
            yield from _named(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _named(each)


def _hide(component: dict[str, Any], fields: Iterable[str]) -> None:
    for field in fields:
        component.get("properties", {}).pop(field, None)
        if field in component.get("required", ()):
            component["required"].remove(field)


def _operation(route: Route, schema: dict[str, Any]) -> dict[str, Any]:
    entry = route.entry
    answers: dict[str, Any] = {"default": {"$ref": "#/components/responses/problem"}}
    if route.job:
        answers["202"] = {
            **_content("it became a Job", schema[repr(Job)]),
            "headers": {name: _header(what) for name, what in _JOB_HEADERS.items()},
            "links": {
                verb: {"operationId": f"job.{verb}", "parameters": {"id": "$response.body#/id"}}
                for verb in ("show", "log", "cancel")
            },
        }
        either = [schema[repr(Job)], schema[repr(Preview)]]
        answers["200"] = _content("the Job has ended; or what it would do", {"anyOf": either})
    else:
        answers["200"] = _content(entry.phrase, schema[repr(entry.answer)])  # type: ignore[union-attr]
        if route.method == "GET" and "{id}" in route.path:
            answers["304"] = {"description": "it still has the ETag of If-None-Match"}
    made = {
        "operationId": entry.name if route.one or entry.verb in ("list", "create") else f"{entry.name}.several",
        "summary": entry.phrase,
        "tags": [entry.noun],
        "parameters": _parameters(route),
        "responses": answers,
        "x-permission": str(entry.permission),
    }
    if getattr(entry, "anybody", False):
        made["security"] = []
    body = None if route.method == "GET" else _body(route, schema)
    if body:
        made["requestBody"] = {"content": {_JSON: {"schema": body}}}
    return made


def _parameters(route: Route) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found = [{"name": "id", "in": "path", "required": True, "schema": text}] if "{id}" in route.path else []
    if route.entry.request is Select:
        number = {"type": "integer"}
        found += [
            _query(name, number if name == "limit" else text) for name in ("limit", "page_token", "sort", "q", "label")
        ]
        found += [
            _query(field, text) for field in NOUNS[route.entry.noun].type.__struct_fields__ if field not in ("id",)
        ]
    if route.method == "GET":
        found.append(_query("fields", text, "these alone of each, with commas"))
        found.append(_head("X-Ave-Revision", "at least what an answer with this one has shown"))
        found.append(_head("If-None-Match", "304 if it still has this ETag"))
    if route.entry.name == "job.show":
        found.append(_query("wait", {"type": "number"}))
    if route.job:
        found.append(_query("dry_run", {"type": "boolean"}))
        found.append(_query("on_conflict", {"enum": ["queue", "fail", "skip"]}))
        found.append(_head("Idempotency-Key", "the same request under it is done once"))
        found.append(_head("If-Match", "only if the one thing still has this ETag"))
        found.append(_head("Prefer", "wait=10: as many seconds for its end"))
    return found


def _query(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **told}


def _head(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": description}


def _header(description: str) -> dict[str, Any]:
    return {"schema": {"type": "string"}, "description": description, "required": True}


def _body(route: Route, schema: dict[str, Any]) -> dict[str, Any] | None:
    """Of one thing its name stands in the path, so the body is the request without it."""
    request = route.entry.request
    if not route.one:
        return schema[repr(request)]  # type: ignore[no-any-return]
    field = several(request)
    properties: dict[str, Any] = {}
    required: list[str] = []
    inner: list[Any] = [request]
    if field is not None and isinstance(field[1], type) and issubclass(field[1], msgspec.Struct):
        inner.append(field[1])
    for type_ in inner:
        made = msgspec.json.schema_components([type_], ref_template=_REF)[1][type_.__name__]
        drop = {"id", NOUNS[route.entry.noun].name, *([field[0]] if field is not None else ())}
        properties |= {name: value for name, value in made["properties"].items() if name not in drop}
        required += [name for name in made.get("required", ()) if name not in drop]
    if field is not None and field[1] is dict:
        properties[field[0].replace("sizes", "size")] = {"type": "integer"}
        required.append(field[0].replace("sizes", "size"))
    if not properties:
        return None
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _content(description: str, schema: Any, media: str = _JSON) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}
