"""What a host answers beside the catalogue, as the OpenAPI document tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT: Mapping[str, Any] = {"type": "string"}
_PROBLEM: Mapping[str, Any] = {"$ref": "#/components/responses/problem"}


def _get(
    phrase: str,
    media: str,
    schema: Mapping[str, Any],
    *,
    token: bool = True,
    parameters: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    answers = {"200": {"description": phrase, "content": {media: {"schema": schema}}}, "default": _PROBLEM}
    made: dict[str, Any] = {"summary": phrase, "tags": ["host"], "parameters": list(parameters), "responses": answers}
    return {"get": made if token else {**made, "security": []}}


def _query(name: str, type: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": type}, "description": description}


_EVENTS = (
    _query("types", "string", "nouns, with commas; and log, sample, time"),
    _query("since", "string", "the id of the last event that was heard, as Last-Event-ID"),
    _query("interval", "number", "seconds between two deltas, at least"),
    {"name": "Last-Event-ID", "in": "header", "schema": _TEXT, "description": "epoch:revision, from any host"},
)
_VERSION = {
    "type": "object",
    "properties": {"version": _TEXT, "host": _TEXT, "api_extensions": {"type": "array", "items": _TEXT}},
    "required": ["version", "host", "api_extensions"],
}
_SERIES = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "number"}}}
_READY = {"503": {"description": "this host does not hear the store", "content": {"text/plain": {"schema": _TEXT}}}}

_readyz = _get("does this host hear the store?", "text/plain", _TEXT, token=False)
_readyz["get"]["responses"].update(_READY)

PATHS: Mapping[str, Any] = {
    "/v1/version": _get(
        "say which AVE this is, and what it can beyond the rest", "application/json", _VERSION, token=False
    ),
    "/v1/events": _get("everything, and then whatever changes", "text/event-stream", _TEXT, parameters=_EVENTS),
    "/v1/series": _get("figures of the last hours, as columns", "application/json", _SERIES),
    "/healthz": _get("does this process answer?", "text/plain", _TEXT, token=False),
    "/readyz": _readyz,
    "/metrics": _get("figures for Prometheus", "text/plain", _TEXT, token=False),
}
