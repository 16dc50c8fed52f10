"""The scenario files that the product ships."""

from __future__ import annotations

from pathlib import Path

from sim.outcome import Outcome
from sim.scenario.load import load
from sim.scenario.model import Scenario
from sim.story import Story
from sim.tables import CATALOGUE

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = {str(path.relative_to(FOLDER)): path for path in sorted(FOLDER.rglob("*.yaml"))}


def scenarios(mode: str) -> dict[str, Scenario]:
    loaded = {name: load(path, CATALOGUE) for name, path in FILES.items()}
    return {name: scenario for name, scenario in loaded.items() if scenario.mode == mode}


CLUSTER = scenarios("cluster")


def play(name: str, seed: int) -> Outcome:
    with Story(CLUSTER[name], seed=seed) as story:
        return story.play()
