"""What is said to VMs without a place: to the first of many also what would help, and only what is so now."""

from __future__ import annotations

from typing import Any

import pytest

from ave.model.group import Rule
from ave.model.vm import VM, VMState
from ave.placement.batch import place_batch
from ave.placement.plugged import NONE
from ave.placement.purpose import Purpose
from ave.placement.view import View
from ave.scheduler.refusals import HELPED, LOOKS, refusals
from ave.scheduler.steps import Placing
from tests.unit.placement.clusters import group, host, view, vm

HELP = "Cheapest change: "


def said(seen: View, *vms: VM, now: View | None = None, **wish: Any) -> dict[str, str]:
    """``now``: the cluster as it is when the decision has been committed."""
    asked = Placing(vms=tuple(each.id for each in vms), **{"purpose": Purpose.START, **wish})
    batch = place_batch(seen, vms, asked.purpose, only=asked.host, leave=asked.leave)
    facts = refusals(now or seen, vms, batch, asked, NONE)
    assert list(facts) == list(batch.refused)
    assert not any(fact.host for fact in facts.values())
    return {name: fact.refusal for name, fact in facts.items()}


def test_nobody_is_refused_and_nothing_said():
    assert said(view([host("a", 8)]), vm("v", 8)) == {}


@pytest.mark.parametrize(
    ("wish", "help"),
    [
        ({"host": "small"}, "ask for large instead of small, or for no host by name"),
        ({"leave": True, "purpose": Purpose.LIVE}, "make v 8.0 GiB or smaller"),
    ],
)
def test_what_was_asked_for_is_reckoned_with(wish: dict[str, Any], help: str):
    seen = view([host("small", 8), host("large", 16)], [v := vm("v", 12, 1, VMState.RUNNING, host="large")])
    (refusal,) = said(seen, v, **wish).values()
    assert refusal.endswith(f". {HELP}{help}")
    stake = seen.stake("v")
    assert stake is not None
    assert stake.host == "large", "the view is as it was"


def test_vms_that_must_share_a_host_are_told_the_same():
    seen = view([host("a", 8), host("b", 8)], groups=[group("pair", Rule.MUST_SAME_HOST, ("x", "y"))])
    why = "none of 2 hosts fits x + y: 2 by HostAvailableMemoryFilter. Cheapest change: make x + y 8.0 GiB or smaller"
    assert said(seen, vm("x", 5), vm("y", 5)) == {"x": why, "y": why}


def test_nothing_would_help_in_an_empty_cluster_or_where_there_is_room_by_now():
    assert said(view([]), vm("v")) == {"v": "no host fits v: the cluster has no host"}
    before, now = view([host("a", 8)]), view([host("a", 16)])
    assert said(before, vm("v", 12), now=now) == {"v": "none of 1 hosts fits v: 1 by HostAvailableMemoryFilter"}


@pytest.mark.parametrize(("hosts", "helped"), [(2, HELPED), (LOOKS // 10, 10), (2 * LOOKS, 1)])
def test_of_many_only_the_first_are_told_what_would_help(hosts: int, helped: int):
    seen = view([host(f"h{number}", 8) for number in range(hosts)])
    told = list(said(seen, *(vm(f"v{number}", 9) for number in range(HELPED + 6))).values())
    assert [HELP in why for why in told] == [True] * helped + [False] * (len(told) - helped)
    assert all("HostAvailableMemoryFilter" in why for why in told)
