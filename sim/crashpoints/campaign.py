"""One case, enumerated: what its points are, and what became of each when it was struck."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ave.model.work import WorkState
from ave.operations import OPERATIONS, JobType
from sim.crashpoints.cases import BY_NAME, Case
from sim.crashpoints.points import Place, Point
from sim.crashpoints.trial import SEED, Blow, Strike, Trial, run

STRIDE = 7  # by which the second strike moves on through the recoveries, from one first strike to the next

Run = Callable[[Case, tuple[Strike, ...]], Trial]


class Finding(msgspec.Struct, frozen=True):
    """A run that did not end as it must; ``seed`` and strikes repeat it."""

    case: str
    seed: int
    strikes: tuple[Strike, ...]
    where: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        strikes = " and ".join(
            f"{strike.blow} at point {strike.nth} ({where})"
            for strike, where in zip(self.strikes, self.where, strict=True)
        )
        again = " ".join(f"{strike.nth} {strike.blow.name.lower()}" for strike in self.strikes)
        return f"{self.case}: {strikes or 'no crash'}: {self.what} (--again '{self.case}' {again})"


class Tally(msgspec.Struct):
    """Of one sort of runs."""

    runs: int = 0
    reached: int = 0
    stuck: int = 0
    wrong: int = 0
    longest: float = 0.0  # simulated seconds until all had settled

    def add(self, other: Tally) -> None:
        self.runs += other.runs
        self.reached += other.reached
        self.stuck += other.stuck
        self.wrong += other.wrong
        self.longest = max(self.longest, other.longest)


class Report(msgspec.Struct):
    operation: str
    phrase: str
    points: int
    places: dict[Place, int]  # innermost awaits, and how many points each is
    passed: tuple[Place, ...]  # every await under way when something was struck
    tallies: dict[str, Tally]  # by blow; "twice"
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        return not self.findings and all(tally.reached == tally.runs for tally in self.tallies.values())


TWICE = "kill -9, and again while it recovers"


class Campaign:
    def __init__(self, case: Case, *, seed: int = SEED, run: Run | None = None) -> None:
        self.case, self._seed = case, seed
        self._run: Run = run or (lambda case, strikes: _run(case, strikes, seed))
        self._tallies = {str(blow): Tally() for blow in Blow} | {TWICE: Tally()}
        self._findings: list[Finding] = []
        self._passed: dict[Place, None] = {}
        self._recovering: dict[Place, None] = {}  # awaits that only a run with a crash has
        self._second: list[tuple[Point, Point]] = []  # where to strike a second time, after which first

    def enumerate(self, blows: tuple[Blow, ...] = tuple(Blow)) -> Report:
        """Every point with every blow; then every point that was killed once more, somewhere while it recovers, and so each
        await that only a recovery has."""
        quiet = self._run(self.case, ())
        places: dict[Place, int] = {}
        for point in quiet.points:
            places[point.place] = places.get(point.place, 0) + 1
        if quiet.broken or quiet.left:
            self._find((), quiet, quiet.broken or "; ".join(quiet.left))
            return self._report(quiet, places)
        for blow in blows:
            for point in quiet.points:
                trial = self._strike(str(blow), (Strike(point.nth, blow),), (point,), quiet)
                if blow is Blow.KILL:
                    self._look_for_recovery(point, trial, places)
        if Blow.KILL in blows:
            for points in self._second:
                self._strike(TWICE, tuple(Strike(point.nth, Blow.KILL) for point in points), points, quiet)
        return self._report(quiet, places)

    def _strike(self, sort: str, strikes: tuple[Strike, ...], points: tuple[Point, ...], quiet: Trial) -> Trial:
        trial = self._run(self.case, strikes)
        tally = Tally(runs=1, reached=int(trial.struck == points), longest=trial.seconds)
        if trial.struck != points:
            self._find(strikes, trial, f"not reached: expected {points}, struck {trial.struck}")
        elif trial.broken:
            tally.wrong = 1
            self._find(strikes, trial, trial.broken)
        elif trial.left:
            tally.stuck = 1
            self._find(strikes, trial, "; ".join(trial.left))
        elif why := difference(self.case, quiet, trial, [strike.blow for strike in strikes]):
            tally.wrong = 1
            self._find(strikes, trial, why)
        self._tallies[sort].add(tally)
        self._passed.update(dict.fromkeys(trial.passed))
        return trial

    def _look_for_recovery(self, first: Point, trial: Trial, places: dict[Place, int]) -> None:
        after = trial.points[first.nth :]
        again = [later for later in after if later.task == first.task] or after  # by who does the same work anew
        if again:
            self._second.append((first, again[STRIDE * first.nth % len(again)]))
        for later in after:
            if later.place not in places and later.place not in self._recovering:
                self._recovering[later.place] = None
                self._second.append((first, later))

    def _find(self, strikes: tuple[Strike, ...], trial: Trial, what: str) -> None:
        where = tuple(f"{point.process}, {point.task}, {point.place}" for point in trial.struck)
        where += ("not reached",) * (len(strikes) - len(where))
        self._findings.append(Finding(self.case.name, self._seed, strikes, where, what))

    def _report(self, quiet: Trial, places: dict[Place, int]) -> Report:
        passed = tuple(dict.fromkeys([*quiet.passed, *self._passed]))
        return Report(
            self.case.operation, self.case.phrase, len(quiet.points), places, passed, self._tallies, self._findings
        )


def difference(case: Case, quiet: Trial, trial: Trial, blows: list[Blow]) -> str:
    """What is not as it is without a crash, and should be; or nothing.

    A process that comes back at once changes nothing that a user sees. When a host is lost, what is bound to it may fail.
    """
    if any(blow is not Blow.KILL for blow in blows):
        return ""
    if OPERATIONS[case.operation].type is JobType.SCHEDULED:
        legal: tuple[WorkState, ...] = (*quiet.states, WorkState.FAILED)  # not repeated: its next cycle is the retry
    else:
        legal = (*quiet.states, *case.outcomes)
    if any(state not in legal for state in trial.states):
        return f"its Jobs are {', '.join(trial.states)}, and without a crash {', '.join(quiet.states)}"
    if case.cancel_after is not None:
        return _wishes(trial)
    if trial.states != quiet.states:
        return ""
    moved = [key for key in {**quiet.picture, **trial.picture} if quiet.picture.get(key) != trial.picture.get(key)]
    return "; ".join(f"{key} is {trial.picture.get(key)}, not {quiet.picture.get(key)}" for key in moved)


def _wishes(trial: Trial) -> str:
    """How far a Job had come when it was cancelled depends on the crash. What it wished of its VMs is taken back."""
    if WorkState.CANCELLED not in trial.states:
        return ""
    odd = [key for key, seen in trial.picture.items() if key.startswith("VM ") and seen[0] == "running" and not seen[1]]
    return f"its Job was cancelled, and {odd[0]} runs and is not wanted on" if odd else ""


def enumerate_case(name: str) -> Report:
    """For a process pool."""
    return Campaign(BY_NAME[name]).enumerate()


def _run(case: Case, strikes: tuple[Strike, ...], seed: int) -> Trial:
    return run(case, strikes, seed=seed)
