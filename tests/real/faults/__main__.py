"""``python -m tests.real.faults``: play faults, tell what was seen, write docs/real-faults.md. Exit 0: nothing was wrong."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.real.faults.page import page, summary
from tests.real.faults.play import Row, play
from tests.real.faults.table import FAULTS, Fault

ROOT = Path(__file__).parents[3]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real.faults", description="Real faults on the real bed.")
    parser.add_argument("--runs", type=int, default=60, help="of all lanes together")
    parser.add_argument("--seed", default="1", help="of the order, and of whom a fault strikes")
    parser.add_argument("--lanes", type=int, default=2, help="clusters at once")
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--more", action="store_true", help="than was played before: the page is of all of it")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs/real-faults", help="rows, and the logs of what went wrong"
    )
    parser.add_argument(
        "--page", type=Path, default=None, help="what to write docs/real-faults.md to, if all faults are played"
    )
    parser.add_argument("--lane", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    return _lead(given) if given.lane is None else _play(given)


def _lead(given: argparse.Namespace) -> int:
    for old in [] if given.more else given.out.glob("lane-*.jsonl"):
        old.unlink()
    words = [sys.executable, "-m", "tests.real.faults", *sys.argv[1:]]
    lanes = [subprocess.Popen([*words, "--lane", str(lane)], cwd=ROOT) for lane in range(given.lanes)]
    codes = [lane.wait() for lane in lanes]
    rows = [row for path in sorted(given.out.glob("lane-*.jsonl")) for row in _rows(path)]
    print(summary(rows))
    if given.page is not None and (given.more or not given.only):
        given.page.write_text(page(rows))
    return int(any(codes) or len(rows) < given.runs or any(row.wrongs for row in rows))


def _rows(path: Path) -> list[Row]:
    return [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines()]


def _play(given: argparse.Namespace) -> int:
    """One lane: its share of the faults and of the runs."""
    faults = _share([fault for fault in FAULTS if given.only in fault.name], given.lane, given.lanes)
    runs = len(range(given.lane, given.runs, given.lanes))
    path = given.out / f"lane-{given.lane}.jsonl"

    def tell(row: Row) -> None:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
        said = "; ".join(wrong.splitlines()[0] for wrong in row.wrongs) or "as it must be"
        what = f"{row.fault} ({row.what})"
        print(f"lane {given.lane}: {what}: {row.seconds:.0f} s, whole after {row.whole:.0f} s: {said}", flush=True)

    asyncio.run(play(faults, runs, f"{given.seed}/{given.lane}", given.out / f"lane-{given.lane}", tell))
    return 0


def _share(faults: Sequence[Fault], lane: int, lanes: int) -> list[Fault]:
    """Those for which a host must go away are spread evenly: each lane's hosts can bear but few of them."""
    shared = sorted(faults, key=lambda fault: fault.returns)[lane::lanes]
    return shared or list(faults)


if __name__ == "__main__":
    sys.exit(main())
