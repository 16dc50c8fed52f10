"""An outcome as a table on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sim.outcome import Outcome
    from sim.series import Series


def show(outcome: Outcome) -> None:
    from sim.report import capacity_lines, clock, rows, verdict

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    style = "green" if outcome.passed else "red"
    console.print(f"[bold]{outcome.name}[/bold]  {outcome.description}")
    console.print(f"seed {outcome.seed} · {clock(outcome.simulated_seconds)} simulated")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in rows(outcome):
        table.add_row(name, value)
    console.print(table)
    for judged in outcome.thresholds:
        mark = (
            "[green]✓[/green]"
            if judged.passed
            else "[red]✕[/red]"
            if judged.severity == "fail"
            else "[yellow]![/yellow]"
        )
        console.print(f"{mark} {judged.expr}   [dim]({judged.value:g})[/dim]", soft_wrap=True)
    for met in outcome.expected:
        mark = "[green]✓[/green]" if met.passed else "[red]✕[/red]"
        console.print(f"{mark} {met.what}   [dim]{met.found}[/dim]", soft_wrap=True)
    if outcome.armed:
        armed = "  ".join(f"{id} {count:,}" for id, count in outcome.armed.items() if count)
        console.print(f"[dim]invariants at stake:[/dim] {armed}", soft_wrap=True)
    if outcome.capacity is not None:
        for line in capacity_lines(outcome):
            if line != "```":
                console.print(line, soft_wrap=True, markup=False)
    if outcome.violation is not None:
        for event in outcome.violation.slice:
            console.print(f"  {event.at:12.3f}  {event.text}", soft_wrap=True, markup=False)
    console.print(f"[bold {style}]{verdict(outcome)}[/bold {style}]", soft_wrap=True)


def show_played(played: Any) -> None:
    """What a scenario did on the test bed."""
    from sim.worlds.chronicle import histories

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for what, moments in sorted(histories(played.moments).items()):
        steps = " → ".join(f"{moment.state} [dim]{moment.at:.1f} s[/dim]" for moment in moments)
        console.print(f"[bold]{what}[/bold]  {steps}", soft_wrap=True)
    for met in played.expected:
        mark = "[green]✓[/green]" if met.passed else "[red]✕[/red]"
        console.print(f"{mark} {met.what}   [dim]{met.found}[/dim]", soft_wrap=True)
    style, word = ("green", "PASSED") if played.passed else ("red", "FAILED: something expected was missed")
    console.print(f"[bold {style}]{word}[/bold {style}]")


def show_series(series: Series) -> None:
    from sim.series import cells

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(f"[bold]{series.name}[/bold]  {series.description}")
    head, body = cells(series)
    table = Table(*head, box=None, pad_edge=False)
    for row, texts in zip(series.rows, body, strict=True):
        table.add_row(*texts, style=None if row.passed == row.runs else "red")
    console.print(table)
    for run in series.runs:
        if run.exit_code:
            given = " ".join(f"{place}={value}" for place, value in run.given.items())
            console.print(f"seed {run.seed} {given}: {run.verdict}", soft_wrap=True, markup=False)
    passed = sum(row.passed for row in series.rows)
    style = "green" if series.exit_code == 0 else "red"
    said = f"{passed} of {len(series.runs)} runs passed" + (" before it was interrupted" if series.partial else "")
    console.print(f"[bold {style}]{said}[/bold {style}]")
