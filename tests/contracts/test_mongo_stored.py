"""What is stored already: schemas, indexes, limits."""

from __future__ import annotations

import asyncio
from secrets import token_hex

import msgspec
import pytest

from ave.errors import Refused
from ave.kinds import KINDS as DECLARED
from ave.ports.store import Change, In, Insert, Replace, Write
from drivers.limits import DOCUMENT_BYTES_MAX
from tests.contracts import mongo_lab
from tests.contracts.mongo_lab import opened, play, refusal
from tests.contracts.store_machine import Item, Note

# pymongo leaves a socket to be collected when it is closed while it connects.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
collected = mongo_lab.collected
changed = msgspec.structs.replace


def test_mongo_a_newer_schema_is_refused_and_nothing_is_changed(mongo_uri):
    name = f"ave-test-{token_hex(4)}"

    async def write():
        async with opened(mongo_uri, name, (), schema=8):
            pass

    async def collections():
        async with opened(mongo_uri, name, (), schema=8) as store:
            return await store._link.database.list_collection_names()

    play(write())
    said = refusal(mongo_uri, database=name, schema=7)
    assert all(part in said for part in (name, "8", "7", "install"))
    assert play(collections()) == ["schema"]

    async def upgraded():
        async with opened(mongo_uri, name, schema=9) as store:
            await store.commit(Insert(Item("a")))

    play(upgraded())
    assert "9" in refusal(mongo_uri, database=name, schema=8)


def test_mongo_a_missing_index_is_made_and_a_different_one_is_reported(mongo_uri):
    name = f"ave-test-{token_hex(4)}"

    async def main(change):
        async with opened(mongo_uri, name) as store:
            await change(store._link.database["item"])
            return sorted(await store._link.database["item"].index_information())

    async def nothing(collection):
        pass

    async def drop(collection):
        await collection.drop_index("state_1_number_1__id_1")

    async def swap(collection):
        await drop(collection)
        await collection.create_index([("state", 1)], name="state_1_number_1__id_1", sparse=True)

    before = play(main(nothing))
    assert "lane_1_state_1_rank_1__id_1" in before
    play(main(drop))
    assert play(main(nothing)) == before
    play(main(swap))
    said = refusal(mongo_uri, database=name)
    assert all(part in said for part in (name, "item", "state_1_number_1__id_1", "dropIndex"))


def test_mongo_an_index_of_some_values_holds_only_those(mongo_uri):
    name, index = f"ave-test-{token_hex(4)}", "number_1_state_1_rank_1__id_1_of_ready_running"

    async def main(change):
        async with opened(mongo_uri, name) as store:
            await store.commit(
                *[
                    Insert(Item(f"{n}-{token_hex(4)}", state=state))
                    for n, state in enumerate(("ready", "running", "done"))
                ]
            )
            query = store._queries[Item].query({"number": 0, "state": In(("ready", "running"))}, ("rank",))
            collection = store._link.database["item"]
            assert query.hint == index
            found = await collection.find(query.filter, sort=query.sort, hint=query.hint).to_list()
            assert sorted(raw["state"] for raw in found) == ["ready", "running"]
            await change(collection)

    async def widen(collection):
        keys = (await collection.index_information())[index]["key"]
        await collection.drop_index(index)
        await collection.create_index(keys, name=index)

    play(main(widen))
    assert all(part in refusal(mongo_uri, database=name) for part in (index, "dropIndex"))


def test_mongo_a_document_that_stays_in_a_narrowed_index_does_not_move_there(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            await store.commit(*[Insert(Item(str(n), number=n)) for n in range(4)])
            collection = store._link.database["item"]
            keys = (await collection.index_information())["state_1__id_1_of_1_2"]["key"]
            assert keys == [("state", 1), ("_id", 1)]
            assert store._queries[Item].query({"number": 1}, ()).hint == "state_1__id_1_of_1_2"
            assert [doc.id for doc in await store.find(Item, {"number": 1})] == ["1"]
            assert [doc.id for doc in await store.find(Item, {"state": "ready", "number": In((1, 2))})] == ["1", "2"]
            assert [doc.id for doc in await store.find(Item, {"state": "ready", "number": 2})] == ["2"]

    play(main())


def test_mongo_many_processes_may_open_an_empty_database_at_once(mongo_uri):
    name = f"ave-test-{token_hex(4)}"

    async def one(n):
        async with opened(mongo_uri, name) as store:
            await store.commit(Insert(Item(f"{n}")))
            return await store.count(Item)

    async def main():
        return await asyncio.gather(*[one(n) for n in range(6)])

    assert max(play(main())) == 6


def test_mongo_every_declared_shape_is_found_by_its_index(mongo_uri):
    """As many documents are looked at as are returned."""

    async def main():
        async with opened(mongo_uri) as store:
            await store.commit(*[Insert(Item(f"{n:03}", lane="xy"[n % 2], rank=float(n))) for n in range(100)])
            query = store._queries[Item].query({"lane": In(("x", "y")), "state": "ready"}, ("rank",))
            plan = await store._link.database.command(
                {
                    "explain": {
                        "find": "item",
                        "filter": query.filter,
                        "sort": dict(query.sort),
                        "hint": query.hint,
                        "limit": 5,
                    },
                    "verbosity": "executionStats",
                }
            )
            assert plan["executionStats"]["nReturned"] == 5
            assert plan["executionStats"]["totalDocsExamined"] == 5
            assert plan["executionStats"]["totalKeysExamined"] <= 7
        async with opened(mongo_uri, kinds=DECLARED) as store:
            for kind in DECLARED:
                for index in kind.indexes:
                    where = {**dict.fromkeys(index.by, "x"), **({index.by[-1]: In(index.only)} if index.only else {})}
                    assert await store.find(kind.type, where, index.order, 1) == []
                    if not index.order:
                        assert await store.count(kind.type, where) == 0

    play(main())


BIG = "x" * DOCUMENT_BYTES_MAX


def test_mongo_a_document_that_is_too_large_is_refused_by_name_and_nothing_is_changed(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            (a,) = await store.commit(Insert(Item("a")))
            (full,) = await store.commit(Insert(Item("full", tries={BIG[:-4096]: 1}, state="full")))
            refused: dict[str, list[Write]] = {
                "big": [Insert(Item("big", text=BIG))],
                "a": [Replace(changed(a, text=BIG))],
                "big2": [Insert(Note("n")), Insert(Item("big2", text=BIG))],
                "full": [Change(Item, "full", set={"text": BIG[:8192]})],
            }
            for name, writes in refused.items():
                with pytest.raises(Refused, match=f"item {name}") as caught:
                    await store.commit(*writes)
                assert "Nothing was changed" in str(caught.value)
                if name != "full":
                    assert f"{DOCUMENT_BYTES_MAX:,}" in str(caught.value)
            with pytest.raises(Refused, match="item"):
                await store.commit(Insert(Note("n")), Change(Item, "full", set={"text": BIG[:8192]}))
            for limit in (1, 2):
                with pytest.raises(Refused, match="item"):
                    await store.take(Item, {"state": "full"}, (), set={"text": BIG[:8192]}, limit=limit)
            with pytest.raises(Refused, match="item odd"):
                await store.commit(Insert(Item("odd", tries={"\0": 1})))
            assert await store.find(Item, {}) == [a, full]
            assert await store.get(Note, "n") is None

    play(main())
