"""What the documentation says is so: drawn files are up to date, links lead somewhere, tables and commands are right."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ave.cli.main import app
from docs.draw_states import COMMAND, FILE, draw
from sim.actions import ACTIONS
from sim.faults import FAULTS
from sim.invariants import TABLE
from sim.scenario import rules
from sim.scenario.catalogue import Parameter
from sim.scenario.load import load, loads
from sim.scenario.schema import document
from sim.tables import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
}
GUIDE = PAGES["docs/scenarios.md"]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SIMULATE = re.compile(r"(?:sudo )?(?:\.venv/bin/)?ave (?=(?:sim|demo|plan|explain|config|doctor)\b)")


def blocks(page: str, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(PAGES[page].read_text(encoding="utf-8")) if kind == language]


def anchors(path: Path) -> list[str]:
    """The names that a Markdown reader gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def rows(heading: str) -> list[tuple[str, ...]]:
    """The table in that section of the guide, without its head."""
    _, _, after = GUIDE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    section = after.partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines[2:]]


def parameters(of: tuple[Parameter, ...]) -> str:
    """As the guide writes them: its name, its default, its bounds."""
    return ", ".join(_parameter(each) for each in of)


def _parameter(each: Parameter) -> str:
    if each.default is None:
        return f"`{each.name}`, required"
    if each.unit == "flag":
        return f"`{each.name}` = {str(each.default).lower()}"
    if each.unit == "text":
        return f"`{each.name}` = {each.default}" if each.default else f"`{each.name}`"
    unit = "s" if each.unit == "seconds" else ""
    return f"`{each.name}` = {each.default:g}{unit} ({each.low:g}{unit} to {each.high:g}{unit})"


def keys(rule: Any) -> Iterator[str]:
    """Every key that a scenario file may have, but the faults' and actions' own."""
    match rule:
        case rules.Record(fields=fields):
            for name, field in fields.items():
                yield name
                yield from keys(field.rule)
        case rules.OneOf(key=key, records=records):
            yield key
            for name, record in records.items():
                if name not in FAULTS and name not in ACTIONS:
                    yield from keys(record)
            yield from keys(rule.common)
        case rules.ByKey(records=records):
            for alternative in records.values():
                yield from keys(alternative)
        case rules.Many(of=inner):
            yield from keys(inner)
        case rules.Aimed(choice=choice):
            yield from keys(choice)


def test_the_states_are_drawn_from_the_tables() -> None:
    drawn = FILE.read_text(encoding="utf-8") if FILE.is_file() else ""
    assert drawn == draw(), f"docs/states.md is out of date: {COMMAND}"


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_somewhere(page: str) -> None:
    path = PAGES[page]
    broken = []
    for link in LINK.findall(BLOCK.sub("", path.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "http://")):
            continue
        place, _, anchor = link.partition("#")
        target = path.parent / place if place else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_guide_has_the_faults_there_are() -> None:
    assert rows("Faults")[: len(FAULTS)] == [
        (
            f"`{fault.kind.name}`",
            " ".join(fault.covers),
            fault.kind.target,
            "yes" if fault.kind.lasting else "no",
            parameters(fault.kind.parameters),
            fault.kind.phrase,
        )
        for fault in FAULTS.values()
    ]


def test_the_guide_says_of_every_catalogued_fault_by_what_it_is_done_or_why_it_is_not() -> None:
    catalogued = {row[0]: row[2] for row in rows("Faults")[len(FAULTS) :] if re.fullmatch(r"F\d\d", row[0])}
    assert list(catalogued) == [f"F{number:02}" for number in range(1, 61)]
    for number, by in catalogued.items():
        done = [f"`{fault.kind.name}`" for fault in FAULTS.values() if number in fault.covers]
        assert by == ", ".join(done) if done else by and "`" not in by.partition(" ")[0], number


def test_the_guide_has_the_actions_there_are() -> None:
    kinds = [action.kind for action in ACTIONS.values()]
    assert rows("Actions") == [
        (f"`{kind.name}`", kind.target, parameters(kind.parameters), kind.phrase) for kind in kinds
    ]


def test_the_guide_has_the_metrics_there_are() -> None:
    documented = rows("Metrics")
    known = [item for metrics in CATALOGUE.metrics.values() for item in metrics.items()]
    assert [row[:2] for row in documented] == [(f"`{name}`", unit) for name, unit in known]
    assert all(len(row) == 3 and row[2] for row in documented), "a metric is explained"


def test_the_guide_has_the_invariants_there_are() -> None:
    assert rows("Invariants") == [(f"`{invariant.id}`", invariant.phrase) for invariant in TABLE]


def test_the_guide_has_every_key_of_a_scenario() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    unexplained = [key for key in dict.fromkeys(keys(document(CATALOGUE))) if not re.search(rf"\b{key}\b", text)]
    assert not unexplained


@pytest.mark.parametrize("page", PAGES)
def test_a_scenario_in_a_page_is_valid(page: str) -> None:
    for text in blocks(page, "yaml"):
        if text.lstrip().startswith(("#", "apiVersion")):
            loads(text, CATALOGUE, PAGES[page])


@pytest.mark.parametrize("page", PAGES)
def test_a_command_in_a_page_is_understood_and_names_valid_scenarios(page: str) -> None:
    for line in "\n".join(blocks(page, "sh")).splitlines():
        if found := SIMULATE.match(line):
            words = shlex.split(re.split(r" [|>] ", line[found.end() :])[0], comments=True)
            app.parse_args(words, exit_on_error=False, print_error=False)
            for word in words:
                if word.endswith(".yaml") and words[0] == "sim":
                    load(ROOT / word, CATALOGUE)


def test_every_incident_is_a_scenario_and_is_told_of() -> None:
    told = PAGES["docs/incidents.md"].read_text(encoding="utf-8")
    files = {path.stem[:6]: path.name for path in (ROOT / "scenarios/ha").glob("inc-*.yaml")}
    assert sorted(files) == [f"inc-{number:02}" for number in range(1, 26) if number != 7]  # there are no snapshots yet
    for incident, file in files.items():
        row = next(line for line in told.splitlines() if line.startswith(f"| {incident.upper()} |"))
        assert f"(../scenarios/ha/{file})" in row
