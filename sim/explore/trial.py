"""One seed: drawn, played, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from sim.actions import ACTIONS
from sim.explore.calamity import Row
from sim.explore.draw import Wish, draw
from sim.explore.phases import Coverage
from sim.explore.trace import Trace
from sim.faults import FAULTS, THEME_OF
from sim.outcome import Outcome
from sim.scenario.load import loads
from sim.story import Story
from sim.tables import CATALOGUE


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """``broken``: the invariant, or nothing. ``unfinished``: it was stopped before its end, and proves nothing."""

    seed: int
    hash: str = ""
    cpu_seconds: float = 0.0  # the only figure that differs from one run to the next
    seconds: float = 0.0
    broken: str = ""
    what: str = ""
    at: float = 0.0
    unfinished: bool = False
    struck: dict[str, int] = {}
    phases: dict[str, dict[str, int]] = {}
    armed: dict[str, int] = {}


def wish(faults: tuple[str, ...] = (), hours: float = 2.0) -> Wish:
    """Of these faults only, or of all there are; every action that users have."""
    rows = tuple(
        Row(fault.kind, fault.harms, THEME_OF[name]) for name, fault in FAULTS.items() if not faults or name in faults
    )
    return Wish(rows, tuple(action.kind for action in ACTIONS.values()), hours)


def scenario_of(seed: int, wished: Wish) -> str:
    return draw(seed, wished)


def play(seed: int, wished: Wish, *, stop: Callable[[], bool] = lambda: False) -> Trial:
    scenario = loads(draw(seed, wished), CATALOGUE, Path(f"explore-{seed}.yaml"))
    traces: list[Trace] = []

    with Story(scenario, seed=seed, tell=lambda *said: traces[0].told(*said)) as story:
        traces.append(Trace(story.cluster))
        coverage = Coverage(story.cluster)
        outcome: Outcome = story.play(stop=stop)
    broken = outcome.violation
    return Trial(
        seed=seed,
        hash=traces[0].hexdigest(),
        seconds=round(outcome.simulated_seconds, 3),
        broken=broken.invariant if broken else "",
        what=broken.what if broken else "",
        at=round(broken.at, 3) if broken else 0.0,
        unfinished=outcome.partial,
        struck=coverage.struck,
        phases=coverage.phases,
        armed=outcome.armed,
    )
