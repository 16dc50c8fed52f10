"""A recorded run, for who looks back."""

import math
from pathlib import Path

import pytest

from ave.kinds import KINDS
from sim.recorder import Recorder
from sim.serve import scenario_of
from sim.served import Served


def record(path: Path) -> Path:
    """Of four hosts, for two minutes: host-2 dies at 20 s."""
    now = 0.0
    recorder = Recorder(path, KINDS, lambda: now)
    with recorder, Served(scenario_of("sim:4-host"), recorder=recorder, host="host-1") as served:
        while now < 120.0:
            now = min(now + 0.5, math.nextafter(now + 0.5, 0)) if served.peek() > now + 0.5 else served.peek()
            served.advance(now)
            if now >= 20.0 and not served.marks():
                served.begin_fault({"fault": "host-crash", "target": "host-2"})
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return record(tmp_path_factory.mktemp("run") / "events.jsonl.gz")
