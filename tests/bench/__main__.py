"""``python -m tests.bench [--quick] [ID …]``: every ratio beside its goal. Exits 1 when a goal that is due is missed.

P11 replays the generated workload of ``sim.azure``, or the trace that AVE_TRACE names.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from time import monotonic

from tests.bench import (
    batches,
    capacity,
    hail,
    jobs,
    memory,
    mongo,
    placement,
    rescue,
    rest,
    scale,
    simulator,
    sqlite,
    story,
    tui,
)
from tests.bench.row import Row

BENCHES = {
    "P1": placement,
    "P4": batches,
    "P7": hail,
    "P9": simulator,
    "P10": scale,
    "P11": capacity,
    "P12": mongo,
    "P13": sqlite,
    "P15": rescue,
    "P16": rest,
    "P18": tui,
    "P19": memory,
    "JOBS": jobs,
    "STORY": story,
}
WIDTH = 52


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"of {', '.join(BENCHES)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: a look, not a measure")
    asked = parser.parse_args()
    unknown = [id for id in asked.ids if id not in BENCHES]
    if unknown:
        parser.error(f"unknown bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    rows: list[Row] = []
    print(f"{'ID':<6}{'WHAT':<{WIDTH}}{'MEASURED':>22}{'GOAL':>12}")
    for id, bench in BENCHES.items():
        if not asked.ids or id in asked.ids:
            began = monotonic()
            print(f"{id} …", end=" ", file=sys.stderr, flush=True)
            found = bench.run(quick=asked.quick) if "quick" in inspect.signature(bench.run).parameters else bench.run()
            print(f"{monotonic() - began:.0f} s", file=sys.stderr)
            rows += found
            print("\n".join(_line(row) for row in found), flush=True)
    missed = [row for row in rows if row.due and not row.ok]
    print(f"{len(missed)} goals missed" if missed else "every goal that is due is met")
    return 1 if missed else 0


def _line(row: Row) -> str:
    goal = "" if row.goal is None else f"{'≥' if row.better == 'more' else '≤'} {row.goal:g}"
    verdict = "" if row.goal is None else "ok" if row.ok else "MISSED" if row.due else "later"
    return f"{row.id:<6}{row.what:<{WIDTH}}{f'{row.measured:,.2f} {row.unit}':>22}{goal:>12}  {verdict}"


if __name__ == "__main__":
    sys.exit(main())
