"""``python -m sim.crashpoints``: the whole campaign, or one run of it again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from sim.crashpoints.campaign import Report, enumerate_case
from sim.crashpoints.cases import BY_NAME, CASES
from sim.crashpoints.page import page
from sim.crashpoints.trial import Blow, Strike, run


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.crashpoints", description=__doc__)
    parser.add_argument("--report", metavar="FILE", type=Path, help="write the page")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases whose name has it")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="processes")
    parser.add_argument(
        "--again", metavar=("CASE", "NTH BLOW"), nargs="+", help="one run; a blow is kill, power or stall"
    )
    asked = parser.parse_args(words)
    if asked.again:
        if asked.again[0] not in BY_NAME:
            parser.error(f"no case is called {asked.again[0]}; there are {', '.join(BY_NAME)}")
        return _again(asked.again[0], asked.again[1:])
    names = [case.name for case in CASES if asked.only in case.name]
    reports: list[Report] = []
    with get_context("spawn").Pool(asked.jobs) as pool:
        for report in pool.imap_unordered(enumerate_case, names):
            reports.append(report)
            runs = sum(tally.runs for tally in report.tallies.values())
            verdict = "sound" if report.sound else f"{len(report.findings)} FINDINGS"
            print(
                f"{len(reports):3} of {len(names)}  {runs:5} runs  {verdict}  {report.operation}: {report.phrase}",
                flush=True,
            )
            for finding in report.findings:
                print(f"    {finding}", flush=True)
    if asked.report:
        asked.report.write_text(page(reports), encoding="utf-8")
    return 0 if all(report.sound for report in reports) else 1


def _again(name: str, words: Sequence[str]) -> int:
    strikes = tuple(Strike(int(nth), Blow[blow.upper()]) for nth, blow in zip(words[::2], words[1::2], strict=True))
    trial = run(BY_NAME[name], strikes)
    for point in trial.struck:
        print(f"struck {point.process}, {point.task}, {point.place}")
    print(f"{', '.join(trial.states)} after {trial.seconds:.0f} s", trial.broken, *trial.left, sep="\n  ")
    return 1 if trial.broken or trial.left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
