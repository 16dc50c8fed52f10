"""A mutant and the scenarios that are meant for it."""

from __future__ import annotations

from functools import cache

import msgspec

from sim.outcome import Broken
from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS
from tests.scenarios.shipped import play

SEEDS = range(1, 6)


class Directed(msgspec.Struct, frozen=True):
    """Which invariant each of the mutant's scenarios found broken; "" if none."""

    label: str
    broken: dict[str, str]


def caught(mutant: Mutant, scenario: str) -> tuple[int, Broken | None]:
    """With the mutant, at the first seed that finds anything."""
    for seed in SEEDS:
        with mutant.applied(), mutant.blinded():
            violation = play(scenario, seed).violation
        if violation is not None:
            return seed, violation
    return SEEDS[-1], None


@cache
def sound(scenario: str, seed: int) -> bool:
    return play(scenario, seed).passed


def direct(label: str) -> Directed:
    mutant = MUTANTS[label]
    found = {scenario: caught(mutant, scenario)[1] for scenario in mutant.scenarios}
    return Directed(label, {scenario: broken.invariant if broken else "" for scenario, broken in found.items()})
