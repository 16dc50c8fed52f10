"""Drawn scenarios, ninety of them and two hours each: nothing breaks, and everything that is promised was at stake.

The campaign of every commit. It is split so that two workers share it; what they find is added up by the last of them.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sim.explore.campaign import Asked, Campaign, explore
from sim.explore.journal import Journal, key_of
from sim.explore.page import report
from sim.explore.trial import Trial

SEEDS, PART, HOURS = 90, 5, 2.0
LEAST_FAULTS = 3000


@contextmanager
def shared(folder: Path) -> Iterator[Journal]:
    """What all workers write into, one at a time."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Journal(folder / "seeds.jsonl", key_of((), HOURS))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    base = tmp_path_factory.getbasetemp()
    made = (base if worker_id == "master" else base.parent) / "explore"
    made.mkdir(exist_ok=True)
    return made


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, PART))
def test_nothing_breaks_and_everything_was_at_stake(first: int, folder: Path, record_property: Any) -> None:
    part = explore(Asked(seeds=PART, first=first, hours=HOURS, out=folder / str(first)))
    assert not part.broken, "\n" + "\n".join(_say(trial) for trial in part.broken)
    assert not part.unfinished
    with shared(folder) as journal:
        for trial in Journal(folder / str(first) / "seeds.jsonl", key_of((), HOURS)).read().values():
            journal.add(trial)
        done = journal.read()
    if len(done) < SEEDS:
        return
    whole = Campaign(asked=Asked(seeds=SEEDS, hours=HOURS))
    for trial in done.values():
        whole.add(trial)
    record_property("note", report(whole))
    assert sum(whole.struck.values()) >= LEAST_FAULTS
    assert whole.unarmed == []


def _say(trial: Trial) -> str:
    return f"seed {trial.seed}: {trial.broken} at {trial.at} s: {trial.what} (ave sim explore --seed {trial.seed} --seeds 1)"
