"""``ave sim shrink``: from a story that fails to the shortest one that fails in the same way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ave.cli.screen import Interrupt, complain
from ave.cli.tally import Tally

if TYPE_CHECKING:
    from sim.shrink import Left


def shrink(file: Path, /, *, seed: int | None = None, out: Path | None = None, tries: int = 400, seeds: int = 3) -> int:
    """Cut a failing scenario down: fewest faults, requests, hosts, VMs, seconds. Exit 0 done, 2 nothing fails, 130 interrupted.

    Parameters
    ----------
    file
        The scenario, or the directory of a run.
    seed
        Instead of the scenario's own, or of the run's.
    out
        Where to write what is left; beside the scenario if absent.
    tries
        At most so many runs.
    seeds
        By how many seeds a smaller scenario is tried before it is given up.
    """
    import yaml

    from ave.errors import Refused
    from sim.shrink import of_run, read
    from sim.shrink import shrink as cut_down
    from sim.story import once

    if tries < 1 or seeds < 1:
        return complain("--tries and --seeds must be at least 1")
    tally = Tally("tries")
    try:
        document = of_run(file) if file.is_dir() else read(file)
        if seed is not None:
            document["spec"]["seed"] = seed
        folder = file if file.is_dir() else file.parent
        with Interrupt().listening() as interrupt:
            left = cut_down(
                document,
                lambda scenario, seed: once(scenario, seed, stop=interrupt),
                folder=folder,
                most_tries=tries,
                seeds=seeds,
                progress=lambda left: _show(tally, left, tries),
                stop=interrupt,
            )
    except (Refused, OSError, yaml.YAMLError) as problem:
        return complain(problem)
    finally:
        tally.close()
    place = out or (folder / "shrunk.yaml" if file.is_dir() else file.with_name(f"{file.stem}-shrunk.yaml"))
    place.write_text(left.text, encoding="utf-8")
    print(left.text, end="")
    print(f"{left.faults} faults are left after {left.tries} tries: {place}", file=sys.stderr)
    return 130 if interrupt() else 0


def _show(tally: Tally, left: Left, most: int) -> None:
    spec = left.document["spec"]
    hosts = spec["topology"].get("hosts", "several shapes of")
    said = f"{left.broken}: {left.faults} faults, {len(spec.get('timeline', []))} events, {hosts} hosts, {left.at:.0f} s left"
    tally(left.tries, most, said)
