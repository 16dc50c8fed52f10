"""``ave real``: play scenario files on the test bed of a source checkout, and compare that with the simulator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ave.cli.screen import complain

if TYPE_CHECKING:
    from sim.scenario.model import Scenario

OUT = Path("runs/both")


def run(file: Path, /) -> int:
    """Play a scenario on three real hosts in this machine, and judge what it expects. Exit 0 passed, 99 something expected was
    missed, 1 the bed failed, 2 invalid, or nothing that the bed can play.

    Parameters
    ----------
    file
        The scenario.
    """
    from ave.errors import AveError
    from sim.scenario.problem import Invalid

    try:
        both = _bed()
        scenario = _load(both, file)
        played = both.play(scenario, lambda said: print(said, file=sys.stderr, flush=True))
    except (AveError, Invalid, OSError) as problem:
        return complain(problem)
    from ave.cli.table import show_played

    show_played(played)
    return 0 if played.passed else 99


def compare(*files: Path, page: Path | None = None, out: Path = OUT, resume: bool = False) -> int:
    """Play scenarios on the bed and in the simulator, and compare what the stores show. Exit 0 the same, 99 something is not,
    1 the bed failed, 2 invalid, or nothing that the bed can play.

    Parameters
    ----------
    files
        The scenarios.
    page
        Write the table to this file, in Markdown.
    out
        Keep what the bed showed in this directory.
    resume
        Do not play on the bed what it has played already, as long as its file is the same.
    """
    from ave.errors import AveError
    from sim.scenario.problem import Invalid

    if not files:
        return complain("which files? ave real compare FILE …")
    try:
        both = _bed()
        scenarios = [(file, _load(both, file)) for file in files]
        out.mkdir(parents=True, exist_ok=True)
        compared = [_compared(both, file, scenario, out, resume) for file, scenario in scenarios]
    except (AveError, Invalid, OSError) as problem:
        return complain(problem)
    from sim.worlds.page import page as written
    from sim.worlds.page import summary

    print(summary(compared))
    if page is not None:
        page.write_text(written(compared), encoding="utf-8")
    return 0 if all(each.passed for each in compared) else 99


def _compared(both: Any, file: Path, scenario: Scenario, out: Path, resume: bool) -> Any:
    from sim.worlds.compare import compare as compared
    from sim.worlds.compare import entries
    from sim.worlds.page import Compared, line
    from sim.worlds.simulated import play

    outcome, moments = play(scenario)
    real = both.played(file, scenario, out, resume, lambda said: print(f"{file}: {said}", file=sys.stderr, flush=True))
    things = compared(moments, real.moments, entries(scenario))
    meta = scenario.metadata
    found = Compared(file.as_posix(), meta.name, meta.description, things, list(outcome.expected), real.expected)
    print(line(found), flush=True)
    return found


def _load(both: Any, file: Path) -> Scenario:
    from sim.scenario.load import load
    from sim.tables import CATALOGUE

    scenario = load(file, CATALOGUE)
    both.require_fit(scenario, file)
    return scenario


def _bed() -> Any:
    """The bed is part of the tests: it is in a checkout, and in no package."""
    from ave.errors import Refused

    root = Path(__file__).parents[2]
    if not (root / "tests/real").is_dir():
        raise Refused(
            f"ave real: the test bed is in tests/real of a source checkout, and {root} is none: run it in one"
        )
    sys.path.insert(0, str(root))
    try:
        from tests.real import both
    except ModuleNotFoundError as missing:
        raise Refused(
            f"ave real: {missing.name} is not installed: make test-real installs what the bed needs"
        ) from None
    return both
