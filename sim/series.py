"""Many runs of one file: every combination of its matrix, each by so many seeds; and the figures of them all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

import msgspec

from ave import __version__
from ave.errors import Refused
from sim.metrics import percentile
from sim.outcome import INTERRUPTED, PASSED, THRESHOLD, VIOLATION, Outcome
from sim.processes import interrupted, spread
from sim.report import figure, table, verdict
from sim.run import Asked, run
from sim.scenario.matrix import Given
from sim.scenario.model import Scenario

SHARE = 0.95  # of confidence in the interval of a median
MOST_STEPS = 10_000
FIGURES = ("ha.rescued", "ha.resumed", "ha.waiting", "ha.recovery_time.max", "vm.pause.max")  # without thresholds

_STEP = re.compile(r"(?P<low>-?[0-9]+(?:\.[0-9]+)?)(?P<unit>[A-Za-z%]*)\.\.(?P<high>[^/]+)(?:/(?P<step>.+))?")


class Spread(msgspec.Struct, frozen=True):
    """Of one metric over the seeds. From ``low`` to ``high`` lies the true median, with 95 % confidence whatever the
    distribution; fewer than six seeds cannot say so, and then it is everything there was."""

    median: float
    min: float
    max: float
    low: float
    high: float


class Row(msgspec.Struct, frozen=True):
    """One combination."""

    given: dict[str, str]
    runs: int
    passed: int
    violations: dict[str, int]  # by invariant
    metrics: dict[str, Spread]


class Played(msgspec.Struct, frozen=True):
    given: dict[str, str]
    seed: int
    exit_code: int
    verdict: str


class Series(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = 1
    name: str
    description: str
    partial: bool
    figures: tuple[str, ...]  # the metrics that its thresholds are about
    rows: tuple[Row, ...]
    runs: tuple[Played, ...]

    @property
    def exit_code(self) -> int:
        codes = [run.exit_code for run in self.runs]
        for code in (VIOLATION, THRESHOLD):
            if code in codes:
                return code
        return INTERRUPTED if self.partial else PASSED


def play(
    asked: Asked,
    scenario: Scenario,
    runs: list[Asked],
    *,
    jobs: int,
    progress: Callable[[str, float, float], None] = lambda what, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Series:
    """All of them; written into ``asked.out``, if there is one."""
    found: dict[tuple[Given, int], Outcome] = {}
    for one, outcome in spread(_run, runs, jobs=jobs, stop=stop):
        assert one.seed is not None, "the plan gave it one"
        if not outcome.partial:
            found[one.given, one.seed] = outcome
        progress(f"{len(found)} of {len(runs)} runs", len(found), len(runs))
    done = [
        (one.given, found[one.given, one.seed])
        for one in runs
        if one.seed is not None and (one.given, one.seed) in found
    ]
    by_given: dict[Given, list[Outcome]] = {}
    for given, outcome in done:
        by_given.setdefault(given, []).append(outcome)
    series = Series(
        name=scenario.metadata.name,
        description=scenario.metadata.description,
        partial=len(found) < len(runs),
        figures=tuple(dict.fromkeys(threshold.metric for threshold in scenario.thresholds)) or FIGURES,
        rows=tuple(_row(given, outcomes) for given, outcomes in by_given.items()),
        runs=tuple(Played(dict(given), o.seed, o.exit_code, verdict(o)) for given, o in done),
    )
    if asked.out is not None:
        _write(asked, series)
    return series


def _run(asked: Asked) -> tuple[Asked, Outcome]:
    outcome, _ = run(asked, stop=interrupted)
    return asked, outcome


def _row(given: Given, outcomes: list[Outcome]) -> Row:
    violations: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.violation is not None:
            violations[outcome.violation.invariant] = violations.get(outcome.violation.invariant, 0) + 1
    metrics = {name: spread_of([outcome.metrics[name] for outcome in outcomes]) for name in outcomes[0].metrics}
    return Row(dict(given), len(outcomes), sum(outcome.passed for outcome in outcomes), violations, metrics)


def spread_of(sample: list[float]) -> Spread:
    ordered = sorted(sample)
    low = _rank(len(ordered))
    return Spread(percentile(ordered, 0.5), ordered[0], ordered[-1], ordered[low], ordered[-1 - low])


def _rank(size: int) -> int:
    """How many of the least, and of the largest, can be left out so that the median still lies among the rest."""
    out, outside = -1, 0.0
    while 2 * (outside := outside + math.comb(size, out + 1) / 2**size) <= 1 - SHARE:
        out += 1
    return max(0, out)


def steps(text: str) -> tuple[str, list[str]]:
    """``timeline[0].for=75s..105s/1s`` or ``profile=seed,high``, as place and values. Raises Refused."""
    place, sign, said = text.partition("=")
    if not sign or not place or not said:
        raise Refused(f"{text!r} says nothing to vary: PLACE=FROM..TO/STEP, or PLACE=VALUE,VALUE …")
    found = _STEP.fullmatch(said)
    if found is None:
        return place, [value.strip() for value in said.split(",")]
    unit = found["unit"]
    low, high = Decimal(found["low"]), _amount(found["high"], unit, text)
    step = _amount(found["step"] or f"1{unit}", unit, text)
    if step <= 0 or high < low:
        raise Refused(f"{text!r} goes nowhere: from low to high, by a step above zero")
    count = int((high - low) / step) + 1
    if count > MOST_STEPS:
        raise Refused(f"{text!r} has {count} steps, more than {MOST_STEPS}")
    return place, [f"{_plain(low + step * number)}{unit}" for number in range(count)]


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _amount(text: str, unit: str, whole: str) -> Decimal:
    number = text.removesuffix(unit)
    if not re.fullmatch(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", number) or not text.endswith(unit):
        raise Refused(f"{whole!r}: {text} is no number with the unit {unit or '(none)'} of the first one")
    return Decimal(number)


def cells(series: Series) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and body of its table: a row for each combination, with medians and, behind them, the least and the most."""
    places = tuple(series.rows[0].given) if series.rows else ()
    head = (*places, "passed", "broken", *series.figures)
    return head, [_cells(row, series.figures) for row in series.rows]


def _cells(row: Row, figures: tuple[str, ...]) -> tuple[str, ...]:
    broken = ", ".join(f"{invariant} {count}×" for invariant, count in row.violations.items())
    said = []
    for name in figures:
        one = row.metrics[name]
        text = figure(name, one.median)
        said.append(text if one.min == one.max else f"{text} ({figure(name, one.min)} … {figure(name, one.max)})")
    return (*row.given.values(), f"{row.passed} of {row.runs}", broken, *said)


def markdown(series: Series) -> str:
    """The whole report."""
    passed = sum(row.passed for row in series.rows)
    said = "**INTERRUPTED** · " if series.partial else ""
    parts = [f"# {series.name}", series.description, f"{said}**{passed} of {len(series.runs)} runs passed**"]
    parts.append(table(*cells(series)))
    failed = [(*run.given.values(), str(run.seed), run.verdict) for run in series.runs if run.exit_code != PASSED]
    if failed:
        parts += ["## What failed", table((*series.runs[0].given, "seed", "verdict"), failed)]
    for row in series.rows:
        if row.runs > 1:
            with_these = ", ".join(f"{place} {value}" for place, value in row.given.items())
            body = [
                (
                    name,
                    *(figure(name, value) for value in (s.median, s.min, s.max)),
                    f"{figure(name, s.low)} … {figure(name, s.high)}",
                )
                for name, s in row.metrics.items()
                if s.max
            ]
            parts += [
                f"## {with_these or 'Figures'}",
                table(("metric", "median", "least", "most", "95 % interval"), body),
            ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _write(asked: Asked, series: Series) -> None:
    assert asked.out is not None
    asked.out.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(series), indent=1)
    (asked.out / "summary.json").write_bytes(encoded + b"\n")
    (asked.out / "report.md").write_text(markdown(series), encoding="utf-8")
    again = msgspec.structs.replace(asked, out=None)
    (asked.out / "repro.txt").write_text(f"{again.command}\n# ave {__version__}\n", encoding="utf-8")
    (asked.out / "scenario.yaml").write_bytes(asked.file.read_bytes())
