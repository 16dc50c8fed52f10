"""Some scenarios that both worlds play; `make both-worlds` plays all, and holds their times to each other as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.scenario.load import load
from sim.tables import CATALOGUE
from sim.worlds.compare import compare, entries
from sim.worlds.simulated import play as simulate
from tests.real.both import play

FOLDER = Path(__file__).parents[3] / "scenarios/both"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["vm-killed", "migration"])
def test_the_bed_goes_through_the_states_that_the_simulator_goes_through(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """How soon is the table's business: here two processes share the machine, and whatever else a CI does."""
    scenario = load(FOLDER / f"{name}.yaml", CATALOGUE)
    _, moments = simulate(scenario)
    played = play(scenario)
    things = compare(moments, played.moments, entries(scenario))
    assert [thing for thing in things if not thing.same_order] == []
    assert [met for met in played.expected if not met.passed] == []
    widest = max(pair.apart for thing in things for pair in thing.pairs)
    record_property("note", f"{name}: moments of the bed and of the simulator are {widest:.1f} s apart at most")
