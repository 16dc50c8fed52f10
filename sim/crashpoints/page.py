"""The campaign in words: docs/crash-points.md."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import ave
from ave.operations import OPERATIONS
from sim.crashpoints.campaign import TWICE, Report, Tally
from sim.crashpoints.cases import CASES
from sim.crashpoints.points import Place
from sim.crashpoints.trial import FORCES, Blow

ROOT = Path(ave.__file__).parents[1]
COMMAND = ".venv/bin/python -m sim.crashpoints --report docs/crash-points.md"
WORK = ("jobs", "vms", "storage", "network", "hosts", "groups", "scheduler")  # of ave/: what works for Jobs
COLUMNS = (*(str(blow) for blow in Blow), TWICE)
HEAD = f"""\
# Crash points

Written by `{COMMAND}`, which takes some minutes. `make soak` runs the same campaign and demands that every point is
reached and none is stuck; a cheap test compares the list of cases.

A **point** is one suspension of a coroutine that works for a Job: its submission at the host that was asked, its claims, the
Leader's begin and end, each Follower task and undo, each fold, a cancellation. A store call stands still twice, on the way
there and on the way back, so an effect without its answer is a point too. One run without a fault counts the points of a case;
then the same seed leads to each of them again, and there, one run for each:

- **{Blow.KILL}** that stands there. Its supervisor starts it again within 3 s.
- **{Blow.POWER}** for {FORCES[Blow.POWER].lasts:.0f} s, longer than the verdict of 90 s; then it boots.
- **{Blow.STALL}** for {FORCES[Blow.STALL].lasts:.0f} s, longer than a worker's lease of 30 s. It goes on beside its successor.
- **{TWICE}**: from each point, who does the same work anew; and at each await that only a recovery has.

Afterwards every Job has ended; no work, lock, turn, reservation or alarm is left; documents, domains and LUNs agree; no
invariant of the [oracle](scenarios.md#invariants) was broken. After a kill the outcome must be that of the run without a crash,
but for a scheduled Job, which may have failed, and for one whose cancellation may come too late or too early. When a host is
lost, what is bound to it may fail.
"""

PLACES = """\
Every function that awaits in what works for Jobs. `awaits`: how many it has; `under way`: how many of them were under way, in
it or in what it called, when something was struck or while that was recovered from; `points`: how often one of them was the
innermost, without a crash. What was never under way belongs to a store or storage that does not answer, to limits, and to
loops that work for no Job in particular: other campaigns are for those.
"""


def page(reports: Iterable[Report]) -> str:
    reports = list(reports)
    return "\n".join([HEAD, *_cases(reports), "", *_findings(reports), *_places(reports), ""])


def listed(text: str) -> list[tuple[str, str]]:
    """The (operation, phrase) of each case in a page."""
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [(row[0].strip("| `"), row[1]) for row in rows if row[0].strip("| `") in OPERATIONS]


def _cases(reports: list[Report]) -> Iterator[str]:
    yield "## Cases\n"
    yield "`reached` and `runs` count all blows. Times are the longest until all had settled, in simulated seconds.\n"
    yield "| operation | case | points | runs | reached | stuck | wrong | kill | power | stall | twice |"
    yield "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    whole = {column: Tally() for column in COLUMNS}
    points = 0
    order = [(case.operation, case.phrase) for case in CASES]
    for report in sorted(reports, key=lambda report: order.index((report.operation, report.phrase))):
        yield f"| `{report.operation}` | {report.phrase} | {_row(report.points, report.tallies)} |"
        points += report.points
        for column in COLUMNS:
            whole[column].add(report.tallies[column])
    yield f"| all | {len(reports)} cases | {_row(points, whole)} |"


def _row(points: int, tallies: dict[str, Tally]) -> str:
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    figures = [points, total.runs, total.reached, total.stuck, total.wrong]
    longest = [f"{tallies[column].longest:.0f} s" for column in COLUMNS]
    return " | ".join([*(f"{figure:,}" for figure in figures), *longest])


def _findings(reports: list[Report]) -> Iterator[str]:
    findings = [finding for report in reports for finding in report.findings]
    if not findings:
        return
    yield "## Findings\n"
    yield from (f"- {finding}" for finding in findings)
    yield ""


def _places(reports: list[Report]) -> Iterator[str]:
    """Every function that awaits, and how many of its awaits were under way when something was struck."""
    struck: dict[Place, int] = {}
    passed: dict[Place, None] = {}
    for report in reports:
        passed.update(dict.fromkeys(report.passed))
        for place, points in report.places.items():
            struck[place] = struck.get(place, 0) + points
    by_position = {(place.file, place.line, place.column): place for place in passed}
    yield "## Places\n"
    yield PLACES
    yield "| function | awaits | under way | points |"
    yield "| --- | --: | --: | --: |"
    for file, function, awaits in _awaits():
        under_way = [by_position[file, *each] for each in awaits if (file, *each) in by_position]
        points = sum(struck.get(place, 0) for place in under_way)
        yield f"| `{file}` {function} | {len(awaits)} | {len(under_way)} | {points:,} |"


def _awaits() -> Iterator[tuple[str, str, list[tuple[int, int]]]]:
    for folder in WORK:
        for path in sorted((ROOT / "ave" / folder).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for name, awaits in _functions(tree, ""):
                if awaits:
                    yield f"ave/{folder}/{path.name}", name, awaits


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", list(_of_body(child))
            yield from _functions(child, f"{prefix}{child.name}.")


def _of_body(function: ast.AST) -> Iterator[tuple[int, int]]:
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.AsyncFunctionDef | ast.FunctionDef):
            continue
        if isinstance(child, ast.Await):
            yield child.lineno, child.col_offset
        yield from _of_body(child)
