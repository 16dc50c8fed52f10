"""The SQLite file itself: of another release, of somebody else, or gone; its tables, indexes and plans."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from enum import StrEnum
from math import prod
from random import Random

import msgspec
import pytest

from ave.errors import Refused, Unavailable
from ave.kinds import KINDS as DECLARED
from ave.model.work import OPEN, Work, WorkState
from ave.ports.store import Above, Below, In, Index, Insert, Kind
from drivers.sqlite.store import SqliteStore
from drivers.sqlite.tables import Table
from tests.contracts.sqlite_process import connected, play
from tests.contracts.store_machine import KINDS, Item, Model, Note, found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


# The file


def test_a_sqlite_file_of_a_newer_schema_is_refused_and_left_as_it_is(path):
    async def fill(store):
        await store.commit(Insert(Item("a")))

    async def read(store):
        return await store.get(Item, "a")

    play(path, fill, schema=3)
    before = path.read_bytes()
    with pytest.raises(Refused, match=rf"^{path} was written with schema 3, and this program knows 2 at most: install"):
        play(path, fill, schema=2)
    assert path.read_bytes() == before
    assert play(path, read, schema=4) == Item("a", version=1)
    with pytest.raises(Refused, match="schema 4"):
        play(path, fill, schema=3)


def test_what_is_not_a_sqlite_file_of_ours_is_refused_and_left_as_it_is(path):
    path.write_text("These are the times that try men's souls. " * 100)
    with pytest.raises(Refused, match="is not a database: name another file"):
        play(path, None)
    path.unlink()
    with connected(path) as connection:
        connection.execute("CREATE TABLE item (id TEXT)")
    before = path.read_bytes()
    with pytest.raises(Refused, match="is a database, but not one of AVE"):
        play(path, None)
    assert path.read_bytes() == before


def test_a_sqlite_file_without_a_folder_is_unavailable_and_says_what_to_look_at(path):
    with pytest.raises(Unavailable, match=r"cannot be opened: do its folder and the file exist.*SQLITE_CANTOPEN"):
        play(path / "in" / "no" / "folder", None)


@pytest.mark.parametrize(("synchronous", "level"), [(None, 2), ("FULL", 2), ("NORMAL", 1)])
def test_a_sqlite_store_flushes_each_commit_unless_told_otherwise(path, synchronous, level):
    async def main():
        chosen = {} if synchronous is None else {"synchronous": synchronous}
        async with await SqliteStore.open(path, KINDS, schema=1, **chosen) as store:
            look = "PRAGMA synchronous", "PRAGMA journal_mode"
            return [
                await store._writes.ask(lambda ledger, sql=sql: ledger.connection.execute(sql).fetchone())
                for sql in look
            ]

    assert asyncio.run(main()) == [(level,), ("wal",)]


def test_a_sqlite_file_that_is_removed_or_replaced_is_not_written_into_the_void(path):
    async def main(store):
        aside = path.with_name("aside")
        await store.commit(Insert(Item("a")))
        path.rename(aside)
        for call in (store.get(Item, "a"), store.commit(Insert(Item("b"))), store.now()):
            with pytest.raises(
                Unavailable, match="was removed or replaced under this process: put it back, or restart"
            ):
                await call
        shutil.copy(aside, path)
        with pytest.raises(Unavailable, match="was removed or replaced"):
            await store.commit(Insert(Item("b")))
        aside.rename(path)
        await store.commit(Insert(Item("b")))
        assert [doc.id for doc in await store.find(Item)] == ["a", "b"]

    play(path, main)


def indexes(path):
    with connected(path) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))


def test_indexes_of_a_sqlite_file_are_mended_when_it_is_opened(path):
    async def fill(store):
        await store.commit(*[Insert(Item(f"{n}", rank=-n)) for n in range(5)])

    async def read(store):
        return [doc.id for doc in await store.find(Item, {"lane": "x", "state": "ready"}, ("rank",))]

    play(path, fill)
    whole = indexes(path)
    assert {name.partition("(")[0] for name in whole} == {"item", "note"}
    assert len(whole) == 6  # of seven shapes; ids alone need none
    with connected(path) as connection:
        connection.execute('DROP INDEX "item(state, id)"')
        connection.execute('DROP INDEX "item(lane, state, rank, id)"')
        connection.execute('CREATE INDEX "item(lane, state, rank, id)" ON item (lane)')
        connection.execute('CREATE INDEX "item(gone, id)" ON item (rank)')
        connection.execute("CREATE INDEX mine ON item (rank)")
    assert play(path, read) == ["4", "3", "2", "1", "0"]
    assert indexes(path) == {**whole, "mine": "CREATE INDEX mine ON item (rank)"}


def test_a_table_of_a_sqlite_file_gets_the_columns_that_are_declared_now(path):
    class Other(msgspec.Struct, frozen=True):
        id: str
        version: int = 0
        text: str = ""
        at: float = 0.0
        state: str = ""

    kinds = (Kind("item", Other, (Index(("text",)), Index((), ("at",)))), KINDS[1])

    async def fill(store):
        await store.commit(*[Insert(Item(f"{n}", text="ab"[n % 2], at=-n)) for n in range(5)], Insert(Note("n")))

    async def read(store):
        assert await store.get(Note, "n") == Note("n", version=1)
        in_order = [doc.id for doc in await store.find(Other, {}, ("at",))]
        return in_order, [doc.id for doc in await store.find(Other, {"text": "a"})]

    play(path, fill)
    assert play(path, read, kinds=kinds) == (["4", "3", "2", "1", "0"], ["0", "2", "4"])
    assert {name for name in indexes(path) if name.startswith("item")} == {"item(text, id)", "item(at, id)"}


# Indexes over an enum


def test_a_partial_index_of_a_sqlite_file_is_made_when_it_is_first_asked_for_and_then_kept(path):
    def work(n, state):
        return Work(id=f"{n:02}", job=f"{n}", function="f", lane="ab"[n % 2], state=state, rank=float(-n))

    async def fill(store):
        states = list(WorkState)
        await store.commit(*[Insert(work(n, states[n % len(states)])) for n in range(4 * len(states))])

    async def read(store):
        claim = {"lane": In(("a", "b")), "state": WorkState.READY}
        ready = [doc.id for doc in await store.find(Work, claim, ("rank",))]
        ended = await store.find(Work, {"state": In((WorkState.DONE, WorkState.FAILED))}, ("finished",))
        assert await store.count(Work, {"state": In(OPEN)}) == 16
        return ready, [doc.id for doc in ended]

    play(path, fill, kinds=DECLARED)
    assert not [name for name in indexes(path) if name.startswith("work")]
    expected = ["22", "15", "08", "01"], ["04", "05", "11", "12", "18", "19", "25", "26"]
    assert play(path, read, kinds=DECLARED) == expected
    made = {name for name in indexes(path) if name.startswith("work")}
    assert "work(lane, rank, id) where state = 'ready'" in made
    assert play(path, read, kinds=DECLARED) == expected
    assert {name for name in indexes(path) if name.startswith("work")} == made


@pytest.mark.parametrize("seed", range(4))
def test_any_declared_query_finds_in_a_sqlite_file_what_a_look_at_every_document_finds(path, seed):
    random = Random(seed)
    lanes = [f"lane-{n:02}" for n in range(20)]
    states = list(WorkState)

    def work(n):
        return Work(
            id=f"{random.randrange(10**6):06}-{n}",
            job=random.choice("abc"),
            function="f",
            lane=random.choice(lanes[:4]) if n % 2 else random.choice(lanes),
            state=random.choice(states),
            rank=random.choice([-1.5, 0.0, 0.25]),
            handler=random.choice(["", "h"]),
            flag=random.choice(["", "ha"]),
            turn=random.randrange(4),
            submitted=float(random.randrange(4)),
        )

    def some(values):
        few = tuple(random.choices(values, k=random.choice([0, 1, 2, 3, 20])))
        return random.choice([random.choice(values), In(few), In(few)])

    def where(index, docs):
        wanted = {field: some([getattr(doc, field) for doc in docs]) for field in index.by}
        if index.only:
            wanted[index.by[-1]] = some(index.only)
        if index.order and random.random() < 0.5:
            limit = getattr(random.choice(docs), index.order[0])
            wanted[index.order[0]] = random.choice([Above, Below])(limit)
        return wanted

    async def main(store):
        docs = await store.commit(*[Insert(work(n)) for n in range(120)])
        model: Model = {(Work, doc.id): doc for doc in docs}
        (kind,) = [kind for kind in DECLARED if kind.type is Work]
        hits = 0
        for _ in range(250):
            index = random.choice([index for index in kind.indexes if index.by])
            wanted = where(index, docs)
            first = next(other for other in kind.indexes if other.by == index.by)  # serves those who want no order
            free = index is first and not (index.order and index.order[0] in wanted)
            order = random.choice([index.order, ()]) if free else index.order
            last = random.choice(docs)
            after = random.choice([None, (*[getattr(last, field) for field in order], last.id)])
            limit = random.choice([0, 1, 5])
            expected = found(model, Work, wanted, order, limit, after)
            assert await store.find(Work, wanted, order, limit, after) == expected
            assert await store.count(Work, wanted) == len(found(model, Work, wanted))
            hits += len(expected)
            if random.random() < 0.2:
                change = {"state": random.choice(states), "handler": random.choice(["", "h"])}
                for doc in await store.take(Work, wanted, order, set=change, limit=3):
                    model[Work, doc.id] = doc
        assert hits > 500

    play(path, main, kinds=DECLARED)


def test_more_ids_may_be_asked_for_than_one_statement_of_sqlite_holds(path):
    async def main(store):
        names = [f"{n:04}" for n in range(3500)]
        await store.commit(*[Insert(Item(id)) for id in names[::2]])
        ids = In(tuple(reversed(names)))
        for limit in (0, 1, 700, 1200, 1750, 2000):
            assert [doc.id for doc in await store.find(Item, {"id": ids}, limit=limit)] == names[::2][: limit or None]
        assert await store.count(Item, {"id": ids}) == 1750
        assert len(await store.take(Item, {"id": ids}, (), set={"state": "done"}, limit=1100)) == 1100
        assert await store.count(Item, {"state": "done"}) == 1100

    play(path, main)


def shapes():
    for kind in DECLARED:
        for index in kind.indexes:
            if index.by or index.order:
                yield pytest.param(kind, index, id=f"{kind.name}-{'-'.join((*index.by, 'by', *index.order))}")


def plan(table, query):
    """What SQLite would do with all indexes there."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(table.create)
        for created in (*table.full, *table.partial):
            connection.execute(created.sql)
        ((sql, bound),) = query.statements
        return [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bound)]


@pytest.mark.parametrize(("kind", "index"), list(shapes()))
@pytest.mark.parametrize("several", [False, True])
def test_no_declared_query_scans_or_sorts_in_a_sqlite_file(kind, index, several):
    table = Table(kind)
    types = {field.name: field.type for field in msgspec.structs.fields(kind.type)}
    values = {}
    for field in index.by:
        known = (
            list(types[field]) if isinstance(types[field], type) and issubclass(types[field], StrEnum) else ["x", "y"]
        )
        if index.only and field == index.by[-1]:
            known = list(index.only)
        values[field] = In(tuple(known[:2])) if several else known[0]
    steps = plan(table, table.find(values, index.order, 3, None))
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
    assert not [step for step in steps if step.startswith("SCAN") and "USING INDEX" not in step], steps
    if several:
        arms = prod(2 if field != index.by[-1] else min(2, len(index.only or (1, 2))) for field in index.by)
        assert len([step for step in steps if step.startswith(("SEARCH", "SCAN"))]) == arms


@pytest.mark.parametrize("state", OPEN)
def test_all_work_in_a_state_is_read_from_an_index_of_that_state_in_a_sqlite_file(state):
    (work,) = [kind for kind in DECLARED if kind.type is Work]
    table = Table(work)
    steps = plan(table, table.find({"state": state}, (), 0, None))
    assert any(step.startswith("SCAN") and "USING INDEX" in step and str(state) in step for step in steps), steps
