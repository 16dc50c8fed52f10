"""So many runs of each kind and profile, over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ave.ha.timing import Timing
from sim.budget.causes import FAILURES
from sim.budget.figures import Budget, budget_of
from sim.budget.trial import BLIP, Task, Trial, play
from sim.outcome import INTERRUPTED, PASSED, THRESHOLD, VIOLATION
from sim.processes import spread

CAUSES = (*(failure.name for failure in FAILURES), BLIP)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    timings: tuple[Timing, ...]
    seeds: int
    first: int = 1
    jobs: int = 1

    def tasks(self) -> list[Task]:
        return [
            Task(timing, cause, self.first + place, place, self.seeds)
            for timing in self.timings
            for place in range(self.seeds)
            for cause in CAUSES
        ]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The same bytes for the same seeds, profiles and commit. ``runs``: how many there are of those that were asked for."""

    schema: int = 1
    first: int
    seeds: int
    runs: int
    partial: bool
    budgets: tuple[Budget, ...]

    @property
    def exit_code(self) -> int:
        if any(budget.broken for budget in self.budgets):
            return VIOLATION
        if self.partial:
            return INTERRUPTED
        return PASSED if all(budget.kept for budget in self.budgets) else THRESHOLD


def measure(
    asked: Asked,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    tasks = asked.tasks()
    trials: list[Trial] = []
    for trial in _trials(asked, tasks, stop):
        if not trial.partial:
            trials.append(trial)
        progress(len(trials), len(tasks))
    budgets = [budget_of(timing, [t for t in trials if t.task.timing == timing]) for timing in asked.timings]
    return Report(
        first=asked.first,
        seeds=asked.seeds,
        runs=len(trials),
        partial=len(trials) < len(tasks),
        budgets=tuple(budget for budget in budgets if budget.failures),
    )


def _trials(asked: Asked, tasks: list[Task], stop: Callable[[], bool]) -> Iterable[Trial]:
    if asked.jobs == 1:
        return spread(lambda task: play(task, stop), tasks, jobs=1, stop=stop)
    return spread(play, tasks, jobs=asked.jobs, stop=stop)
