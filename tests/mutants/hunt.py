"""Random exploration alone against each mutant: the scenarios that ``ave sim explore`` draws, seed by seed, until one of them
finds something. What the same seed finds without the mutant is something else, and counts for nothing."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import msgspec

from sim.explore import campaign
from sim.explore.journal import Journal, key_of
from sim.explore.trial import Trial
from sim.processes import interrupted, spread
from tests.mutants import patch
from tests.mutants.mutant import Mutant
from tests.mutants.patch import applied
from tests.mutants.table import MODULE_OF, MUTANTS

LIMIT_SECONDS = 40.0  # of CPU time for a seed: some mutants go round in circles
MOST = 16  # seeds of a task


class Task(msgspec.Struct, frozen=True):
    label: str
    seeds: tuple[int, ...]
    hours: float


class Hunt:
    """One mutant: what is played so far. Without gaps, and up to the seed that caught it."""

    def __init__(self, mutant: Mutant, seeds: int, hours: float, journal: Journal) -> None:
        self.mutant, self._seeds, self._hours, self._journal = mutant, seeds, hours, journal
        self._trials: list[Trial] = []
        done = journal.read()
        while self.wants and (trial := done.get(self._next)) is not None:
            self._trials.append(trial)

    @property
    def caught(self) -> Trial | None:
        return self._trials[-1] if self._trials and self._trials[-1].broken else None

    @property
    def played(self) -> int:
        return len(self._trials)

    @property
    def wants(self) -> bool:
        return self.caught is None and self.played < self._seeds

    @property
    def _next(self) -> int:
        return self.played + 1

    def task(self) -> Task:
        """Few seeds at first, since most mutants need no more."""
        size = min(max(1, self.played), MOST, self._seeds - self.played)
        return Task(self.mutant.label, tuple(range(self._next, self._next + size)), self._hours)

    def add(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            self._journal.add(trial)
            self._trials.append(trial)


def hunts(mutants: Iterable[Mutant], seeds: int, hours: float, file: Path | None) -> list[Hunt]:
    code = key_of((), hours)
    return [
        Hunt(mutant, seeds, hours, Journal(file, f"{code}/{mutant.label}/{_source_of(mutant)}")) for mutant in mutants
    ]


def _source_of(mutant: Mutant) -> str:
    text = inspect.getsource(patch) + inspect.getsource(MODULE_OF[mutant.label])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def go_on(
    hunted: list[Hunt],
    jobs: int,
    progress: Callable[[list[Hunt]], None] = lambda hunted: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Round by round, so that what is found early is known early."""
    by_label = {hunt.mutant.label: hunt for hunt in hunted}
    while not stop() and (left := [hunt for hunt in hunted if hunt.wants]):
        for label, trials in spread(play, [hunt.task() for hunt in left], jobs=jobs, stop=stop):
            by_label[label].add(trials)
            progress(hunted)


def play(task: Task) -> tuple[str, list[Trial]]:
    mutant = MUTANTS[task.label]
    trials: list[Trial] = []
    for seed in task.seeds:
        trial = _played(seed, task.hours, mutant.applied())
        if trial.broken:
            trial = _compared(trial, _sound(seed, task.hours, mutant), mutant)
        if interrupted():
            break  # what was cut short proves nothing
        trials.append(trial)
        if trial.broken:
            break
    return task.label, trials


def _compared(trial: Trial, sound: Trial, mutant: Mutant) -> Trial:
    """If the seed finds something without the mutant as well, only another invariant, that watches for such bugs, counts."""
    if not sound.broken or (trial.broken != sound.broken and trial.broken in mutant.caught_by):
        return trial
    what = f"{sound.broken} without the mutant: {sound.what}"
    return msgspec.structs.replace(trial, broken="", what=what, unfinished=True)


def _sound(seed: int, hours: float, mutant: Mutant) -> Trial:
    """Without the mutant; of most that is the same run."""
    return _played(seed, hours, mutant.nets_alone()) if mutant.nets else _whole(seed, hours)


@cache
def _whole(seed: int, hours: float) -> Trial:
    return _played(seed, hours, applied(()))


def _played(seed: int, hours: float, patched: AbstractContextManager[None]) -> Trial:
    with patched:
        trial = campaign.trial_of(campaign.Task(seed, (), hours, LIMIT_SECONDS))
    return msgspec.structs.replace(trial, struck={}, phases={}, armed={})
