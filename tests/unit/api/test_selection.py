"""Which documents a list shows: filters, selectors of labels, order and pages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.api.problems import Invalid
from ave.api.questions import Select
from ave.api.selection import labels, select
from ave.model.vm import VM, VMState


def vm(id: str, **fields: Any) -> VM:
    return VM(**{"id": id, "vcpus": 1, "memory_mib": 1024, **fields})


VMS = (
    vm("db-1", state=VMState.RUNNING, host="h1", labels={"app": "db", "tier": "gold"}, memory_mib=4096),
    vm("web-1", state=VMState.RUNNING, host="h2", labels={"app": "web"}),
    vm("web-2", state=VMState.STOPPED, labels={"app": "web", "tier": "gold"}, ha=False, name="Front"),
)


def ids(**asked: Any) -> list[str]:
    return [found.id for found in select(VMS, VM, Select(**asked)).items]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["db-1", "web-1", "web-2"]),
        ({"where": {"state": ("running",)}}, ["db-1", "web-1"]),
        ({"where": {"state": ("RUNNING", "stopped"), "host": ("h2",)}}, ["web-1"]),
        ({"where": {"ha": ("false",)}}, ["web-2"]),
        ({"where": {"memory_mib": ("4096",)}}, ["db-1"]),
        ({"q": "FRO"}, ["web-2"]),
        ({"q": "web"}, ["web-1", "web-2"]),
        ({"sort": "-memory_mib"}, ["db-1", "web-2", "web-1"]),
        ({"sort": "-id"}, ["web-2", "web-1", "db-1"]),
        ({"label": ("app=web", "tier")}, ["web-2"]),
    ],
)
def test_what_is_asked_for_is_found(asked: dict[str, Any], found: list[str]) -> None:
    assert ids(**asked) == found


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app=web", ["web-1", "web-2"]),
        ("app==web,tier=gold", ["web-2"]),
        ("tier!=gold", ["web-1"]),
        ("app in (db, web),tier", ["db-1", "web-2"]),
        ("app notin (db)", ["web-1", "web-2"]),
        ("!tier", ["web-1"]),
    ],
)
def test_selectors_are_those_of_kubernetes(selector: str, found: list[str]) -> None:
    assert ids(label=(selector,)) == found


@pytest.mark.parametrize(
    "selector", ["", "=", "app=web,", "app in", "app in (a", "(", "a b", "app=web;tier", "a" * 2000]
)
def test_a_selector_that_is_none_says_where(selector: str) -> None:
    with pytest.raises(Invalid, match="from character"):
        labels(selector)


@pytest.mark.parametrize(
    ("asked", "pointer", "why"),
    [
        ({"where": {"stat": ("x",)}}, "?stat", "did you mean state"),
        ({"sort": "-hots"}, "?sort", "did you mean host"),
        ({"limit": 0}, "?limit", "from 1 to 1000"),
        ({"limit": 10**9}, "?limit", "from 1 to 1000"),
        ({"page_token": "nonsense"}, "?page_token", "none that an earlier page"),
        ({"label": ("=",)}, "?label", "cannot be understood"),
    ],
)
def test_what_cannot_be_asked_is_named(asked: dict[str, Any], pointer: str, why: str) -> None:
    with pytest.raises(Invalid, match=why) as raised:
        ids(**asked)
    assert [error.pointer for error in raised.value.errors] == [pointer]


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    limit=st.integers(1, 7),
    sort=st.sampled_from(["", "-id", "vcpus", "-vcpus", "labels"]),
)
def test_pages_are_the_whole_list_and_each_thing_is_on_one(sizes: list[int], limit: int, sort: str) -> None:
    docs = [vm(f"vm-{number:02}", vcpus=size) for number, size in enumerate(sizes)]
    whole = select(docs, VM, Select(sort=sort, limit=1000)).items
    found: list[VM] = []
    token = ""
    while True:
        page = select(docs, VM, Select(sort=sort, limit=limit, page_token=token))
        assert len(page.items) <= limit
        assert page.total == len(docs)
        found += page.items
        if not (token := page.next_page_token):
            break
    assert found == list(whole)


def test_a_page_is_where_it_was_though_others_came_and_went() -> None:
    first = select(VMS, VM, Select(limit=2))
    later = [VMS[2], vm("aaa"), vm("zzz")]  # those of the first page are gone
    assert [found.id for found in select(later, VM, Select(limit=2, page_token=first.next_page_token)).items] == [
        "web-2",
        "zzz",
    ]


def test_a_token_is_of_one_order() -> None:
    token = select(VMS, VM, Select(limit=1)).next_page_token
    with pytest.raises(Invalid, match="sorted by id"):
        ids(sort="-id", page_token=token)
