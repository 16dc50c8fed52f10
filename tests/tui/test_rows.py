"""A list that is looked at only where it has changed is the list that is looked at as a whole."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ave.model.vm import VM, VMState
from tui.filters import parse
from tui.model import Model
from tui.rows import Rows
from tui.views.base import Context, Place, natural
from tui.views.vms import VMs


def vm(id: str, state: str = "running", memory_mib: int = 1) -> dict[str, Any]:
    host = f"host-{memory_mib}"
    made = VM(id=id, vcpus=1, memory_mib=memory_mib, state=VMState(state), host=host, labels={"tier": state})
    return cast("dict[str, Any]", msgspec.to_builtins(made))


IDS = st.sampled_from([f"web-{number}" for number in range(12)])
CHANGES = st.lists(
    st.tuples(
        IDS,
        st.sampled_from(["running", "stopped", "unknown", "gone"]),
        st.integers(1, 3),
        st.booleans(),  # is it the last one of a flush?
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(
    CHANGES,
    st.sampled_from(["NAME", "STATE", "MEM", "HOST", "LABELS"]),
    st.booleans(),
    st.sampled_from(["", "unknown", "!running", "web-1"]),
)
def test_order_by_news_is_order_by_all(changes: Any, title: str, largest_first: bool, said: str) -> None:
    model = Model()
    rows, marks = Rows(), {"web-1": None, "web-3": None}
    rows.listing = listing = VMs(Context(model, lambda: 0.0, str), Place("vms"))
    rows.sort, rows.filter, rows.marks = (title, largest_first), parse(said), dict(marks)
    seen = listing.seen()
    rows._arrange(listing)
    for id, state, memory, last in changes:
        body = {"gone": [["vm", id]]} if state == "gone" else {"vm": [vm(id, state, memory_mib=memory)]}
        model.feed("delta", body, 0.0)
        if not last or not model.flush():
            continue
        before = list(rows.rows)
        since, seen = seen, listing.seen()
        moved = rows._arrange(listing, since)
        anew = Rows()
        anew.listing, anew.sort, anew.filter = listing, rows.sort, rows.filter
        anew._arrange(listing)
        assert rows.rows == anew.rows
        assert (rows.total, rows._place) == (anew.total, anew._place)
        assert moved or before == rows.rows


def test_what_moves_nothing_is_not_looked_at_twice() -> None:
    model = Model()
    rows = Rows()
    rows.listing = listing = VMs(Context(model, lambda: 0.0, str), Place("vms"))
    rows.sort = ("STATE", False)
    model.feed("reset", {"vm": [vm(f"web-{number}") for number in range(5)]}, 0.0)
    model.flush()
    rows._arrange(listing)
    seen = listing.seen()
    model.feed("delta", {"vm": [vm("web-3", memory_mib=7)]}, 0.0)
    model.flush()
    assert listing.news(seen) == ["web-3"]
    assert not rows._arrange(listing, seen)
    seen = listing.seen()
    model.feed("delta", {"vm": [vm("web-3", "unknown")]}, 0.0)
    model.flush()
    assert rows._arrange(listing, seen)
    assert rows.rows[0] == "web-3"


@given(st.integers(0, 10**20), st.integers(0, 10**20), st.sampled_from(["", "-disk-1", "a"]))
def test_numbers_in_names_count_as_such(a: int, b: int, rest: str) -> None:
    assert (natural(f"web-{a}{rest}") < natural(f"web-{b}{rest}")) == (a < b)


def test_names_are_sorted_as_people_would() -> None:
    names = ["a", "db-1", "web", "web-", "web-2", "web-2-disk-1", "web-2-disk-10", "web-10-disk-1", "web-a"]
    names.reverse()
    assert sorted(names, key=natural) == names[::-1]
    assert len({natural(name) for name in ("web-1", "web-01", "web-001")}) == 3
