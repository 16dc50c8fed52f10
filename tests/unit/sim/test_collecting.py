"""A run is not interrupted to look for cycles, and a long one does not keep what failures leave in them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sim import story
from sim.scenario.load import loads
from sim.story import Story
from sim.tables import CATALOGUE

SPEC = """
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: short}
spec:
  mode: cluster
  duration: 2m
  topology: {hosts: 3, cpu: 8, memory: 20GiB}
"""


@contextmanager
def looks() -> Iterator[list[int]]:
    """The generations that were looked through meanwhile."""
    found: list[int] = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            found.append(info["generation"])

    gc.collect()
    gc.callbacks.append(count)
    try:
        yield found
    finally:
        gc.callbacks.remove(count)


def play(found: list[int]) -> list[int]:
    with Story(loads(SPEC, CATALOGUE, Path("short.yaml")), seed=1) as short:
        seen: list[int] = []
        assert short.play(progress=lambda now, end: seen.append(len(found))).passed
    assert gc.isenabled(), "whoever played has its collector back"
    return found[seen[0] : seen[-1]]


def test_nobody_looks_for_cycles_while_a_short_run_lasts() -> None:
    with looks() as found:
        assert play(found) == []


def test_a_long_run_looks_through_everything_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "STEPS_UNCOLLECTED", 100)
    with looks() as found:
        assert set(play(found)) == {2}
