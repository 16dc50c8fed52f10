"""What a reader is told: everything that changed since it last asked, once, whenever it asks."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ave.ports.store import Commit, Kind
from ave.projection import MOST_LINES, MOST_TOMBSTONES, Delta, Projection


class Doc(msgspec.Struct, frozen=True):
    id: str
    version: int = 1


class Host(Doc, frozen=True):
    pass


class Beat(Doc, frozen=True):
    pass


KINDS = (Kind("vm", Doc), Kind("host", Host), Kind("beat", Beat, shown=False))

changes = st.tuples(
    st.sampled_from(["vm", "host", "beat"]), st.sampled_from("abcd"), st.sampled_from([True, True, False])
)
histories = st.lists(st.lists(changes, max_size=4), max_size=25)


def commits(history: list[list[tuple[str, str, bool]]]) -> list[Commit]:
    return [
        Commit(
            revision,
            0.5 * revision,
            tuple((kind, id, Doc(id, revision) if there else None) for kind, id, there in each),
        )
        for revision, each in enumerate(history, start=1)
    ]


def projection(*fed: Commit) -> Projection:
    made = Projection(KINDS)
    for commit in fed:
        made.apply(commit)
    return made


def vm(revision: int, *ids: str) -> Commit:
    return Commit(revision, 0.0, tuple(("vm", id, Doc(id, revision)) for id in ids))


def gone(revision: int, *ids: str) -> Commit:
    return Commit(revision, 0.0, tuple(("vm", id, None) for id in ids))


def ordered(docs: dict[str, dict[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    return {kind: list(of_kind.items()) for kind, of_kind in docs.items()}


class Reader:
    def __init__(self) -> None:
        self.docs: dict[str, dict[str, Any]] = {"vm": {}, "host": {}}

    def merge(self, delta: Delta) -> None:
        if delta.reset:
            self.docs = {"vm": {}, "host": {}}
        for kind, id in delta.gone:
            self.docs[kind].pop(id, None)
        for kind, docs in delta.docs.items():
            for doc in docs:
                self.docs[kind].pop(doc.id, None)
                self.docs[kind][doc.id] = doc


@given(histories)
def test_from_any_revision_one_delta_leads_to_the_present(history):
    fed = commits(history)
    for read in range(len(fed) + 1):
        reader, seen = Reader(), projection(*fed[:read])
        reader.merge(seen.since(0))
        assert ordered(reader.docs) == ordered(seen.docs)
        for commit in fed[read:]:
            seen.apply(commit)
        delta = seen.since(read)
        reader.merge(delta)
        assert ordered(reader.docs) == ordered(seen.docs)
        assert not delta.reset
        assert delta.revision == len(fed)


@given(histories, st.integers(0, 25))
def test_a_delta_holds_what_changed_and_nothing_else(history, revision):
    fed = commits(history)
    seen = projection(*fed)
    delta = seen.since(min(revision, len(fed)))
    told = [(kind, doc.id) for kind, docs in delta.docs.items() for doc in docs]
    changed = {(kind, id) for commit in fed[revision:] for kind, id, _ in commit.changes if kind != "beat"}
    assert len(told) == len(set(told))
    assert set(told) <= changed
    assert set(delta.gone) <= changed
    assert not set(told) & set(delta.gone)


@given(histories)
def test_the_revision_of_each_object_is_that_of_its_last_change(history):
    seen = projection(*commits(history))
    assert seen.revisions == {
        kind: {id: doc.version for id, doc in docs.items()} for kind, docs in seen.docs.items()
    }  # the test's documents carry it as their version


def test_documents_stand_in_order_of_their_last_change():
    seen = projection(vm(1, "a", "b", "c"), vm(2, "a"))
    assert list(seen.docs["vm"]) == ["b", "c", "a"]
    assert [doc.id for doc in seen.since(0).docs["vm"]] == ["b", "c", "a"]


def test_an_object_that_changed_often_is_told_once_as_it_is_now():
    seen = projection(*[vm(revision, "a") for revision in range(1, 100)])
    assert seen.since(5) == Delta(99, {"vm": [Doc("a", 99)]})


def test_kinds_that_nobody_wants_to_see_are_left_out():
    seen = projection(Commit(1, 0.0, (("beat", "h", Beat("h")), ("vm", "a", Doc("a")))))
    assert seen.docs == {"vm": {"a": Doc("a")}, "host": {}}
    assert seen.since(0).docs == {"vm": [Doc("a")]}


def test_what_came_back_is_not_gone():
    seen = projection(vm(1, "a"), gone(2, "a"), vm(3, "a"))
    assert seen.since(1) == Delta(3, {"vm": [Doc("a", 3)]})


def test_what_came_and_went_between_two_readings_is_gone():
    assert projection(vm(1, "a"), gone(2, "a")).since(0) == Delta(2, {}, [("vm", "a")])


def test_nothing_is_told_to_who_knows_it_all():
    assert projection(vm(1, "a"), gone(2, "a")).since(2) == Delta(2, {})


def test_who_was_away_for_too_many_deletions_begins_again():
    names = [f"vm-{number}" for number in range(MOST_TOMBSTONES + 1)]
    seen = projection(vm(1, *names, "left"), *[gone(2 + n, name) for n, name in enumerate(names)])
    everything = Delta(seen.revision, {"vm": [Doc("left", 1)], "host": []}, reset=True)
    assert seen.since(1) == everything
    assert len(seen.since(2).gone) == MOST_TOMBSTONES  # it still had to be told of all that are kept
    assert not seen.since(2).reset


def test_a_revision_from_elsewhere_begins_again():
    assert projection(vm(1, "a")).since(7) == Delta(1, {"vm": [Doc("a", 1)], "host": []}, reset=True)


def test_a_watch_that_repeats_itself_takes_nothing_back():
    first, second = vm(1, "a"), vm(2, "a")
    seen = projection(first, second, first, second)
    assert seen.docs["vm"]["a"].version == 2
    assert seen.revision == 2


def test_after_loading_everything_older_readers_begin_again():
    seen = projection(vm(1, "a"), vm(2, "b"))
    seen.load(vm(10, "b", "c"))
    assert list(seen.docs["vm"]) == ["b", "c"]
    assert seen.since(9).reset
    assert seen.since(10) == Delta(10, {})
    seen.apply(vm(11, "b"))
    assert seen.since(10) == Delta(11, {"vm": [Doc("b", 11)]})


def test_the_store_time_of_the_last_commit_is_known():
    assert projection(Commit(1, 12.5, ())).at == 12.5


def test_log_lines_are_numbered_and_told_in_order():
    seen = projection()
    seen.log(1.0, "host-1", "host joins", {"boot": "b1"})
    seen.log(2.0, "host-2", "host joins", {})
    assert [line.number for line in seen.lines(0).lines] == [1, 2]
    (last,) = seen.lines(1).lines
    assert (last.at, last.who, last.event, last.fields) == (2.0, "host-2", "host joins", {})
    assert seen.lines(2).lines == []


def test_a_reader_far_behind_gets_the_newest_lines_and_the_number_of_those_left_out():
    seen = projection()
    for number in range(1, 1001):
        seen.log(float(number), "w", "e", {})
    told = seen.lines(100, limit=10)
    assert [line.number for line in told.lines] == list(range(991, 1001))
    assert told.skipped == 890


def test_old_log_lines_are_forgotten_and_counted():
    seen = projection()
    for number in range(MOST_LINES + 5):
        seen.log(float(number), "w", "e", {})
    told = seen.lines(0, limit=10**6)
    assert (told.lines[0].number, len(told.lines), told.skipped) == (6, MOST_LINES, 5)


def test_what_went_before_it_was_read_here_is_gone_for_whoever_knows_it_from_elsewhere():
    """A host that begins hears of the end of what it has never read; another host had told of it."""
    seen = projection()
    seen.load(vm(3, "a"))
    seen.apply(gone(5, "b"))
    assert seen.since(4) == Delta(5, {}, [("vm", "b")])
