"""What is left of a failing scenario fails in the same way, and is small. Judges are planted: they look at the scenario only,
or at a run of it with a bug put in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ave.ha import monitor, timing
from ave.ha.verdict import judge
from sim.explore.trial import scenario_of, wish
from sim.outcome import Broken, Outcome
from sim.scenario import nodes
from sim.scenario.load import loads
from sim.scenario.model import Scenario
from sim.shrink import Left, Sound, shrink
from sim.story import once
from sim.tables import CATALOGUE

Says = Callable[[Scenario], str]


def drawn(seed: int) -> Any:
    return nodes.plain(nodes.parse(scenario_of(seed, wish()).encode(), "drawn.yaml").root)


def judged(says: Says) -> Callable[[Scenario, int], Outcome]:
    """A run that breaks what ``says`` says, at the last event."""

    def run(scenario: Scenario, seed: int) -> Outcome:
        at = max((event.at for event in scenario.timeline), default=0.0)
        broken = Broken(says(scenario), "planted", at, ()) if says(scenario) else None
        return Outcome(
            name="x",
            description="",
            seed=seed,
            mode="cluster",
            simulated_seconds=scenario.duration,
            partial=False,
            passed=broken is None,
            metrics={},
            violation=broken,
        )

    return run


def named(scenario: Scenario) -> list[str]:
    return [event.name for event in scenario.timeline]


@cache
def rich() -> int:
    """The first seed that has all that is cut out below."""
    wanted = {"host-crash", "store-failover", "partition", "vm.create"}
    return next(seed for seed in range(1, 2000) if wanted <= said(seed))


def said(seed: int) -> set[str]:
    return {event.get("fault") or event["action"] for event in drawn(seed)["spec"]["timeline"]}


def cut(says: Says, **limits: Any) -> tuple[Left, Scenario]:
    left = shrink(drawn(rich()), judged(says), **limits)
    return left, loads(left.text, CATALOGUE, Path("left.yaml"))


def test_two_faults_that_must_meet_are_what_is_left_of_many() -> None:
    left, scenario = cut(lambda s: "S2" if {"host-crash", "store-failover"} <= set(named(s)) else "")
    assert sorted(named(scenario)) == ["host-crash", "store-failover"]
    assert left.faults == 2
    assert left.broken == "S2"
    assert left.text.startswith("# S2: planted\n")


def test_hosts_vms_and_seconds_shrink_too() -> None:
    _, scenario = cut(lambda s: "S1" if "partition" in named(s) and s.topology.size >= 2 else "")
    assert scenario.topology.size == 2
    assert [fleet.count for fleet in scenario.workload] == [1]  # type: ignore[union-attr]
    assert scenario.duration < 10.0
    assert scenario.groups == ()


def test_what_breaks_something_else_is_not_the_same() -> None:
    def says(scenario: Scenario) -> str:
        return "S1" if "host-crash" in named(scenario) and "vm.create" in named(scenario) else "J6"

    _, scenario = cut(says)
    assert sorted(named(scenario)) == ["host-crash", "vm.create"]


def test_tries_are_bounded_and_what_is_known_by_then_is_given() -> None:
    left, scenario = cut(lambda s: "S1" if len(s.timeline) > 3 else "", most_tries=7)
    assert left.tries == 7
    assert len(scenario.timeline) > 3


def test_a_scenario_in_which_nothing_breaks_is_refused() -> None:
    with pytest.raises(Sound, match="nothing breaks"):
        shrink(drawn(5), judged(lambda scenario: ""))


@pytest.mark.timeout(300)
def test_a_planted_bug_is_cut_down_to_five_faults_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leader revokes a lease after 20 s, while its host may run VMs for 60."""

    def hasty(hosts: Any, evidence: Any, times: timing.Timing) -> Any:
        return judge(hosts, evidence, msgspec.structs.replace(times, verdict=20.0))

    monkeypatch.setattr(monitor, "judge", hasty)
    left = shrink(drawn(2), once, most_tries=120)
    assert left.broken == "S4"
    assert 1 <= left.faults <= 5
    scenario = loads(left.text, CATALOGUE, Path("left.yaml"))
    again = once(scenario, scenario.seed).violation
    assert again is not None
    assert again.invariant == left.broken
