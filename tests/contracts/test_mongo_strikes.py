"""What only a replica set can suffer: elections, frozen members, lost answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic

import msgspec
import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.ports.store import Change, Commit, Conflict, In, Insert, Replace
from drivers.mongo import link, several
from drivers.mongo import watch as watch_module
from tests.contracts import mongo_lab
from tests.contracts.mongo_lab import LATE, opened, play
from tests.contracts.store_machine import Item, Note
from tests.mongod import replica_set

# pymongo leaves a socket to be collected when it is closed while it connects.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
collected = mongo_lab.collected
cluster = mongo_lab.cluster
changed = msgspec.structs.replace


class Crew:
    """Workers that claim items, end each in a commit of two documents, and settle what they do not know."""

    def __init__(self, store):
        self.store = store
        self.taken: Counter[str] = Counter()  # what was acknowledged
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    async def work(self, me, limit):
        unsure = False
        claim = Item, {"lane": "x", "state": "ready"}, ("rank",)
        while True:
            try:
                if unsure:
                    held = await self.store.find(Item, {"state": "running"})
                    items = [item for item in held if item.text == me]
                else:
                    items = await self.store.take(
                        *claim, set={"state": "running", "text": me}, add={"number": 1}, limit=limit
                    )
                    self.taken.update(item.id for item in items)
                    if not items and not await self.store.count(Item, {"state": In(("ready",))}):
                        return
                for item in items:
                    await self.end(item)
                unsure = False
            except (Unavailable, UnknownOutcome) as error:
                self.errors[type(error).__name__] += 1
                unsure = True
                await asyncio.sleep(0.05)

    async def end(self, item):
        writes = Replace(changed(item, state="done")), Insert(Note(item.id, topic=item.text))
        try:
            await self.store.commit(*writes)
        except Conflict:
            assert (await self.store.get(Note, item.id)).topic == item.text, "somebody else ended it"
        self.done[item.id] += 1


async def tell(store, watch, told, errors):
    while True:
        try:
            told.append(await watch.next())
        except Unavailable:
            errors["a watch broke"] += 1
            while True:
                try:
                    watch = await store.watch([Item], since=watch.revision)
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize("blow", ["kill", "freeze"])
def test_mongo_of_what_was_acknowledged_nothing_is_lost_or_doubled_when_the_primary_is_struck(
    cluster, blow, record_property
):
    items = 240

    async def main():
        async with opened(cluster.uri) as store:
            await store.commit(*[Insert(Item(f"{n:03}", rank=float(n))) for n in range(items)])
            crew, told = Crew(store), list[Commit]()
            watch = await store.watch([Item])
            telling = asyncio.ensure_future(tell(store, watch, told, crew.errors))
            working = asyncio.gather(*[crew.work(f"w{n}", 1 + 3 * (n % 2)) for n in range(6)])
            while len(crew.done) < items // 5:
                await asyncio.sleep(0.001)
            primary = await asyncio.to_thread(cluster.primary)
            getattr(cluster, blow)(primary)
            assert len(crew.done) < items, "too late to disturb anybody"
            assert await asyncio.to_thread(cluster.primary) != primary
            await asyncio.sleep(1)
            await asyncio.to_thread(cluster.restart if blow == "kill" else cluster.thaw, primary)
            await working
            while sum(len(commit.changes) for commit in told) < 2 * items:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            telling.cancel()
            docs = await store.find(Item, {})
            notes = {
                note.id: note.topic for note in await store.find(Note, {"topic": In(tuple(f"w{n}" for n in range(6)))})
            }
            assert [(doc.state, doc.version, doc.number) for doc in docs] == [("done", 3, 1)] * items
            assert notes == {doc.id: doc.text for doc in docs}
            assert max(crew.taken.values()) == 1
            assert set(crew.done) == {doc.id for doc in docs}
            seen = Counter((id, doc.version) for commit in told for _, id, doc in commit.changes)
            assert seen == Counter({(doc.id, version): 1 for doc in docs for version in (2, 3)})
            assert [commit.revision for commit in told] == sorted({commit.revision for commit in told})
            return crew.errors

    record_property("note", f"mongod {blow}: the workers met {dict(play(main(), 100))}")


async def answering(store):
    async with asyncio.timeout(LATE):
        while True:
            try:
                return await store.get(Item, "a")
            except Unavailable:
                await asyncio.sleep(0.05)


def test_mongo_what_was_never_sent_is_unavailable_and_a_lost_answer_is_an_unknown_outcome(monkeypatch):
    for module in (link, several, watch_module):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 1.0)

    async def main():
        with replica_set(1) as cluster:
            async with opened(cluster.uri) as store:
                await store.commit(Insert(Item("a")), Insert(Item("b")))
                calls = {
                    "commit": lambda: store.commit(Change(Item, "a", add={"number": 1})),
                    "insert": lambda: store.commit(Insert(Item("c"))),
                    "take": lambda: store.take(Item, {"id": "a"}, (), set={}, add={"number": 1}),
                }
                for name, call in calls.items():
                    await answering(store)
                    cluster.freeze(0)
                    began = monotonic()
                    with pytest.raises(UnknownOutcome, match="read it back"):
                        await call()
                    assert monotonic() - began < 3, name
                    with pytest.raises(Unavailable):  # there is no connection left on which it could be sent
                        await call()
                    cluster.thaw(0)
                await answering(store)
                cluster.freeze(0)
                with pytest.raises(Unavailable):  # the transaction was not yet to be committed
                    await store.commit(Change(Item, "a"), Change(Item, "b"))
                cluster.thaw(0)
                await answering(store)
                assert (await store.get(Item, "a")).number in (0, 1, 2)
                cluster.kill(0)
                others = store.now, lambda: store.find(Item, {}), lambda: store.watch([Item])
                for call in (*others, *calls.values()):
                    began = monotonic()
                    with pytest.raises(Unavailable, match=cluster.members[0].address):
                        await call()
                    assert monotonic() - began < 3
                with pytest.raises(Unavailable):
                    await store.commit(Change(Item, "a"), Change(Item, "b"))

    play(main())


def test_mongo_a_watch_of_a_dead_server_breaks_and_resumes_where_it_was():
    async def main():
        with replica_set(1) as cluster:
            async with opened(cluster.uri) as store:
                watch = await store.watch([Item])
                await store.commit(Insert(Item("a")))
                assert (await watch.next()).changes[0][1] == "a"
                await store.commit(Insert(Item("b")))
                cluster.kill(0)
                left = ["b", "c"]
                with pytest.raises(Unavailable, match="change stream"):
                    while True:
                        left.remove((await watch.next()).changes[0][1])
                cluster.restart(0)
                cluster.primary()
                again = await store.watch([Item], since=watch.revision)
                await store.commit(Insert(Item("c")))
                assert [(await again.next()).changes[0][1] for _ in left] == left

    play(main())
