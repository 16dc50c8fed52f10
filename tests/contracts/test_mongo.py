"""What only a replica set can suffer: elections, frozen members, lost answers, strangers at the door, other releases."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep

import msgspec
import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.kinds import KINDS as DECLARED
from ave.ports.store import Change, Check, Commit, Conflict, In, Insert, Replace, Write
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.limits import DOCUMENT_BYTES_MAX
from drivers.mongo import link, transaction
from drivers.mongo import watch as watch_module
from drivers.mongo.faults import reason
from drivers.mongo.settings import PASSWORD, MongoSettings
from drivers.mongo.store import MongoStore
from tests.contracts.store_machine import KINDS, Item, Note
from tests.mongod import Member, NoMongod, mongod, replica_set, three_nodes

changed = msgspec.structs.replace

SECRET = "hunter2-is-not-to-be-seen"
LATE = 20.0  # seconds in which what must happen has happened

# pymongo leaves a socket to be collected when it is closed while it connects.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def collected():
    """Here, and not in somebody else's test."""
    yield
    gc.collect()


@asynccontextmanager
async def opened(uri, database="", kinds=KINDS, *, schema=1, **settings):
    """A store in a database of its own, or in the one named."""
    name = database or f"ave-test-{token_hex(4)}"
    store = await MongoStore.open(
        AsyncioRuntime("process"), MongoSettings(uri=uri, database=name, **settings), kinds, schema=schema
    )
    try:
        yield store
    finally:
        await store.close()


def play(main, limit=60.0):
    return asyncio.run(asyncio.wait_for(main, limit))


def refusal(uri, kinds=KINDS, error=Refused, **settings):
    """What is said to whoever opens this."""

    async def main():
        async with opened(uri, kinds=kinds, **settings):
            raise AssertionError("it was opened")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(error) as caught:
        patch.setattr("drivers.mongo.settings.SELECT_SECONDS", 1.0)
        play(main())
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.fixture
def cluster():
    with three_nodes() as cluster:
        yield cluster


# Writes that meet each other


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


# When a member dies or stands still


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
    for module in (link, transaction, watch_module):
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


# Who may come in


def test_mongo_nobody_there_is_said_with_the_address_the_set_and_what_to_look_at():
    said = refusal("mongodb://127.0.0.1:1,127.0.0.1:2/?replicaSet=rs", error=Unavailable)
    for part in ("127.0.0.1:1", "127.0.0.1:2", "replica set rs", "refused", "Is mongod running"):
        assert part in said


def test_mongo_another_set_is_named(mongo_uri):
    said = refusal(mongo_uri.replace("replicaSet=rs", "replicaSet=other"))
    assert "belongs to replica set rs, not other" in said
    assert "replicaSet=rs" in said


def test_mongo_a_server_without_a_set_is_refused_and_told_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.mongod._OPTIONS", ("--bind_ip=127.0.0.1", "--nounixsocket"))
    alone = Member(tmp_path / "alone", (), {}, 16)
    try:
        alone.start()
        for uri in (f"mongodb://{alone.address}/", f"mongodb://{alone.address}/?replicaSet=rs"):
            said = refusal(uri)
            assert alone.address in said
            assert "--replSet rs" in said
            assert "rs.initiate()" in said
    finally:
        alone.kill()


def test_mongo_a_set_that_was_never_initiated_is_told_so(tmp_path):
    waiting = Member(tmp_path / "waiting", (), {}, 16)
    try:
        waiting.start()
        assert "rs.initiate()" in refusal(f"mongodb://{waiting.address}/?replicaSet=rs")
    finally:
        waiting.kill()


def test_mongo_a_set_without_a_primary_is_told_who_must_run(cluster):
    primary = cluster.primary()
    dead = primary, (primary + 1) % 3
    try:
        for member in dead:
            cluster.kill(member)
        said = refusal(cluster.uri, error=Unavailable)
        assert "has no primary" in said
        assert all(member.address in said for member in cluster.members)
    finally:
        for member in dead:
            cluster.restart(member)
        cluster.primary()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A replica set that asks who one is, and knows one user."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text("a" * 100)
    key.chmod(0o600)
    with replica_set(1, [f"--keyFile={key}"]) as cluster:
        with cluster.members[0].admin() as client:
            client.admin.command("createUser", "root", pwd=SECRET, roles=["root"])
        cluster.members[0].client.update(username="root", password=SECRET)
        with cluster.members[0].admin() as client:
            roles = [{"role": "readWrite", "db": "guarded"}]
            client.admin.command("createUser", "ave", pwd=SECRET, roles=roles)
        yield cluster


def test_mongo_a_user_with_a_password_from_a_file_or_the_environment_may_do_all(guarded, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")

    async def main(**settings):
        async with opened(guarded.uri, "guarded", user="ave", **settings) as store:
            watch = await store.watch([Item])
            (item, _) = await store.commit(Insert(Item(token_hex(4))), Check(Item, "gone", None))
            await store.take(Item, {"id": item.id}, (), set={"number": 5}, stamp={"at": 0.0}, limit=2)
            assert (await store.get(Item, item.id)).number == 5
            assert [(await watch.next()).changes[0][1] for _ in range(2)] == [item.id] * 2
            assert SECRET not in repr((store, store._link.client, store._link.where))

    play(main(password_file=str(file)))
    monkeypatch.setenv(PASSWORD, SECRET)
    play(main())
    assert SECRET not in caplog.text


def test_mongo_strangers_are_told_what_is_wrong_and_never_a_password(guarded, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    wrong = tmp_path / "password"
    wrong.write_text(SECRET + "x")
    assert "no user was named" in refusal(guarded.uri)
    assert "refuses user ave" in refusal(guarded.uri, user="ave", password_file=str(wrong))
    assert "readWrite" in refusal(guarded.uri, database="elsewhere", user="ave", password_file=_file(tmp_path, SECRET))
    assert str(tmp_path / "none") in refusal(guarded.uri, user="ave", password_file=str(tmp_path / "none"))
    monkeypatch.delenv(PASSWORD, raising=False)
    assert PASSWORD in refusal(guarded.uri, user="ave")
    for uri in (f"mongodb://ave:{SECRET}@127.0.0.1/", f"mongodb://ave:{SECRET}/@127.0.0.1:9/x"):
        assert "password_file" in refusal(uri)
    assert SECRET not in caplog.text


def _file(folder: Path, text: str) -> str:
    path = folder / token_hex(4)
    path.write_text(text)
    return str(path)


def certificates(folder):
    """A root of trust, and a certificate for this machine signed by it."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder, timeout=60)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-x509", *new, "-subj", "/CN=test root", *usage, "-keyout", "root.key", "-out", "root.pem")
    openssl("req", *new, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "server.csr", *signed, "-out", "server.pem")
    (folder / "both.pem").write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())
    return folder


def test_mongo_over_tls(tmp_path_factory):
    ours, strange = (certificates(tmp_path_factory.mktemp(name)) for name in ("ours", "strange"))
    options = [
        "--tlsMode=requireTLS",
        f"--tlsCertificateKeyFile={ours}/both.pem",
        f"--tlsCAFile={ours}/root.pem",
        "--tlsAllowConnectionsWithoutCertificates",
    ]

    async def main(uri):
        async with opened(uri) as store:
            await store.commit(Insert(Item("a")), Insert(Note("n")))
            assert (await store.get(Item, "a")).version == 1

    with replica_set(1, options, client={"tls": True, "tlsCAFile": f"{ours}/root.pem"}) as cluster:
        play(main(f"{cluster.uri}&tls=true&tlsCAFile={ours}/root.pem"))
        assert "certificate verify failed" in refusal(
            f"{cluster.uri}&tls=true&tlsCAFile={strange}/root.pem", error=Unavailable
        )
        said = refusal(cluster.uri, error=Unavailable)
        assert cluster.members[0].address in said


# What is stored already


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
                        "hint": dict(query.hint),
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
                    where = dict.fromkeys(index.by, "x")
                    assert await store.find(kind.type, where, index.order, 1) == []
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
    from pymongo.errors import AutoReconnect

    error = AutoReconnect("127.0.0.1:1: [Errno 111] Connection refused (configured timeouts: socketTimeoutMS: 1.0ms)")
    assert reason(error) == "127.0.0.1:1: Connection refused"
