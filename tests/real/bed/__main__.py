"""``python -m tests.real.bed up``, ``list``, ``down`` and ``sweep``: a bed to try things on, and to clean up after others."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import monotonic

from tests.real.bed import Bed, BedError, registry
from tests.real.bed.sweep import sweep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real.bed", description="A real cluster on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make a bed that stays until down")
    up.add_argument("--hosts", type=int, default=3)
    up.add_argument(
        "--root", type=Path, help="a folder that is not there yet; one in the temporary folder if not given"
    )
    commands.add_parser("list", help="which beds there are")
    commands.add_parser("sweep", help="remove what killed runs have left")
    down = commands.add_parser("down", help="that, and beds that stay: those named, or all")
    down.add_argument("root", type=Path, nargs="*", help="the folder of a bed")
    given = parser.parse_args()
    try:
        {"up": _up, "list": _list, "sweep": _sweep, "down": _down}[given.command](given)
    except BedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _up(given: argparse.Namespace) -> None:
    began = monotonic()
    bed = Bed(given.root, hosts=given.hosts, kept=True)
    bed.up()
    print(f"{bed.root}: up in {monotonic() - began:.1f} s; python -m tests.real.bed down removes it")
    for host in bed.hosts:
        print(f"  {host.name}: virsh -c {host.libvirt_uri}; inside: nsenter --target {host.pid} --all")
    print(
        f"  {bed.storage.name}: TGT_IPC_SOCKET={bed.storage.environ['TGT_IPC_SOCKET']} tgtadm -C 0 --mode system --op show"
    )


def _list(_: argparse.Namespace) -> None:
    for record in registry.records():
        state = "stays" if record.kept else "left behind" if record.orphan else f"of process {record.owner}"
        print(f"bed {record.bed} in {record.root}: {state}")


def _sweep(_: argparse.Namespace) -> None:
    _say(sweep())


def _down(given: argparse.Namespace) -> None:
    named = {str(root.absolute()) for root in given.root}
    _say(sweep(lambda record: bool(named) and record.root not in named))


def _say(removed: list[str]) -> None:
    for what in removed:
        print(f"removed {what}")
    if not removed:
        print("nothing was left behind")


if __name__ == "__main__":
    sys.exit(main())
