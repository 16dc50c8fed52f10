"""Promises about a cluster at peace, in one that is looked at in parts: every thing is looked at once a round."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from sim.invariants import lasting
from sim.invariants.lasting import LOOK_SECONDS, Lasting
from sim.violation import Violation


class Looked(Lasting):
    id, seconds = "X1", 100.0

    def __init__(self, stage: Any) -> None:
        super().__init__(stage)
        self.seen: Counter[str] = Counter()
        self.bad: set[str] = set()

    def wrong(self):
        for name in self.part("VMs", lambda: self._stage.store.ledger.shelves_by_name["vm"].docs):
            self.seen[name] += 1
            if name in self.bad:
                yield name, f"{name} is wrong", (name,)


@pytest.fixture
def looked():
    clock = SimpleNamespace(now=0.0, disturbed=0.0)
    shelf = SimpleNamespace(docs={f"v{number}": number for number in range(1203)})
    stage: Any = SimpleNamespace(
        now=lambda: clock.now,
        calm=SimpleNamespace(
            peace=lambda since: clock.now - max(since, clock.disturbed) if clock.now >= clock.disturbed else 0.0,
            disturbed_at=1.0,
        ),
        store=SimpleNamespace(ledger=SimpleNamespace(shelves_by_name={"vm": shelf})),
        held=dict,
    )
    made: Any = Looked(stage)
    made.clock, made.docs = clock, shelf.docs
    return made


def go(looked, seconds):
    ends = looked.clock.now + seconds
    while looked.clock.now < ends:
        looked.clock.now += 1.0
        looked.tick(looked.clock.now)


def test_each_thing_is_looked_at_once_in_a_round(looked):
    go(looked, 4 * LOOK_SECONDS)
    assert len(looked.seen) == 1203
    assert max(looked.seen.values()) - min(looked.seen.values()) <= 1
    assert 3 <= min(looked.seen.values()) <= 5


def test_no_look_is_at_many_at_once(looked):
    before = 0
    for _ in range(90):
        go(looked, 1.0)
        assert looked.seen.total() - before <= lasting.AT_ONCE
        before = looked.seen.total()


def test_what_lasts_breaks_the_promise_and_what_ends_does_not(looked):
    looked.bad = {"v7", "v1200"}
    go(looked, 60.0)
    looked.bad = {"v1200"}
    with pytest.raises(Violation, match="v1200 is wrong"):
        go(looked, 100.0)


def test_what_comes_and_goes_meanwhile_moves_nobody_out_of_sight(looked):
    looked.bad = {"v1200"}
    with pytest.raises(Violation, match="v1200"):
        for number in range(20):
            go(looked, 10.0)
            del looked.docs[f"v{number}"]
            looked.docs[f"new-{number}"] = number


def test_at_the_end_all_is_looked_at(looked):
    go(looked, 12.0)
    looked.seen.clear()
    looked.end(None)
    assert set(looked.seen.values()) == {1}
    assert len(looked.seen) == 1203


def test_a_disturbance_begins_it_anew(looked):
    looked.bad = {"v1200"}
    for _ in range(6):
        go(looked, 60.0)
        looked.clock.disturbed = looked.clock.now + 1.0
