"""What the tests on real daemons share. They need root, and fail where a part is missing: they are run by name only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.contracts.conftest import finish  # noqa: F401
from tests.real.storage.lab import Ground


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A file system with reflink, and a tgtd."""
    with closing(Ground()) as ground:
        yield ground
