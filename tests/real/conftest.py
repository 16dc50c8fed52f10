"""One bed for the tests of a module, and the guest that they boot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.bed import Bed
from tests.real.bed.guest_image import GuestImage, guest_image


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with Bed() as made:
        yield made


@pytest.fixture(scope="session")
def image() -> GuestImage:
    return guest_image()
