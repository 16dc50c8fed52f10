"""``ave sim``: run, sweep, validate, faults."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from ave.cli.screen import Interrupt, complain

if TYPE_CHECKING:
    from sim.run import Asked
    from sim.scenario.model import Scenario

Found = TypeVar("Found")


def run(
    file: Path,
    /,
    *,
    seed: int | None = None,
    repeat: int | None = None,
    given: Annotated[list[str] | None, Parameter(name="--set")] = None,
    jobs: int | None = None,
    out: Path | None = None,
    trace: Path | None = None,
    skip_bad_rows: bool = False,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Play a scenario and judge it. Exit 0 passed, 99 threshold missed, 98 invariant violated, 2 invalid, 130 interrupted.

    Parameters
    ----------
    file
        The scenario.
    seed
        Instead of the scenario's own.
    repeat
        So many seeds from there on, instead of the scenario's own number.
    given
        PLACE=VALUE: another value in a place of its spec, such as timeline[0].for=90s. May be given several times.
    jobs
        Processes for a scenario that is several runs; as many as there are CPUs if absent.
    out
        Write summary.json, report.md, repro.txt and, of a single run, the recording into this directory.
    trace
        Replay this trace in place of the scenario's generator.
    skip_bad_rows
        Leave bad rows of the trace out, and say how many.
    output
        What to print.
    """
    from ave.errors import Refused
    from sim.run import Asked, plan
    from sim.scenario.problem import Invalid

    try:
        asked = Asked(
            file=file,
            seed=seed,
            out=out,
            trace=trace,
            skip_bad_rows=skip_bad_rows,
            given=_given(given or []),
            repeat=_at_least_one(repeat, "--repeat"),
        )
        scenario, runs = plan(asked)
        if len(runs) > 1:
            return _series(asked, scenario, runs, _at_least_one(jobs, "--jobs"), output)
        return _single(runs[0] if out is None else runs[0].into(out), output)
    except (Invalid, Refused, OSError) as problem:
        return complain(problem)


def sweep(
    file: Path,
    /,
    *,
    vary: list[str],
    seed: int | None = None,
    repeat: int | None = None,
    jobs: int | None = None,
    out: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Play a scenario once for each step of a range, and compare. Exit codes as those of ave sim run.

    Parameters
    ----------
    file
        The scenario.
    vary
        PLACE=FROM..TO/STEP, such as timeline[0].for=75s..105s/1s, or PLACE=VALUE,VALUE. Several are combined.
    seed
        Instead of the scenario's own.
    repeat
        So many seeds for each step.
    jobs
        Processes; as many as there are CPUs if absent.
    out
        Write summary.json, report.md and repro.txt into this directory.
    output
        What to print.
    """
    from ave.errors import Refused
    from sim.run import Asked, plan
    from sim.scenario.problem import Invalid
    from sim.series import steps

    try:
        asked = Asked(file=file, seed=seed, out=out, repeat=_at_least_one(repeat, "--repeat"), vary=tuple(vary))
        scenario, runs = plan(asked, dict(steps(text) for text in vary))
        return _series(asked, scenario, runs, _at_least_one(jobs, "--jobs"), output)
    except (Invalid, Refused, OSError) as problem:
        return complain(problem)


def _single(asked: Asked, output: str) -> int:
    from ave.cli.meter import Meter
    from sim.run import run as play

    meter = Meter()
    try:
        with Interrupt().listening() as interrupt:
            outcome, bad = play(asked, progress=meter, stop=interrupt)
    finally:
        meter.close()
    if bad.count:
        print(f"{bad.count} bad rows of the trace were skipped:", *bad.first, sep="\n  ", file=sys.stderr)
    from ave.cli.table import show

    _print(outcome, show, asked, output)
    return outcome.exit_code


def _series(asked: Asked, scenario: Scenario, runs: list[Asked], jobs: int | None, output: str) -> int:
    from ave.cli.meter import Meter
    from sim.series import play

    meter = Meter()
    try:
        with Interrupt().listening() as interrupt:
            series = play(asked, scenario, runs, jobs=jobs or os.cpu_count() or 1, progress=meter, stop=interrupt)
    finally:
        meter.close()
    from ave.cli.table import show_series

    _print(series, show_series, asked, output)
    return series.exit_code


def _print(found: Found, show: Callable[[Found], None], asked: Asked, output: str) -> None:
    if output == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return
    show(found)
    if asked.out is not None:
        print(f"written to {asked.out}/ (report.md reads best)", file=sys.stderr)


def _given(texts: list[str]) -> tuple[tuple[str, str], ...]:
    from ave.errors import Refused

    pairs = [text.partition("=") for text in texts]
    for place, sign, _ in pairs:
        if not sign or not place:
            raise Refused(f"--set {place}: PLACE=VALUE, such as timeline[0].for=90s")
    return tuple((place, value) for place, _, value in pairs)


def _at_least_one(number: int | None, option: str) -> int | None:
    from ave.errors import Refused

    if number is not None and number < 1:
        raise Refused(f"{option} must be at least 1")
    return number


def validate(*files: Path) -> int:
    """Check scenario files without running them; every problem is printed at once. Exit 0 valid, 2 invalid."""
    from sim.scenario.load import load
    from sim.scenario.problem import Invalid
    from sim.tables import CATALOGUE

    if not files:
        return complain("which file? ave sim validate FILE …")
    worst = 0
    for file in files:
        try:
            scenario = load(file, CATALOGUE)
        except (Invalid, OSError) as problem:
            worst = complain(problem)
        else:
            print(f"{file}: valid ({scenario.metadata.name}, {scenario.topology.size} hosts)")
    return worst


def list_faults() -> int:
    """List what can be done to a simulated cluster, with parameters and the numbers of the fault catalogue it covers."""
    from rich.console import Console
    from rich.table import Table

    from sim.faults import FAULTS

    table = Table("FAULT", "COVERS", "TARGET", "LASTS", "PARAMETERS", "WHAT IT DOES", box=None, pad_edge=False)
    for fault in FAULTS.values():
        kind = fault.kind
        given = ", ".join(_parameter(parameter) for parameter in kind.parameters)
        lasts = "for: …" if kind.lasting else ""
        table.add_row(kind.name, " ".join(fault.covers), kind.target, lasts, given, kind.phrase)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0


def _parameter(parameter: Any) -> str:
    """With its default and its bounds."""
    if parameter.default is None:
        return f"{parameter.name}=…"
    if parameter.choices:
        return f"{parameter.name}={parameter.default} ({'|'.join(parameter.choices)})"
    if parameter.unit == "flag":
        return f"{parameter.name}={str(parameter.default).lower()}"
    return f"{parameter.name}={parameter.default} ({parameter.low:g}–{parameter.high:g})"
