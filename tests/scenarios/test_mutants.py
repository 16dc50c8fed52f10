"""Bugs put in on purpose, each by a small patch at run time, are caught by the scenarios that are meant for them."""

from __future__ import annotations

import pytest

from sim.outcome import VIOLATION
from tests.mutants.directed import caught, sound
from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS
from tests.scenarios.shipped import play

CASES = {
    f"{label}-{scenario}" if len(mutant.scenarios) > 1 else label: (mutant, scenario)
    for label, mutant in MUTANTS.items()
    for scenario in mutant.scenarios
}
WITH_NETS = {label: mutant for label, mutant in MUTANTS.items() if mutant.nets}


@pytest.mark.parametrize(("mutant", "scenario"), CASES.values(), ids=CASES)
def test_mutant_is_caught(mutant: Mutant, scenario: str) -> None:
    seed, broken = caught(mutant, scenario)
    assert broken is not None, "nobody noticed"
    assert broken.invariant in mutant.caught_by, broken.what
    assert mutant.says in broken.what
    assert broken.slice, "a violation tells what led to it"
    assert sound(scenario, seed), "it passes without the mutant"


@pytest.mark.parametrize("mutant", WITH_NETS.values(), ids=WITH_NETS)
def test_what_is_broken_is_the_mutant_and_not_that_its_nets_are_off(mutant: Mutant) -> None:
    for scenario in mutant.scenarios:
        seed, _ = caught(mutant, scenario)
        with mutant.nets_alone():
            assert play(scenario, seed).violation is None


def test_a_violation_is_not_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS["01-skips-locks"]
    with mutant.applied():
        assert play(mutant.scenarios[0], 1).exit_code == VIOLATION
