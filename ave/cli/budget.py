"""``ave sim budget``: what high availability costs, measured."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ave.cli.screen import Interrupt, complain
from ave.cli.tally import Tally

if TYPE_CHECKING:
    from ave.ha.timing import Timing
    from sim.budget.campaign import Report


def budget(
    *,
    profile: str = "",
    give_up: float | None = None,
    verdict: float | None = None,
    seeds: int = 50,
    seed: int = 1,
    jobs: int | None = None,
    out: Path | None = None,
    page: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Measure downtime by kind of failure, and how often a healthy host is fenced. Exit 0 as promised, 98 an invariant
    violated, 99 a promise missed, 130 interrupted.

    Parameters
    ----------
    profile
        seed, standard, medium-high, high, or all of them side by side; seed if absent.
    give_up
        Seconds after which a cut-off host gives up; with --verdict instead of a profile.
    verdict
        Seconds of silence after which a host is fenced.
    seeds
        How many runs of each kind.
    seed
        The first of them.
    jobs
        Processes; as many as there are CPUs if absent.
    out
        Write report.md, downtime.svg and summary.json into this directory.
    page
        Write the report into this file, and its plot beside it.
    output
        What to print.
    """
    from ave.errors import Refused

    try:
        timings = _timings(profile, give_up, verdict)
        _at_least("--seeds", seeds, 1)
        _at_least("--seed", seed, 0)
        _at_least("--jobs", 1 if jobs is None else jobs, 1)
    except Refused as problem:
        return complain(problem)

    from sim.budget.campaign import Asked, measure

    asked = Asked(timings=timings, seeds=seeds, first=seed, jobs=jobs or os.cpu_count() or 1)
    tally = Tally("runs")
    words = ["--give-up", f"{give_up:g}", "--verdict", f"{verdict:g}"] if give_up is not None else []
    words = words or ["--profile", profile or "seed"]
    words += ["--seeds", str(seeds), *(["--seed", str(seed)] if seed != 1 else [])]
    try:
        for folder in (out, page and page.parent):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)  # before minutes of work
        with Interrupt().listening() as interrupt:
            report = measure(asked, progress=lambda done, total: tally(done, total, "measured"), stop=interrupt)
        tally.close()
        _write(report, " ".join(["ave sim budget", *words]), out, page)
    except OSError as problem:
        tally.close()
        return complain(problem)
    _print(report, output)
    return report.exit_code


def _timings(profile: str, give_up: float | None, verdict: float | None) -> tuple[Timing, ...]:
    from ave.errors import Refused
    from ave.ha.timing import PROFILES, Timing
    from sim.scenario.problem import Guesser, quote

    if give_up is not None or verdict is not None:
        if give_up is None or verdict is None or profile:
            raise Refused("--give-up and --verdict come together, and instead of --profile")
        timing = Timing(name="custom", give_up=give_up, verdict=verdict)
        timing.require_safe()
        return (timing,)
    if profile == "all":
        return tuple(PROFILES.values())
    known = PROFILES.get(profile or "seed")
    if known is None:
        hint = Guesser().hint(profile, [*PROFILES, "all"])
        raise Refused(f"unknown profile {quote(profile)}{hint} (there are {', '.join(PROFILES)}, and all)")
    return (known,)


def _at_least(option: str, number: int, least: int) -> None:
    from ave.errors import Refused

    if number < least:
        raise Refused(f"{option} must be at least {least}")


def _write(report: Report, command: str, out: Path | None, page: Path | None) -> None:
    import msgspec

    from sim.budget.page import page as written
    from sim.budget.plot import plot

    if out is not None:
        encoded = msgspec.json.format(msgspec.json.encode(report), indent=1)
        (out / "summary.json").write_bytes(encoded + b"\n")
    for file in ([out / "report.md"] if out is not None else []) + ([page] if page is not None else []):
        picture = file.with_name("downtime.svg") if file.name == "report.md" else file.with_suffix(".svg")
        file.write_text(written(report, command, picture.name), encoding="utf-8")
        picture.write_text(plot(report.budgets), encoding="utf-8")


def _print(report: Report, output: str) -> None:
    if output == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())
        return
    from rich.console import Console
    from rich.table import Table

    from sim.budget import page

    tables: list[tuple[tuple[str, ...], list[tuple[str, ...]], str]] = [
        (page.PROFILE_HEAD, page.profiles(report), ""),
    ]
    for budget in report.budgets:
        tables += [
            (page.FAILURE_HEAD, page.failures(budget), budget.profile),
            (page.BLIP_HEAD, page.blips(budget), budget.profile),
        ]
    console = Console(width=None if sys.stdout.isatty() else 140)
    for head, rows, title in tables:
        shown = Table(*head, title=title or None, title_justify="left", box=None, pad_edge=False)
        for row in rows:
            shown.add_row(*row)
        console.print(shown, "")
    print(page.verdict(report))
