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
def hosts(history: History) -> None:
    history.put(*map(host, HOSTS))
