"""``ave sim explore``: drawn scenarios by the thousand."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ave.cli.screen import Interrupt, complain
from ave.cli.tally import Tally

if TYPE_CHECKING:
    from sim.explore.campaign import Campaign


def explore(
    *,
    seeds: int,
    seed: int = 1,
    faults: str = "",
    hours: float = 2.0,
    jobs: int | None = None,
    out: Path | None = None,
    page: Path | None = None,
    resume: bool = False,
    limit: float | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Draw scenarios by seed and play them, to find what breaks. Exit 0 sound, 98 something broke, 99 void, 130 interrupted.

    Parameters
    ----------
    seeds
        How many.
    seed
        The first of them.
    faults
        Only these, with commas; all if absent.
    hours
        Simulated, for each seed.
    jobs
        Processes; as many as there are CPUs if absent.
    out
        Write report.md, the hash of each run, and the scenario of every seed that breaks something into this directory.
    page
        Write the report there as well.
    resume
        Do not play again what this directory says is done, by the same code.
    limit
        Seconds of CPU time after which a seed is given up.
    output
        What to print.
    """
    problem = _problem(seeds, seed, faults, hours, jobs, out, resume)
    if problem:
        return complain(problem)

    from sim.explore.campaign import LIMIT_SECONDS, Asked
    from sim.explore.campaign import explore as play

    names = tuple(name.strip() for name in faults.split(",") if name.strip())
    asked = Asked(
        seeds=seeds,
        first=seed,
        faults=names,
        hours=hours,
        jobs=jobs or os.cpu_count() or 1,
        out=out,
        resume=resume,
        limit=limit or LIMIT_SECONDS,
    )
    tally = Tally()
    try:
        if page is not None:
            page.parent.mkdir(parents=True, exist_ok=True)
        with Interrupt().listening() as interrupt:
            campaign = play(asked, progress=lambda found: _show(tally, found), stop=interrupt)
        tally.close()
        _write(campaign, out, page)
    except OSError as problem_of_disk:
        return complain(problem_of_disk)
    finally:
        tally.close()
    _tell(campaign, output)
    return campaign.exit_code


def _write(campaign: Campaign, out: Path | None, page: Path | None) -> None:
    from sim.explore.page import hashes, report

    for file in ([out / "report.md"] if out is not None else []) + ([page] if page is not None else []):
        file.write_text(report(campaign), encoding="utf-8")
    if out is not None:
        (out / "hashes.txt").write_text(hashes(campaign), encoding="utf-8")


def _tell(campaign: Campaign, output: str) -> None:
    from sim.explore.page import report, summary, verdict

    if output == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(campaign, enc_hook=str), indent=1).decode())
        return
    print(report(campaign) if sys.stdout.isatty() else f"{summary(campaign)}\n{verdict(campaign)}")
    for trial in campaign.broken:
        print(f"seed {trial.seed}: {trial.broken} at {trial.at:.1f} s: {trial.what}")


def _problem(seeds: int, seed: int, faults: str, hours: float, jobs: int | None, out: Path | None, resume: bool) -> str:
    """What is wrong with the options, or nothing."""
    from sim.explore.draw import LEAST_HOURS
    from sim.faults import FAULTS
    from sim.scenario.problem import Guesser, quote

    if seeds < 1 or seed < 0:
        return "--seeds must be at least 1, and --seed at least 0"
    if not LEAST_HOURS <= hours <= 240:
        return f"--hours must be between {LEAST_HOURS:g} and 240: some of it is for everything to come to rest"
    if jobs is not None and jobs < 1:
        return "--jobs must be at least 1"
    if resume and out is None:
        return "--resume needs --out DIR: where is the campaign that goes on?"
    for name in (name.strip() for name in faults.split(",")):
        if name and name not in FAULTS:
            return f"unknown fault {quote(name)}{Guesser().hint(name, FAULTS)} (ave sim faults lists them)"
    return ""


def _show(tally: Tally, campaign: Campaign) -> None:
    faults = sum(campaign.struck.values())
    said = f"{faults:,} faults, {len(campaign.broken)} seeds broke something"
    tally(campaign.seeds + len(campaign.unfinished), campaign.asked.seeds, said)
