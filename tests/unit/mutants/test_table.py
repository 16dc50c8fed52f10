"""The table of mutants, the patches in it, and the page that says what came of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sim.explore.journal import Journal
from sim.explore.trial import Trial
from sim.invariants import TABLE
from tests.mutants.asked import ROWS as ASKED
from tests.mutants.directed import Directed
from tests.mutants.hunt import Hunt
from tests.mutants.mutant import Mutant
from tests.mutants.page import PAGE_FILE, page
from tests.mutants.table import LATER, MUTANTS
from tests.scenarios.shipped import CLUSTER

NUMBERS = range(1, 45)  # of the project's list of mutants


def test_every_number_is_a_row_once_or_comes_later() -> None:
    rows: list[Any] = [*MUTANTS.values(), *ASKED]
    numbers = Counter([mutant.number for mutant in rows if mutant.number] + list(LATER))
    assert sorted(numbers.elements()) == list(NUMBERS)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_row_names_what_there_is(mutant: Mutant) -> None:
    known = [invariant.id for invariant in TABLE] + ["crash"]
    assert all(id in known for id in (*mutant.caught_by, *mutant.blind))
    assert mutant.scenarios
    assert all(scenario in CLUSTER for scenario in mutant.scenarios)
    with mutant.applied(), mutant.blinded():
        pass


def test_the_page_has_a_row_for_each_and_none_that_nobody_caught() -> None:
    lines = [line for line in PAGE_FILE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][2:]
    cells = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]
    rows: list[Any] = [*MUTANTS.values(), *ASKED]
    known = [(str(mutant.number or "–"), mutant.broken) for mutant in rows]
    later = [(str(number), what) for number, (what, _) in LATER.items()]
    assert sorted(row[:2] for row in cells) == sorted((*known, *later)), "make mutants writes it"
    assert not [row for row in cells if "nobody" in row[2]]


def test_the_page_tells_who_caught_what_and_what_was_missed() -> None:
    one, other = MUTANTS["01-skips-locks"], MUTANTS["02-locks-one-by-one"]
    hunted = [hunt(one, Trial(seed=1), Trial(seed=2, broken="J4")), hunt(other, *(Trial(seed=n) for n in (1, 2, 3)))]
    directed = [Directed(one.label, {one.scenarios[0]: "J4"}), Directed(other.label, {other.scenarios[0]: ""})]
    text = page(hunted, directed, 3)
    assert "1 of 2 mutants are caught by their scenarios; random exploration catches 50% of the 2 with a number" in text
    assert f"| 1 | {one.broken} | J4 | [jobs/failover-during-create]" in text
    assert "| 2 (J4) |" in text
    assert "| **nobody** |" in text
    assert "| not caught in 3 |" in text
    assert "It has not ended" not in text


def test_a_page_that_is_written_midway_says_so() -> None:
    mutant = MUTANTS["01-skips-locks"]
    text = page([hunt(mutant, Trial(seed=1))], [Directed(mutant.label, {mutant.scenarios[0]: "J4"})], 3)
    assert "It has not ended: 1 are still looked for." in text
    assert "| not caught in 1 |" in text


def hunt(mutant: Mutant, *trials: Trial) -> Hunt:
    made = Hunt(mutant, 3, 2.0, Journal(None, ""))
    made.add(trials)
    return made


def test_a_hunt_goes_on_where_it_stood_and_ends_with_what_it_finds(tmp_path: Path) -> None:
    mutant = MUTANTS["01-skips-locks"]
    file = tmp_path / "hunt.jsonl"
    first = Hunt(mutant, 10, 2.0, Journal(file, "a"))
    first.add([Trial(seed=1), Trial(seed=2), Trial(seed=3)])
    second = Hunt(mutant, 10, 2.0, Journal(file, "a"))
    assert second.task().seeds == (4, 5, 6)
    second.add([Trial(seed=4), Trial(seed=5, broken="J4")])
    assert not Hunt(mutant, 10, 2.0, Journal(file, "a")).wants
    assert Hunt(mutant, 10, 2.0, Journal(file, "other code")).task().seeds == (1,)
    assert Hunt(mutant, 4, 2.0, Journal(file, "a")).caught is None
