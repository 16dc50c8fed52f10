"""docs/operators-guide.md, command by command, on a bed."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from tests.real.bed import Bed
from tests.real.guide.page import GUIDE, Block, items
from tests.real.guide.play import OWN, Player


@pytest.mark.timeout(600)
def test_who_follows_the_guide_comes_from_bare_hosts_to_a_vm_and_through_daily_work(
    record_property: Callable[[str, object], None],
) -> None:
    began, blocks = monotonic(), 0
    with Bed(hosts=4, own=OWN) as bed:
        player = Player(bed)
        for item in items(GUIDE.read_text()):
            player.do(item)
            blocks += isinstance(item, Block) and not item.not_run
    record_property(
        "note", f"the operator's guide: {blocks} blocks of commands were run in {monotonic() - began:.0f} s"
    )
