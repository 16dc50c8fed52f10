"""What a node has begun with is looked through no more, from the moment at which it knows the cluster."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from ave.api.desk import open_desk
from drivers.collecting import settle
from tests.unit.api.lab import Lab, run


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_not_before_the_view_knows_the_cluster(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        _, view = open_desk(lab.ports)
        settling = lab.runtime.spawn(settle(view), name="settle")
        await lab.runtime.sleep(0.1)
        assert gc.get_freeze_count() == 0
        kept = lab.runtime.spawn(view.run(), name="late view")
        await settling.join()
        assert "h1" in view.docs("host")
        assert gc.is_tracked(view.projection)
        assert not any(each is view.projection for each in gc.get_objects()), "it would be looked through again"
        kept.cancel()

    run(tmp_path, test)
