"""``python -m tests.mutants [--seeds 500] [--resume FILE] [--jobs 2]``: who catches which mutant, as docs/mutants.md.

Exits 1 if a scenario misses its own, or random exploration more than a tenth of all. Ctrl-C ends it with what is known by then.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ave.cli.screen import Interrupt
from ave.cli.tally import Tally
from sim.outcome import INTERRUPTED
from sim.processes import spread
from tests.mutants.directed import direct
from tests.mutants.hunt import Hunt, go_on, hunts
from tests.mutants.mutant import Mutant
from tests.mutants.page import GOAL, PAGE_FILE, page, row, share, verdict
from tests.mutants.table import MUTANTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="of random exploration, for each mutant at most")
    parser.add_argument("--hours", type=float, default=2.0, help="simulated, for each seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="what is done is kept there, and not done again")
    parser.add_argument("--only", default="", help="numbers or names, with commas; then the page is not written")
    asked = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS.values() if _is_asked(mutant, asked.only)]
    if not chosen or asked.seeds < 1 or asked.jobs < 1:
        parser.error("--only names no mutant" if not chosen else "--seeds and --jobs must be at least 1")
    hunted = hunts(chosen, asked.seeds, asked.hours, asked.resume)
    tally = Tally("mutants")
    with Interrupt().listening() as interrupt:
        labels = [mutant.label for mutant in chosen]
        found = {one.label: one for one in spread(direct, labels, jobs=asked.jobs, stop=interrupt)}
        go_on(hunted, asked.jobs, lambda hunted: _show(tally, hunted), interrupt)
        tally.close()
        if len(found) < len(chosen):
            return INTERRUPTED
    directed = [found[hunt.mutant.label] for hunt in hunted]
    if asked.only:
        for hunt, one in zip(hunted, directed, strict=True):
            print(" | ".join(row(hunt, one)))
    else:
        PAGE_FILE.write_text(page(hunted, directed, asked.seeds), encoding="utf-8")
    print(verdict(hunted, directed, asked.seeds))
    if interrupt():
        return INTERRUPTED
    return 0 if share(hunted) >= GOAL and all(all(one.broken.values()) for one in directed) else 1


def _is_asked(mutant: Mutant, only: str) -> bool:
    names = [name.strip() for name in only.split(",") if name.strip()]
    return not names or any(name in (mutant.name, str(mutant.number)) for name in names)


def _show(tally: Tally, hunted: list[Hunt]) -> None:
    left = [hunt for hunt in hunted if hunt.wants]
    most = max((hunt.played for hunt in left), default=0)
    tally(len(hunted) - len(left), len(hunted), f"the others not caught in {most} seeds")


if __name__ == "__main__":
    raise SystemExit(main())
