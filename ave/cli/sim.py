"""``ave sim``: run, validate, faults."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ave.cli.screen import Interrupt, complain


def run(
    file: Path,
    /,
    *,
    seed: int | None = None,
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
    out
        Write summary.json, report.md, repro.txt and the recording into this directory.
    trace
        Replay this trace in place of the scenario's generator.
    skip_bad_rows
        Leave bad rows of the trace out, and say how many.
    output
        What to print.
    """
    from ave.cli.meter import Meter
    from ave.errors import Refused
    from sim.run import Asked
    from sim.run import run as play
    from sim.scenario.problem import Invalid

    meter = Meter()
    try:
        with Interrupt().listening() as interrupt:
            asked = Asked(file=file, seed=seed, out=out, trace=trace, skip_bad_rows=skip_bad_rows)
            outcome, bad = play(asked, progress=meter, stop=interrupt)
    except (Invalid, Refused, OSError) as problem:
        meter.close()
        return complain(problem)
    meter.close()
    if bad.count:
        print(f"{bad.count} bad rows of the trace were skipped:", *bad.first, sep="\n  ", file=sys.stderr)
    if output == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(outcome), indent=1).decode())
    else:
        from ave.cli.table import show

        show(outcome)
        if out is not None:
            print(f"written to {out}/ (report.md reads best)", file=sys.stderr)
    return outcome.exit_code


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
