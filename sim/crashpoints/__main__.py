"""``python -m sim.crashpoints``: the whole campaign, or one run of it again.

--report FILE  write the page      --only TEXT  cases whose name has it      --jobs N  processes, 2 if absent
--again CASE NTH BLOW [NTH BLOW …]  one run; a blow is kill, power or stall
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from sim.crashpoints.campaign import Report, enumerate_case
from sim.crashpoints.cases import BY_NAME, CASES
from sim.crashpoints.page import page
from sim.crashpoints.trial import Blow, Strike, run


def main(words: Sequence[str]) -> int:
    if words and words[0] == "--again":
        return _again(words[1], words[2:])
    options = dict(zip(words[::2], words[1::2], strict=True))
    unknown = [name for name in options if name not in ("--report", "--only", "--jobs")]
    if unknown:
        print(__doc__, file=sys.stderr)
        return 2
    names = [case.name for case in CASES if options.get("--only", "") in case.name]
    reports: list[Report] = []
    with get_context("spawn").Pool(int(options.get("--jobs", "2"))) as pool:
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
    if "--report" in options:
        Path(options["--report"]).write_text(page(reports), encoding="utf-8")
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
