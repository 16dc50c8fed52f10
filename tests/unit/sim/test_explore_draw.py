"""What is drawn: the same for the same seed, valid whatever the tables hold, and over in time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sim.actions import ACTIONS
from sim.chance import stream
from sim.cluster import SimCluster
from sim.explore.calamity import Row
from sim.explore.draw import LIVENESS_SECONDS, Wish, draw
from sim.explore.temper import temper
from sim.explore.trial import scenario_of, wish
from sim.explore.values import WORDS, given
from sim.faults import FAULTS
from sim.scenario.catalogue import Catalogue, FaultKind, Parameter
from sim.scenario.load import loads
from sim.scenario.model import Fleet, Scenario
from sim.tables import CATALOGUE

SEEDS = range(100)
FILE = Path("drawn.yaml")


@pytest.fixture(scope="module")
def drawn() -> list[Scenario]:
    return [loads(scenario_of(seed, wish()), CATALOGUE, FILE) for seed in SEEDS]


def test_the_same_seed_draws_the_same_text_and_another_one_another() -> None:
    assert scenario_of(7, wish()) == scenario_of(7, wish())
    assert scenario_of(7, wish()) != scenario_of(8, wish())


def test_every_fault_and_every_action_is_drawn(drawn: list[Scenario]) -> None:
    named = {event.name for scenario in drawn for event in scenario.timeline}
    assert named == {*FAULTS, *ACTIONS}


def test_topologies_differ(drawn: list[Scenario]) -> None:
    assert {scenario.topology.size for scenario in drawn} >= set(range(3, 12))
    assert {scenario.topology.masters for scenario in drawn} == {3, 5}
    assert any(scenario.topology.zones for scenario in drawn)
    assert any(scenario.topology.primary for scenario in drawn)
    assert len({scenario.profile for scenario in drawn}) > 1


def test_the_vms_of_time_0_fit(drawn: list[Scenario]) -> None:
    for scenario in drawn:
        standing = [fleet for fleet in scenario.workload if isinstance(fleet, Fleet) and fleet.arrive is None]
        with SimCluster(scenario.topology, seed=scenario.seed) as cluster:
            cluster.power_on(standing, scenario.groups)


def test_every_fault_is_over_before_the_liveness_phase(drawn: list[Scenario]) -> None:
    for scenario in drawn:
        until = scenario.duration - LIVENESS_SECONDS
        faults = [event for event in scenario.timeline if event.kind == "fault"]
        assert faults, "a scenario without a fault explores nothing"
        assert all(event.at + (event.lasts or 0.0) <= until + 0.1 for event in faults)
        lasting = [event for event in faults if FAULTS[event.name].kind.lasting]
        assert all(event.lasts is not None for event in lasting)


def test_faults_overlap_and_there_is_quiet_between_them(drawn: list[Scenario]) -> None:
    overlapping = quiet = 0
    for scenario in drawn:
        over = 0.0
        for event in scenario.timeline:
            if event.kind == "fault":
                overlapping += event.at < over
                quiet += event.at > over + 120.0
                over = max(over, event.at + (event.lasts or 0.0))
    assert overlapping > 1000
    assert quiet > 100


def test_plots_bring_the_same_fault_to_the_same_victims_again_while_the_same_is_asked_for() -> None:
    plotted = [seed for seed in SEEDS if temper(stream(seed, "explore/temper")).plotted]
    assert len(plotted) > len(SEEDS) // 4
    repeated = insisted = 0
    for seed in plotted:
        timeline = loads(scenario_of(seed, wish()), CATALOGUE, FILE).timeline
        struck = Counter((event.name, event.target) for event in timeline if event.kind == "fault" and event.target)
        again = {pair for pair, times in struck.items() if times >= 2}
        repeated += bool(again)
        for name, target in again:
            begun = [event.at for event in timeline if (event.name, event.target) == (name, target)]
            asked = [
                {event.name for event in timeline if event.kind == "action" and abs(event.at - at) < 60.0}
                for at in begun
            ]
            insisted += bool(set.intersection(*asked))
    assert repeated > 0.8 * len(plotted)
    assert insisted > len(plotted)


def test_only_the_faults_that_are_wanted_are_drawn() -> None:
    scenario = loads(scenario_of(1, wish(("host-crash", "partition"))), CATALOGUE, FILE)
    assert {event.name for event in scenario.timeline if event.kind == "fault"} == {"host-crash", "partition"}


def test_a_new_kind_of_fault_is_drawn_by_what_its_row_says() -> None:
    parameters = (
        Parameter("seconds", "seconds", None, 0.5, 900.0),
        Parameter("share", "ratio", None, 0.0, 1.0),
        Parameter("factor", "ratio", 10.0, 1.0, 1e6),
        Parameter("times", "count", 1, 1, 3),
        Parameter("hard", "flag", False),
        Parameter("way", "text", "in", choices=("in", "out")),
        Parameter("host", "text", ""),
        Parameter("note", "text"),
    )
    kinds = (FaultKind("odd", "something", "host", parameters, True), FaultKind("even", "more", "hosts"))
    catalogue = Catalogue(faults=kinds, metrics=CATALOGUE.metrics, profiles=CATALOGUE.profiles)
    both = 0
    for seed in range(20):
        text = draw(seed, Wish(tuple(Row(kind, True, "any") for kind in kinds), (), 1.0))
        drawn = {event.name for event in loads(text, catalogue, FILE).timeline}
        both += drawn == {"odd", "even"}
        assert drawn <= {"odd", "even"}
    assert both > 10


def test_a_value_lies_within_its_bounds_and_reaches_all_magnitudes() -> None:
    wide = Parameter("factor", "ratio", None, 1.0, 10_000.0)
    values = [float(given(stream(seed, "value"), (wide,), {})["factor"]) for seed in range(200)]
    assert 1.0 <= min(values) < 3.0
    assert 3_000.0 < max(values) <= 10_000.0
    note = Parameter("note", "text")
    assert {given(stream(seed, "note"), (note,), {})["note"] for seed in range(50)} == set(WORDS)
