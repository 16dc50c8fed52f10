"""A scenario in the simulated world, and what its store showed."""

from __future__ import annotations

from ave.ports.store import Commit
from sim.outcome import Outcome
from sim.scenario.model import Scenario
from sim.story import Story
from sim.worlds.chronicle import Chronicle, Moment


def play(scenario: Scenario, seed: int | None = None) -> tuple[Outcome, list[Moment]]:
    chronicle = Chronicle()
    with Story(scenario, seed=scenario.seed if seed is None else seed) as story:

        def committed(commit: Commit) -> None:
            chronicle.apply(commit.changes, story.cluster.world.now)

        story.cluster.store.ledger.listeners.append(committed)
        outcome = story.play()
    return outcome, chronicle.moments
