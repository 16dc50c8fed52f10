"""From words to requests: the shape of routes, and what cannot be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ave.api.answers import ANSWERS
from ave.api.beside import PATHS
from ave.api.nouns import NOUNS
from ave.api.openapi import openapi
from ave.api.problems import Invalid
from ave.api.questions import QUESTIONS, Select
from ave.api.routes import Route, catalogue, routes
from ave.api.wording import request
from ave.model.access import Permission
from ave.operations import EditCluster, EditVM, EditVMs, GrowVolumes, StartVMs
from ave.verbs import VERBS
from docs.write_openapi import COMMAND, FILE, document
from tests.unit.api.lab import Lab, run

ROUTES = {(route.method, route.path): route for route in routes(catalogue().values())}


def worded(method: str, path: str, body: Any = None, id: str = "web-1", **query: list[str]) -> Any:
    route = ROUTES[method, path]
    return request(route, id if route.one and "{id}" in path else "", query, body)


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_entry_has_a_permission_a_handler_a_route_and_a_place_in_the_document(name: str) -> None:
    entry = catalogue()[name]
    assert isinstance(entry.permission, Permission)
    assert name in (ANSWERS if name in QUESTIONS else VERBS)
    mine = [route for route in ROUTES.values() if route.entry.name == name]
    assert mine
    paths = openapi(mine)["paths"]
    assert all(paths[route.path][route.method.lower()]["summary"] == entry.phrase for route in mine)


def test_no_two_routes_are_the_same() -> None:
    assert len(ROUTES) == len(routes(catalogue().values()))


def test_every_noun_can_be_shown() -> None:
    assert {question.noun for question in QUESTIONS.values() if question.verb == "show"} == {
        noun.name for noun in NOUNS.values() if noun.viewed
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "asked"),
    [
        ("POST", "/v1/vms/{id}:start", None, StartVMs(vms=("web-1",))),
        ("POST", "/v1/vms/{id}:start", {"host": "h2"}, StartVMs(vms=("web-1",), host="h2")),
        ("POST", "/v1/vms:batch-start", {"vms": ["a", "b"]}, StartVMs(vms=("a", "b"))),
        ("PATCH", "/v1/vms/{id}", {"vcpus": 2}, EditVMs(vms=(EditVM(id="web-1", vcpus=2),))),
        ("POST", "/v1/volumes/{id}:grow", {"size_gib": 9}, GrowVolumes(sizes_gib={"web-1": 9})),
        ("PATCH", "/v1/cluster", {"guest_failure": True}, EditCluster(guest_failure=True)),
    ],
)
def test_words_become_requests(method: str, path: str, body: Any, asked: Any) -> None:
    assert worded(method, path, body) == asked


def test_what_is_asked_of_a_list_is_a_selection() -> None:
    found = worded("GET", "/v1/vms", state=["running"], limit=["5"], label=["a=b", "c"], q=["x"])
    assert found == Select(where={"state": ("running",)}, label=("a=b", "c"), q="x", limit=5)


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("POST", "/v1/vms", {"vms": [{"id": "a", "vcpus": "1", "memory_mib": 1}]}, "/vms/0/vcpus"),
        ("POST", "/v1/vms", {"vms": [{"id": "a", "vcpus": True, "memory_mib": 1}]}, "/vms/0/vcpus"),
        ("POST", "/v1/vms", {"vms": [{"id": "a", "vcpus": 1, "memory_mib": 1, "epoch": 3}]}, "/vms/0/epoch"),
        ("POST", "/v1/vms", {"vms": [], "__proto__": {}}, "/__proto__"),
        ("POST", "/v1/vms", {"vms": {"$gt": ""}}, "/vms"),
        ("POST", "/v1/vms", [], ""),
        ("POST", "/v1/vms/{id}:start", {"id": "other"}, "/id"),
        ("PATCH", "/v1/vms/{id}", {"tenant": "other"}, "/vms/0/tenant"),
        ("PATCH", "/v1/vms/{id}", {"labels": {"a": 1}}, "/vms/0/labels/-"),
        ("POST", "/v1/volumes/{id}:grow", {}, "/sizes_gib/-"),
    ],
)
def test_what_cannot_be_is_named_with_its_place(method: str, path: str, body: Any, pointer: str) -> None:
    with pytest.raises(Invalid) as raised:
        worded(method, path, body)
    assert [error.pointer for error in raised.value.errors] == [pointer]


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(Invalid, match="forse"):
        worded("POST", "/v1/vms/{id}:start", None, forse=["1"])


def test_the_published_document_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == document(), f"write it anew: {COMMAND}"


def test_what_the_document_tells_beside_the_catalogue_is_answered(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        for path in PATHS:
            if path != "/v1/events":  # tests/unit/api/test_stream.py
                answer = await lab.ask("GET", path)
                assert answer.status_code == 200
                assert (
                    answer.headers["content-type"].partition(";")[0]
                    in PATHS[path]["get"]["responses"]["200"]["content"]
                )

    run(tmp_path, test)
    assert set(PATHS) < set(openapi(routes(catalogue().values()))["paths"])


def test_what_is_asked_has_no_field_that_is_not_known() -> None:
    schemas = openapi(routes(catalogue().values()))["components"]["schemas"]
    for name in ("CreateVMs", "NewVM", "StartVMs", "EditVM", "NewUser"):
        assert schemas[name]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Job"]


def test_the_document_is_the_same_each_time() -> None:
    every: tuple[Route, ...] = routes(catalogue().values())
    assert openapi(every) == openapi(every)
