"""Writes that are counted by the round and writes that are looked at one by one are the same writes, whatever befalls."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.sim.facts import Refusing, Write, Wrote
from drivers.sim.storage import Lun
from sim.explore.draw import draw
from sim.explore.trial import wish
from sim.scenario.load import loads
from sim.story import Story
from sim.tables import CATALOGUE

Told = tuple[float, str, tuple[Write, ...]]


def played(seed: int) -> tuple[list[Told], dict[str, int], float]:
    """Every write that the storage answered; how often each invariant was at stake; and the share of rounds counted."""
    scenario = loads(draw(seed, wish(hours=1.0)), CATALOGUE, Path(f"rounds-{seed}.yaml"))
    told: list[Told] = []
    counted: list[bool] = []

    def saw(fact: object) -> None:
        if isinstance(fact, Wrote):
            counted.append(fact.times > 0)
            told.append((story.cluster.world.now, fact.host, fact.writes))
        elif isinstance(fact, Refusing):
            told.append((story.cluster.world.now, fact.host, ((fact.volume, "", fact.instance, fact.epoch, 0),)))

    with Story(scenario, seed=seed) as story:
        story.cluster.listeners.append(saw)
        outcome = story.play()
    assert outcome.violation is None
    return told, outcome.armed, sum(counted) / len(counted)


@pytest.mark.parametrize("seed", [2, 7, 24])
def test_the_same_writes_whether_they_are_counted_or_looked_at(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told, armed, counted = played(seed)
    assert counted > 0.5, "or nothing is compared"
    monkeypatch.setattr(Lun, "continues", lambda *_: False)
    assert played(seed) == (told, armed, 0.0)
