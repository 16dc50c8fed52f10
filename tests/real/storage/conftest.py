"""A storage box for each test, and one tgtd for all of them. It needs root, and fails where a part is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.contracts.test_block import stamp
from tests.real.storage.lab import Ground, IscsiLab


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A file system with reflink, and a tgtd."""
    with closing(Ground()) as ground:
        yield ground


@pytest.fixture
def lab(ground: Ground) -> Iterator[IscsiLab]:
    with closing(IscsiLab(ground)) as lab:
        yield lab


@pytest.fixture
def do(lab: IscsiLab) -> Callable[..., Any]:
    """``do(host, verb, …)`` answers as that call of that host's block storage does."""
    return lambda host, verb, *given, **named: lab.call(host, 1, verb, *given, **named)


@pytest.fixture
def disk(do: Callable[..., Any]) -> str:
    """A small volume of host a, at epoch 1."""
    do("a", "create", "disk", 1, stamp(1))
    do("a", "attach", "disk", "a", stamp(1))
    return "disk"
