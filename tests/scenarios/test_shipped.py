"""Every shipped scenario keeps its promises, whatever the seed, and together they put every invariant at stake."""

from __future__ import annotations

import pytest

from sim.invariants import TABLE
from sim.report import verdict
from tests.scenarios.shipped import CLUSTER, play

SEEDS = range(1, 11)
FEW_SEEDS = range(1, 4)
# Many, and each of one short course of events that the seed hardly changes; random faults vary them by the thousand.
NOTEBOOK = {"incident", "trigger", "no-trigger"}


@pytest.mark.parametrize("name", CLUSTER)
def test_a_shipped_scenario_passes_whatever_the_seed(name: str) -> None:
    seeds = SEEDS if NOTEBOOK.isdisjoint(CLUSTER[name].metadata.tags) else FEW_SEEDS
    said = {seed: verdict(play(name, seed)) for seed in seeds}
    assert said == dict.fromkeys(seeds, "PASSED")


def test_every_invariant_is_at_stake_in_a_scenario_that_promises_it() -> None:
    promised = {id for scenario in CLUSTER.values() for id in scenario.arms}  # each is checked by its own run
    assert promised == {invariant.id for invariant in TABLE}
