"""What every Store driver promises, verb by verb, and then in any order."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from ave.ports.store import Above, Below, Change, Check, Conflict, Delete, In, Insert, Replace, TooOld, Undeclared
from ave.sync import gather
from tests.contracts.store_machine import KINDS, Item, Note, Size, StoreMachine

changed = msgspec.structs.replace

STEP = 0.02  # long enough for a store to do what it was asked, short enough to wait for in vain


def ids(docs):
    return [doc.id for doc in docs]


async def put(store, *docs):
    return await store.commit(*[Insert(doc) for doc in docs])


async def loses(store, *writes):
    """The conflict that these writes meet."""
    with pytest.raises(Conflict) as caught:
        await store.commit(*writes)
    return caught.value.kind, caught.value.id, caught.value.found


async def next_changes(rt, watch, commits=1):
    async with rt.timeout(5):
        return [(id, doc) for _ in range(commits) for _, id, doc in (await watch.next()).changes]


async def is_silent(rt, watch):
    with pytest.raises(TimeoutError):
        async with rt.timeout(STEP):
            await watch.next()


def test_any_sequence_of_calls_does_what_it_does_to_a_dict(stores, examples):
    machine = type("Machine", (StoreMachine,), {"open_store": staticmethod(stores)})
    effort = settings(max_examples=examples, stateful_step_count=30, report_multiple_bugs=False)
    run_state_machine_as_test(machine, settings=effort)


# Single documents


async def test_an_id_can_be_inserted_once_and_is_there_in_its_first_version(store):
    assert await store.get(Item, "a") is None
    (answer,) = await put(store, Item("a", version=7, lane="y"))
    assert answer == Item("a", version=1, lane="y") == await store.get(Item, "a")
    assert await store.get(Note, "a") is None  # each kind has its own ids
    assert await loses(store, Insert(Item("a"))) == ("item", "a", answer)


async def test_replacing_needs_the_current_version_and_makes_the_next(store):
    (first,) = await put(store, Item("a"))
    (second,) = await store.commit(Replace(changed(first, lane="y")))
    assert second == Item("a", version=2, lane="y") == await store.get(Item, "a")
    assert await loses(store, Replace(first)) == ("item", "a", second)
    assert await loses(store, Replace(Item("b", version=1))) == ("item", "b", None)


async def test_deleting_needs_the_current_version_and_the_next_insert_begins_again(store):
    (first,) = await put(store, Item("a"))
    (second,) = await store.commit(Replace(first))
    assert await loses(store, Delete(first)) == ("item", "a", second)
    assert await store.commit(Delete(second)) == [None]
    assert await store.get(Item, "a") is None
    assert await loses(store, Delete(second)) == ("item", "a", None)
    assert await put(store, Item("a")) == [Item("a", version=1)]


async def test_a_change_sets_and_adds_and_leaves_the_rest_alone(store):
    await put(store, Item("a", number=40, rank=0.5, text="old", tries={"boot": 1}))
    (answer,) = await store.commit(Change(Item, "a", set={"text": None, "lane": "ü"}, add={"number": 2, "rank": -1.5}))
    assert answer == Item("a", version=2, number=42, rank=-1.0, lane="ü", tries={"boot": 1})
    assert await store.get(Item, "a") == answer


async def test_a_change_reaches_into_structs_and_dicts(store):
    await put(store, Item("a", size=Size(gib=5, disks={"vda": 1, "vdb": 2}), tries={"boot": 1}))
    add = {"size.gib": 1, "size.disks.vdb": 2, "tries.boot": 1}
    (answer,) = await store.commit(Change(Item, "a", set={"size.disks.vda": 9, "tries.stop": 3}, add=add))
    assert answer.size == Size(gib=6, disks={"vda": 9, "vdb": 4})
    assert answer.tries == {"boot": 2, "stop": 3}
    assert await store.get(Item, "a") == answer


@pytest.mark.parametrize("verb", [Change, Check])
@pytest.mark.parametrize(
    ("where", "held"),
    [
        ({}, True),
        ({"version": 1}, True),
        ({"version": 2}, False),
        ({"state": "ready", "number": 5}, True),
        ({"state": "done", "number": 5}, False),
        ({"state": In(("done", "ready"))}, True),
        ({"state": In(())}, False),
        ({"number": Above(4), "rank": Below(0.1)}, True),
        ({"number": Above(5)}, False),
        ({"number": Below(5)}, False),
        ({"text": None}, True),
    ],
)
async def test_a_change_or_check_needs_its_where_to_hold(store, verb, where, held):
    (doc,) = await put(store, Item("a", number=5))
    if held:
        await store.commit(verb(Item, "a", where))
    else:
        assert await loses(store, verb(Item, "a", where)) == ("item", "a", doc)
    assert await loses(store, verb(Item, "b", where)) == ("item", "b", None)


async def test_a_check_writes_nothing_and_may_ask_for_absence(store):
    assert await store.commit(Check(Item, "a", None), Insert(Item("b"))) == [None, Item("b", version=1)]
    (doc,) = await put(store, Item("a"))
    assert await store.commit(Check(Item, "a", {"version": 1})) == [None]
    assert await loses(store, Check(Item, "a", None)) == ("item", "a", doc)


@pytest.mark.parametrize("plus", [0.0, 60.0, -60.0])
async def test_stamps_are_in_store_time(store, plus):
    stamp = {"at": plus}
    before = await store.now()
    (one,) = await store.commit(Insert(Item("a"), stamp))
    (two,) = await store.commit(Replace(one, stamp))
    (three,) = await store.commit(Change(Item, "a", set={"state": "done"}, stamp=stamp))
    (four,) = await store.take(Item, {"state": "done"}, (), set={}, stamp=stamp)
    times = [one.at, two.at, three.at, four.at]
    assert before + plus <= times[0]
    assert times == sorted(times)
    assert times[-1] <= await store.now() + plus
    assert await store.get(Item, "a") == four


async def test_store_time_does_not_go_back(store, store_rt):
    times = []
    for _ in range(5):
        times.append(await store.now())
        await store_rt.sleep(STEP / 10)
    assert times == sorted(times)
    assert times[0] < times[-1]


EXTREME = ["", "\n", "'; drop --", "naïve", "日本語", "🐢", "$set", "a.b", "$a.b", "null", "1", "\ufeff", "\x7f"]
FLOATS = [0.0, -0.0, 0.1, -1.5, 1e300, -1e-300, 5e-324, 1 / 3, 1e15 + 0.5, 123456789.123456789]
INTEGERS = [0, -1, 2**31, 2**53 + 1, -(2**63), 2**63 - 1]


async def test_values_come_back_as_they_went_in(store):
    docs = [Item(f"t{n}", text=text, lane=text, tries={text or "empty": 1}) for n, text in enumerate(EXTREME)]
    docs += [Item(f"f{n}", rank=value, at=value) for n, value in enumerate(FLOATS)]
    docs += [Item(f"i{n}", number=value, size=Size(value, {"vda": value})) for n, value in enumerate(INTEGERS)]
    docs += [Item(id or "empty") for id in EXTREME]
    await put(store, *docs)
    for doc in docs:
        assert repr(await store.get(Item, doc.id)) == repr(changed(doc, version=1))  # repr: 0.0 is not -0.0
    lanes = [ids(await store.find(Item, {"lane": text, "state": "ready"}, ("rank",))) for text in EXTREME]
    assert lanes == [[f"t{n}"] for n in range(len(EXTREME))]


# Several writes at once


async def test_a_commit_is_all_or_nothing_and_names_the_first_write_that_lost(store):
    (a,) = await put(store, Item("a"))
    lost = Check(Item, "b", {"state": "ready"})
    assert await loses(store, Insert(Note("n")), Change(Item, "a"), lost, Insert(Item("a"))) == ("item", "b", None)
    assert await loses(store, Delete(a), Insert(Note("n")), Replace(Item("a", version=1))) == ("item", "a", None)
    assert await store.find(Item, {}) == [a]
    assert await store.get(Note, "n") is None


async def test_a_commit_answers_write_by_write_and_over_several_kinds(store):
    a, b = await put(store, Item("a"), Item("b"))
    answers = await store.commit(Replace(a), Delete(b), Check(Item, "a"), Insert(Note("n")))
    assert answers == [Item("a", version=2), None, None, Note("n", version=1)]
    assert await store.commit() == []


async def test_writes_on_one_document_build_on_each_other(store):
    _, a = await store.commit(Insert(Item("a")), Change(Item, "a", {"version": 1}, add={"number": 1}))
    assert a == Item("a", version=2, number=1) == await store.get(Item, "a")
    assert await store.commit(Delete(a), Insert(Item("a", number=5))) == [None, Item("a", version=1, number=5)]
    assert await store.find(Item, {}) == [Item("a", version=1, number=5)]


async def test_a_document_may_come_and_go_in_one_commit(store):
    a, n = Item("a", version=1), Note("n", version=1)
    assert await store.commit(Insert(n), Insert(a), Delete(a)) == [n, a, None]
    assert await store.get(Item, "a") is None
    assert await store.find(Item, {}) == []


async def test_of_many_replacements_at_once_one_wins_and_of_many_additions_none_is_lost(store, store_rt):
    (doc,) = await put(store, Item("a"))

    async def replace(n):
        try:
            return await store.commit(Replace(changed(doc, number=n)))
        except Conflict:
            return None

    answers = await gather(store_rt, *[replace(n) for n in range(8)], name="replace")
    ((won,),) = [answer for answer in answers if answer]
    assert won == await store.get(Item, "a")
    await gather(store_rt, *[store.commit(Change(Item, "a", add={"number": 1})) for _ in range(20)], name="add")
    assert (await store.get(Item, "a")).number == won.number + 20


# Find and count

FEW = [
    Item("a", lane="x", rank=2.0, number=1),
    Item("b", lane="x", rank=1.0, number=3),
    Item("c", lane="y", rank=1.5, number=3),
    Item("d", lane="x", rank=1.0, number=2, state="done"),
    Item("e", lane="x", rank=1.0, number=-1),
]


@pytest.mark.parametrize(
    ("where", "order", "wanted"),
    [
        (None, (), "abcde"),
        ({"state": "ready"}, (), "abce"),
        ({"state": "gone"}, (), ""),
        ({"state": In(("done", "ready", "gone"))}, (), "abcde"),
        ({"state": In(("ready", "ready"))}, (), "abce"),
        ({"state": In(())}, (), ""),
        ({"lane": "x", "state": "ready"}, ("rank",), "bea"),
        ({"lane": In(("y", "x")), "state": "ready"}, ("rank",), "beca"),
        ({"lane": "x", "state": "ready", "rank": Above(1.0)}, ("rank",), "a"),
        ({"lane": "x", "state": "ready", "rank": Below(2.0)}, ("rank",), "be"),
        ({}, ("number", "rank"), "eadbc"),
        ({"number": Above(1)}, ("number", "rank"), "dbc"),
        ({"number": Below(-1)}, ("number", "rank"), ""),
        ({"id": "c"}, (), "c"),
        ({"id": In(("e", "a", "gone", "e"))}, (), "ae"),
    ],
)
async def test_find_returns_what_matches_in_order_then_by_id(store, where, order, wanted):
    await put(store, *reversed(FEW))
    assert "".join(ids(await store.find(Item, where, order))) == wanted
    assert "".join(ids(await store.find(Item, where, order, limit=2))) == wanted[:2]
    assert await store.count(Item, where) == len(wanted)


async def test_paging_by_the_last_one_seen_skips_and_repeats_nothing(store):
    await put(store, *[Item(f"{n:02}", rank=n // 4, lane="xy"[n % 2]) for n in range(12)])
    where, seen, last = {"lane": In(("x", "y")), "state": "ready"}, [], None
    while page := await store.find(Item, where, ("rank",), 5, last):
        seen += ids(page)
        last = (page[-1].rank, page[-1].id)
        await store.commit(Delete(page[-1]))  # one may page on from a document that is no more
    assert seen == [f"{n:02}" for n in range(12)]


@pytest.mark.parametrize(
    ("type", "where", "order"),
    [
        (Item, {"text": "x"}, ()),
        (Item, {"number": 1, "state": "done"}, ("rank",)),
        (Item, {"number": 1, "state": In(("ready", "done"))}, ("rank",)),
        (Item, {"lane": "x"}, ()),
        (Item, {"number": 3}, ()),
        (Item, {"number": In((1, 3))}, ()),
        (Item, {"number": 1}, ("rank",)),
        (Item, {"state": "ready"}, ("rank",)),
        (Item, {"state": "ready", "id": "a"}, ()),
        (Item, {"lane": "x", "state": Below("ready")}, ("rank",)),
        (Item, {"number": Below(1), "rank": Above(1)}, ("number", "rank")),
        (Item, {"rank": Below(1)}, ("number", "rank")),
        (Item, {"id": Above("a")}, ()),
        (Item, {}, ("rank",)),
        (Note, {}, ()),
    ],
)
async def test_a_shape_that_no_index_serves_is_an_error(store, type, where, order):
    with pytest.raises(Undeclared):
        await store.find(type, where, order)
    with pytest.raises(Undeclared):
        await store.take(type, where, order, set={})


@pytest.mark.parametrize("stale", [0, 7, 19])
async def test_of_many_writes_one_that_is_stale_stops_all_whatever_is_known_of_the_others(store, stale):
    """So many that a store may look at them in another way than at two."""
    docs = await put(store, *[Item(f"{n:02}") for n in range(20)])
    note = Note("n")
    writes = [Delete(doc) if n % 5 == 2 else Replace(changed(doc, number=9), {"at": 1.0}) for n, doc in enumerate(docs)]
    (newer,) = await store.commit(Change(Item, f"{stale:02}", add={"number": 1}))
    assert await loses(store, *writes, Insert(note)) == ("item", newer.id, newer)
    assert await store.find(Item, {}) == [*docs[:stale], newer, *docs[stale + 1 :]]
    await store.commit(Delete(newer))
    assert await loses(store, *writes, Insert(note)) == ("item", newer.id, None)
    assert await store.find(Item, {}) == [*docs[:stale], *docs[stale + 1 :]]
    assert await store.get(Note, "n") is None
    before = await store.now()
    rest = [*writes[:stale], *writes[stale + 1 :]]
    answers = await store.commit(*rest, Insert(note))
    kept = [answer for answer in answers[:-1] if answer is not None]
    assert len(kept) == sum(isinstance(write, Replace) for write in rest)
    assert await store.find(Item, {}) == kept
    assert {(doc.number, doc.version) for doc in kept} == {(9, 2)}
    (at,) = {doc.at for doc in kept}
    assert before + 1.0 <= at <= await store.now() + 1.0
    assert await store.get(Note, "n") == answers[-1]


async def test_take_changes_the_first_that_match_and_returns_them_in_order(store):
    await put(store, *reversed(FEW))
    claim = Item, {"lane": "x", "state": "ready"}, ("rank",)
    (first,) = await store.take(*claim, set={"state": "running"}, add={"number": 1})
    assert first == changed(FEW[1], version=2, state="running", number=4) == await store.get(Item, "b")
    rest = await store.take(*claim, set={"state": "running"}, limit=5)
    assert ids(rest) == ["e", "a"]
    assert await store.take(*claim, set={"state": "running"}) == []
    assert await store.count(Item, {"state": "running"}) == 3


async def test_of_many_takers_each_document_goes_to_exactly_one_each_in_order(store, store_rt):
    await put(store, *[Item(f"{n:02}", rank=float(n), lane="xy"[n % 2]) for n in range(20)])
    taken = []

    async def taker():
        where = {"lane": In(("x", "y")), "state": "ready"}
        while docs := await store.take(Item, where, ("rank",), set={"state": "done"}, limit=3):
            assert ids(docs) == sorted(ids(docs))
            taken.extend(ids(docs))

    await gather(store_rt, *[taker() for _ in range(4)], name="taker")
    assert sorted(taken) == [f"{n:02}" for n in range(20)]


# Watch


async def test_a_watch_delivers_every_later_commit_in_order_and_whole(store, store_rt):
    await put(store, Item("before"))
    watch = await store.watch([Item, Note])
    start = watch.revision
    (a, n) = await put(store, Item("a"), Note("n"))
    await loses(store, Insert(Item("a")))
    await store.commit(Check(Item, "a"))
    (a2, _) = await store.commit(Change(Item, "a", add={"number": 1}), Delete(n))
    await store.take(Item, {"state": "ready"}, (), set={"state": "done"}, limit=1)
    async with store_rt.timeout(5):
        commits = [await watch.next() for _ in range(3)]
    assert [sorted(commit.changes) for commit in commits[:2]] == [
        [("item", "a", a), ("note", "n", n)],
        [("item", "a", a2), ("note", "n", None)],
    ]
    assert commits[2].changes == (("item", "a", await store.get(Item, "a")),)
    assert start < commits[0].revision < commits[1].revision < commits[2].revision <= watch.revision
    assert commits[0].at <= commits[1].at <= commits[2].at
    await is_silent(store_rt, watch)


async def test_a_watch_delivers_only_the_kinds_asked_for(store, store_rt):
    watch = await store.watch([Note])
    await put(store, Item("a"), Note("n"))
    await put(store, Item("b"))
    assert await next_changes(store_rt, watch) == [("n", Note("n", version=1))]
    await is_silent(store_rt, watch)


@pytest.mark.parametrize("lanes", ["x", In(("x", "z"))])
async def test_a_watch_may_be_narrowed_and_deletions_pass_once(store, store_rt, lanes):
    watch = await store.watch([Item], where={"lane": lanes})
    start = watch.revision
    a, _ = await put(store, Item("a", lane="x"), Item("b", lane="y"))
    (moved,) = await store.commit(Change(Item, "b", set={"lane": "x"}))
    (left,) = await store.commit(Change(Item, "a", set={"lane": "y"}))
    await store.commit(Delete(left))
    told = [("a", a), ("b", moved), ("a", None)]
    assert await next_changes(store_rt, watch, 3) == told
    await is_silent(store_rt, watch)
    again = await store.watch([Item], since=start, where={"lane": lanes})
    assert await next_changes(store_rt, again, 3) == told


async def test_a_reader_of_a_watch_that_gives_up_loses_nothing(store, store_rt):
    watch = await store.watch([Item])
    for n in range(3):
        await is_silent(store_rt, watch)
        await put(store, Item(f"{n}"))
        assert await next_changes(store_rt, watch) == [(f"{n}", Item(f"{n}", version=1))]


@pytest.mark.parametrize("read", [1, 2])
async def test_a_closed_watch_knows_how_far_it_was_read_and_anyone_may_resume_from_there(store, store_rt, read):
    watch = await store.watch([Item])
    await put(store, Item("0"))
    await put(store, Item("1"))
    await next_changes(store_rt, watch, read)
    revision = watch.revision
    watch.close()
    await put(store, Item("2"))
    watch.close()
    assert watch.revision == revision
    again = await store.watch([Item], since=revision)
    await put(store, Item("3"))
    assert [id for id, _ in await next_changes(store_rt, again, 4 - read)] == ["1", "2", "3"][read - 1 :]
    await is_silent(store_rt, again)


def test_a_revision_that_is_no_longer_remembered_is_too_old(stores):
    async def main(store, rt):
        watch = await store.watch([Item])
        start = watch.revision
        for n in range(6):
            await put(store, Item(f"{n}"))
        await next_changes(rt, watch, 6)  # who keeps up does not notice
        with pytest.raises(TooOld):
            await store.watch([Item], since=start)
        await is_silent(rt, await store.watch([Item], since=watch.revision))

    with stores(KINDS, kept=3) as (process, store):
        process.run(main(store, process.runtime))
