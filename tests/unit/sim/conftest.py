from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.sim.history import HOSTS, History, host
from tests.unit.sim.laboratory import World


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    """Of the invariant that the mark ``of`` names."""
    with History(request.param) as history:
        yield history


@pytest.fixture
def hosts(request: pytest.FixtureRequest) -> None:
    """They are there from the start, in every test of the module that has a history."""
    if "history" in request.fixturenames:
        request.getfixturevalue("history").put(*map(host, HOSTS))
