"""A campaign: so many seeds, played over processes, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from sim.explore.journal import Journal, key_of
from sim.explore.limit import Overrun, cpu_limit, cpu_seconds
from sim.explore.trial import Trial, play, scenario_of, wish
from sim.invariants import TABLE
from sim.outcome import INTERRUPTED, PASSED, THRESHOLD, VIOLATION
from sim.processes import interrupted, spread

LIMIT_SECONDS = 180.0  # of CPU time for a seed: a hundred times what one takes has gone round in circles


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as somebody asked for it. ``faults``: these only; none: all."""

    seeds: int
    first: int = 1
    faults: tuple[str, ...] = ()
    hours: float = 2.0
    jobs: int = 1
    out: Path | None = None
    resume: bool = False
    limit: float = LIMIT_SECONDS


class Task(msgspec.Struct, frozen=True):
    seed: int
    faults: tuple[str, ...]
    hours: float
    limit: float


class Campaign(msgspec.Struct, kw_only=True):
    """The sum. ``unarmed``: invariants that nothing put at stake, ``unfinished``: seeds that prove nothing."""

    asked: Asked
    seeds: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    struck: dict[str, int] = {}
    phases: dict[str, dict[str, int]] = {}
    armed: dict[str, int] = {}
    broken: list[Trial] = []
    unfinished: list[int] = []
    hashes: dict[int, str] = {}
    interrupted: bool = False

    @property
    def unarmed(self) -> list[str]:
        return [invariant.id for invariant in TABLE if not self.armed.get(invariant.id)]

    @property
    def exit_code(self) -> int:
        if self.broken:
            return VIOLATION
        if self.interrupted:
            return INTERRUPTED
        return THRESHOLD if self.unarmed or self.unfinished else PASSED

    def add(self, trial: Trial) -> None:
        self.hashes[trial.seed] = trial.hash
        self.cpu_seconds += trial.cpu_seconds
        if trial.unfinished:
            self.unfinished.append(trial.seed)
            return
        self.seeds += 1
        self.seconds += trial.seconds
        _add(self.struck, trial.struck)
        _add(self.armed, trial.armed)
        for kind, counts in trial.phases.items():
            _add(self.phases.setdefault(kind, {}), counts)
        if trial.broken:
            self.broken.append(trial)


def _add(sums: dict[str, int], counts: dict[str, int]) -> None:
    for name, count in counts.items():
        sums[name] = sums.get(name, 0) + count


def explore(
    asked: Asked,
    *,
    progress: Callable[[Campaign], None] = lambda campaign: None,
    stop: Callable[[], bool] = lambda: False,
) -> Campaign:
    """Play what is not played yet. The scenario of every seed that breaks something is written into ``out``."""
    journal = Journal(asked.out and asked.out / "seeds.jsonl", key_of(asked.faults, asked.hours))
    campaign = Campaign(asked=asked)
    wanted = range(asked.first, asked.first + asked.seeds)
    done = journal.read() if asked.resume else {}
    if not asked.resume:
        journal.begin()
    for seed in wanted:
        if seed in done:
            campaign.add(done[seed])
    tasks = (Task(seed, asked.faults, asked.hours, asked.limit) for seed in wanted if seed not in done)
    progress(campaign)
    for trial in _trials(tasks, asked.jobs, stop):
        if trial.unfinished and (stop() or interrupted()):
            continue  # nothing is wrong with it: its turn comes again
        journal.add(trial)
        campaign.add(trial)
        if trial.broken:
            _keep(asked, trial)
        progress(campaign)
    campaign.broken.sort(key=lambda trial: trial.seed)
    campaign.hashes = dict(sorted(campaign.hashes.items()))
    campaign.interrupted = stop()
    return campaign


def _trials(tasks: Iterable[Task], jobs: int, stop: Callable[[], bool]) -> Iterable[Trial]:
    if jobs == 1:
        return spread(lambda task: trial_of(task, stop), tasks, jobs=1, stop=stop)
    return spread(trial_of, tasks, jobs=jobs, stop=stop)


def trial_of(task: Task, stop: Callable[[], bool] = interrupted) -> Trial:
    began = cpu_seconds()
    try:
        with cpu_limit(task.limit):
            trial = play(task.seed, wish(task.faults, task.hours), stop=stop)
    except Overrun:
        trial = Trial(seed=task.seed, unfinished=True, what=f"not over after {task.limit:g} s of CPU time")
    return msgspec.structs.replace(trial, cpu_seconds=round(cpu_seconds() - began, 3))


def file_of(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}.yaml"


def _keep(asked: Asked, trial: Trial) -> None:
    if asked.out is not None:
        text = scenario_of(trial.seed, wish(asked.faults, asked.hours))
        file_of(asked.out, trial.seed).write_text(text, encoding="utf-8")
