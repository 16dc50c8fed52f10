"""Writes that meet each other in a replica set, watches among them, and what a binary or a reason looks like."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic, sleep

import msgspec
import pytest
from pymongo.errors import AutoReconnect

from ave.ports.store import Change, Check, Conflict, In, Insert
from drivers.mongo.faults import reason
from tests.contracts import mongo_lab
from tests.contracts.mongo_lab import LATE, opened, play
from tests.contracts.store_machine import Item, Note
from tests.mongod import NoMongod, mongod, replica_set

# pymongo leaves a socket to be collected when it is closed while it connects.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
collected = mongo_lab.collected


async def outcomes(*commits):
    """All at once; for each whether it won."""

    async def won(commit):
        try:
            await commit
        except Conflict:
            return False
        return True

    return await asyncio.gather(*map(won, commits))


def test_mongo_two_commits_that_each_check_what_the_other_writes_never_both_win(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            for n in range(40):
                a, b = await store.commit(Insert(Item(f"a{n}")), Insert(Item(f"b{n}")))
                won = await outcomes(
                    store.commit(Check(Item, a.id, {"state": "ready"}), Change(Item, b.id, set={"state": "done"})),
                    store.commit(Check(Item, b.id, {"state": "ready"}), Change(Item, a.id, set={"state": "done"})),
                )
                assert sum(won) == 1
                both = [await store.get(Item, a.id), await store.get(Item, b.id)]
                assert sorted(doc.state for doc in both) == ["done", "ready"]
                assert sorted(doc.version for doc in both) == [1, 2]  # a check makes no version

    play(main())


def test_mongo_a_check_of_absence_and_an_insert_never_both_win(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            for n in range(40):
                won = await outcomes(
                    store.commit(Check(Item, f"{n}", None), Insert(Note(f"{n}"))),
                    store.commit(Check(Note, f"{n}", None), Insert(Item(f"{n}"))),
                )
                assert sum(won) == 1
                # And against an insert that is a single command.
                check, insert = await outcomes(
                    store.commit(Check(Item, f"x{n}", None), Change(Item, "none", {}), Insert(Note(f"x{n}"))),
                    store.commit(Insert(Item(f"x{n}"))),
                )
                assert (check, insert) == (False, True)

    play(main())


def test_mongo_an_insert_that_is_under_way_is_waited_for_and_then_told(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            collection = store._link.database["item"]
            async with store._link.client.start_session() as session:
                await session.start_transaction()
                await collection.insert_one({"_id": "z", **msgspec.to_builtins(Item("", 1))}, session=session)
                checking = asyncio.ensure_future(store.commit(Check(Item, "z", None), Insert(Note("n"))))
                await asyncio.sleep(0.1)
                assert not checking.done()
                await session.commit_transaction()
            with pytest.raises(Conflict) as caught:
                await checking
            assert (caught.value.kind, caught.value.id, caught.value.found.id) == ("item", "z", "z")
            assert await store.get(Note, "n") is None

    play(main())


def test_mongo_a_check_is_no_change_for_a_watch(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            await store.commit(Insert(Item("a")))
            whole, part = await store.watch([Item, Note]), await store.watch([Item], where={"lane": In(("x", "q"))})
            await store.commit(Check(Item, "a"), Check(Item, "gone", None), Insert(Note("n")))
            await store.commit(Check(Item, "a"), Check(Note, "gone", None))
            await store.commit(Insert(Item("end")))
            assert [change[:2] for change in (await whole.next()).changes] == [("note", "n")]
            for watch in (whole, part):
                assert [change[:2] for change in (await watch.next()).changes] == [("item", "end")]

    play(main())


def test_mongo_many_writers_of_one_document_lose_nothing_and_none_waits_for_ever(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            await store.commit(Insert(Item("a")), Insert(Item("b")))

            async def add():
                for _ in range(5):
                    await store.commit(Change(Item, "a", add={"number": 1}), Change(Item, "b", add={"number": 1}))

            await asyncio.gather(*[add() for _ in range(16)])
            assert [(await store.get(Item, id)).number for id in "ab"] == [80, 80]

    play(main())


def test_mongo_a_large_commit_is_delivered_whole():
    """More than one answer of the server holds."""

    async def main(uri):
        async with opened(uri) as store:
            watch = await store.watch([Item])
            start = watch.revision
            await store.commit(*[Insert(Item(f"{n:03}", text="x" * 2**18)) for n in range(150)])
            await store.commit(Insert(Note("n")), Insert(Item("last")))
            again = await store.watch([Item], since=start)
            for reader in (watch, again):
                first, last = await reader.next(), await reader.next()
                assert [id for _, id, _ in first.changes] == [f"{n:03}" for n in range(150)]
                assert [id for _, id, _ in last.changes] == ["last"]

    with replica_set(1) as cluster:
        with cluster.members[0].admin() as client:
            client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig="cache_size=1G")
        play(main(cluster.uri))


def test_mongo_takers_of_many_share_without_losing_or_doubling(mongo_uri):
    async def main():
        async with opened(mongo_uri) as one, opened(mongo_uri, one._link.database.name) as two:
            await one.commit(*[Insert(Item(f"{n:03}", rank=float(n))) for n in range(200)])
            taken: Counter[str] = Counter()

            async def taker(store, me):
                claim = Item, {"lane": "x", "state": "ready"}, ("rank",)
                while docs := await store.take(*claim, set={"state": "done"}, add={"number": 1}, limit=7):
                    assert all((doc.number, doc.version) == (1, 2) for doc in docs)
                    taken.update(doc.id for doc in docs)

            await asyncio.gather(*[taker(store, n) for n, store in enumerate([one, two] * 4)])
            assert taken == Counter({f"{n:03}": 1 for n in range(200)})

    play(main())


@pytest.mark.parametrize("lost", [True, False])
def test_mongo_who_takes_many_goes_around_what_another_writes(mongo_uri, lost):
    """Another transaction has written one of those that are wanted, and waits. ``lost``: in the end it is committed."""

    async def main():
        async with opened(mongo_uri) as store:
            await store.commit(*[Insert(Item(f"{n}", rank=float(n))) for n in range(9)])
            work = store._link.database["item"]
            async with store._link.client.start_session() as session:
                await session.start_transaction()
                await work.update_one(
                    {"_id": "3"}, {"$set": {"state": "done"}, "$inc": {"version": 1}}, session=session
                )
                claim = Item, {"lane": "x", "state": "ready"}, ("rank",)
                taking = asyncio.ensure_future(store.take(*claim, set={"state": "running"}, limit=6))
                async with asyncio.timeout(LATE):
                    while await store.count(Item, {"state": "running"}) < 3:
                        await asyncio.sleep(0.01)
                assert not taking.done()
                await (session.commit_transaction() if lost else session.abort_transaction())
            docs = await taking
            assert [doc.id for doc in docs] == list("012456" if lost else "012345")
            assert docs == await store.find(Item, {"lane": "x", "state": "running"}, ("rank",))
            assert {doc.version for doc in docs} == {2}

    play(main())


def test_mongo_a_commit_that_is_cancelled_blocks_nobody(mongo_uri):
    async def main():
        async with opened(mongo_uri) as store:
            await store.commit(Insert(Item("a")), Insert(Item("b")))
            for n in range(30):
                both = Change(Item, "a", add={"number": 1}), Change(Item, "b", add={"number": 1})
                commit = asyncio.ensure_future(store.commit(*both))
                await asyncio.sleep(n / 5000)
                commit.cancel()
                await asyncio.wait([commit])
            async with asyncio.timeout(2):
                a, b = await store.commit(Change(Item, "a"), Change(Item, "b"))
            assert a.number == b.number

    play(main())


# The servers of these tests


def test_mongo_a_server_of_a_test_run_that_is_killed_ends_with_it(tmp_path):
    program = (
        "import sys, time\n"
        "from tests.mongod import replica_set\n"
        "with replica_set(1) as cluster:\n"
        "    print(cluster.members[0]._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root) as run:
        assert run.stdout is not None
        server = int(run.stdout.readline())
        os.kill(server, 0)
        run.send_signal(signal.SIGKILL)
    deadline = monotonic() + LATE
    while Path(f"/proc/{server}/stat").exists() and Path(f"/proc/{server}/stat").read_text().split()[2] != "Z":
        assert monotonic() < deadline, "it lives on"
        sleep(0.05)


def test_mongo_a_binary_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setenv("MONGOD", "no-such-program")
    with pytest.raises(NoMongod, match="no-such-program"):
        mongod()


def test_mongo_a_reason_is_one_short_line():
    error = AutoReconnect("127.0.0.1:1: [Errno 111] Connection refused (configured timeouts: socketTimeoutMS: 1.0ms)")
    assert reason(error) == "127.0.0.1:1: Connection refused"
