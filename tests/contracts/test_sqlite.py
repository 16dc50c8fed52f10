"""What only a store on a file can suffer: other processes, a kill, a lock, a full disk, callers that give up."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from time import monotonic

import pytest

from ave.errors import Refused, Unavailable
from ave.ports.store import Change, Commit, Conflict, Delete, Insert, Replace, TooOld
from drivers.limits import DOCUMENT_BYTES_MAX
from drivers.sqlite import watch as watches
from drivers.sqlite.file import APPLICATION
from drivers.sqlite.ledger import TRIM_EVERY
from tests.contracts.sqlite_process import SOON, connected, finished, locked, opened, other, play
from tests.contracts.store_machine import Item, Note

ITEMS = 300


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


# Several processes


def test_of_several_processes_that_claim_from_one_sqlite_file_each_item_goes_to_one(path):
    async def fill(store):
        await store.commit(*[Insert(Item(f"{n:03}", rank=float(n), lane="xy"[n % 2])) for n in range(ITEMS)])

    async def read(store):
        return await store.find(Item)

    play(path, fill)
    with other("claim", path) as a, other("claim", path) as b, other("claim", path) as c:
        shares = [finished(process) for process in (a, b, c)]
    assert sorted(id for share in shares for id in share) == [f"{n:03}" for n in range(ITEMS)]
    assert {(doc.state, doc.number, doc.version) for doc in play(path, read)} == {("done", 1, 3)}


@pytest.mark.parametrize("commits", [1, 20, 150])
def test_a_killed_process_leaves_a_sound_sqlite_file_with_all_that_was_acknowledged(path, commits):
    async def begin(store):
        await store.commit(Insert(Item("a")), Insert(Item("b")))

    async def look(store):
        numbers = [(await store.get(Item, id)).number for id in "ab"]
        notes = [await store.count(Note, {"topic": id}) for id in "ab"]
        await store.commit(Change(Item, "a", add={"number": 1}))
        return numbers, notes

    play(path, begin)
    acknowledged = []
    with other("add", path, "a", SYNCHRONOUS="FULL") as a, other("add", path, "b", SYNCHRONOUS="FULL") as b:
        for process in (a, b):
            for _ in range(commits):
                acknowledged.append(int(process.stdout.readline()))
        for process in (a, b):
            process.kill()
        last = [max((int(n) for n in process.stdout.read().split("\n")[:-1]), default=commits) for process in (a, b)]
    with connected(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    numbers, notes = play(path, look)
    assert numbers == notes  # each commit is there whole, or not at all
    assert all(seen <= number <= seen + 1 for seen, number in zip(last, numbers, strict=True))


def test_several_processes_may_make_the_sqlite_file_at_once(path):
    async def read(store):
        return [doc.id for doc in await store.find(Item)]

    with other("make", path, 0) as a, other("make", path, 1) as b, other("make", path, 2) as c:
        processes = a, b, c
        for attempt in range(5):
            assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
            for process in processes:
                print(f"{path}-{attempt}", file=process.stdin, flush=True)
        for process in processes:
            assert process.wait(60) == 0
    for attempt in range(5):
        assert play(Path(f"{path}-{attempt}"), read) == ["0", "1", "2"]


def test_a_sqlite_file_that_is_being_read_waits_for_its_write_ahead_log(path):
    async def release(connection):
        await asyncio.sleep(0.2)
        connection.execute("ROLLBACK")

    async def main():
        with connected(path) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute("CREATE TABLE old (id TEXT)")
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM old").fetchall()
            releasing = asyncio.create_task(release(connection))
            async with await opened(path) as store:
                await store.commit(Insert(Item("a")))
            await releasing

    asyncio.run(main())


def test_a_watch_hears_of_what_other_processes_commit_to_a_sqlite_file(path, record_property):
    async def main(store):
        watch = await store.watch([Item])
        commits: list[Commit] = []
        late = []

        async def write():
            for n in range(20):
                await store.commit(Insert(Item(f"own-{n:02}")))
                await asyncio.sleep(0.004)

        with other("tell", path, 40) as process:
            assert process.stdout.readline() == "ready\n"
            writing = asyncio.create_task(write())
            print("go", file=process.stdin, flush=True)
            while len(commits) < 60:
                commits.append(await asyncio.wait_for(watch.next(), SOON))
                if commits[-1].changes[0][1].startswith("told"):
                    late.append(await store.now() - commits[-1].at)
            await writing
            finished(process)
        ids = [id for commit in commits for _, id, _ in commit.changes]
        assert [id for id in ids if id.startswith("told")] == [f"told-{n:02}" for n in range(40)]
        assert [id for id in ids if id.startswith("own")] == [f"own-{n:02}" for n in range(20)]
        revisions = [commit.revision for commit in commits]
        assert revisions == sorted(set(revisions))
        late.sort()
        return late[len(late) // 2], late[-1]

    middle, last = play(path, main)
    text = f"another process's commit is heard {1000 * middle:.0f} ms late in the middle, {1000 * last:.0f} ms at most"
    record_property("note", f"sqlite: {text}")
    assert middle < SOON


def test_a_watch_of_a_sqlite_file_resumes_in_another_process_or_is_too_old(path):
    async def begin(store):
        await store.commit(Insert(Item("before")))
        revision = (await store.watch([Item])).revision
        await store.commit(Insert(Item("a")), Insert(Note("n")))
        await store.take(Item, {"state": "ready"}, (), set={"state": "done"}, limit=2)
        await store.commit(Delete(await store.get(Item, "a")))
        return revision

    async def resume(store, revision):
        watch = await store.watch([Item], since=revision)
        commits = [await asyncio.wait_for(watch.next(), SOON) for _ in range(4)]
        with pytest.raises(TooOld):
            await store.watch([Item], since=watch.revision + 1)  # of a file that has since been restored, say
        return [[(id, doc and doc.state) for _, id, doc in commit.changes] for commit in commits]

    async def fill(store):
        for n in range(1500):
            await store.commit(Insert(Item(f"{n}")))

    async def come_late(store, revision):
        with pytest.raises(TooOld):
            await store.watch([Item], since=revision)
        await store.watch([Item], since=(await store.watch([Item])).revision - 100)

    revision = play(path, begin)
    told = [[("a", "ready")], [("a", "done")], [("before", "done")], [("a", None)]]
    assert play(path, resume, revision) == told
    play(path, fill, kept=100)
    play(path, come_late, revision, kept=100)
    with connected(path) as connection:
        assert connection.execute("SELECT count(*) FROM ave_log").fetchone()[0] <= 100 + TRIM_EVERY


@pytest.mark.parametrize("watched", [False, True])
def test_a_watch_of_a_sqlite_file_that_begins_amid_commits_misses_and_repeats_none(path, watched):
    async def main(store):
        others = [await store.watch([Item])] if watched else []
        for round in range(60):
            ids = [f"{round:02}-{n}" for n in range(6)]
            start = (await store.watch([Item])).revision if watched else (await closed_at_once(store)).revision
            watching = asyncio.create_task(store.watch([Item], since=start))
            for id in ids:
                commit = asyncio.create_task(store.commit(Insert(Item(id))))
                for _ in range(round % 5):
                    await asyncio.sleep(0)
            watch = await watching
            await commit
            heard = [(await asyncio.wait_for(watch.next(), SOON)).changes[0][1] for _ in ids]
            assert heard == ids
            assert not watch._pending
            watch.close()
        return others

    play(path, main)


async def closed_at_once(store):
    watch = await store.watch([Item])
    watch.close()
    return watch


def test_a_watch_that_is_not_read_breaks_off_and_loses_nothing(path, monkeypatch):
    monkeypatch.setattr(watches, "BEHIND_MAX", 3)

    async def main(store):
        watch = await store.watch([Item])
        for n in range(5):
            await store.commit(Insert(Item(f"{n}")))
        read = [await watch.next() for _ in range(3)]
        with pytest.raises(Unavailable):
            await watch.next()
        again = await store.watch([Item], since=watch.revision)
        read += [await asyncio.wait_for(again.next(), SOON) for _ in range(2)]
        assert [id for commit in read for _, id, _ in commit.changes] == ["0", "1", "2", "3", "4"]

    play(path, main)


# Trouble


def test_an_oversized_document_is_refused_and_spoils_nobody_elses_commit_to_the_sqlite_file(path):
    async def main(store):
        large = "x" * DOCUMENT_BYTES_MAX
        await store.commit(Insert(Item("a")), Insert(Item("b", text=large[:-1000])))
        named = r"^item a has 16,\d\d\d,\d\d\d bytes, and a document may have 16,777,216: store less in it$"
        change = Change(Item, "a", set={"text": large})
        answers = await asyncio.gather(
            store.commit(Insert(Note("n"))),
            store.commit(Insert(Note("m")), change),
            store.commit(Insert(Note("o"))),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [list, Refused, list]
        with pytest.raises(Refused, match=named):
            raise answers[1]
        with pytest.raises(Refused, match=named):
            await store.commit(Replace(Item("a", version=1, text=large)))
        with pytest.raises(Refused, match=r"^item b has"):  # the first would still have fitted
            await store.take(Item, {"state": "ready"}, (), set={"state": "done" * 1000}, limit=2)
        assert [doc.version for doc in await store.find(Item)] == [1, 1]
        assert [doc.id for doc in await store.find(Note, {"topic": ""})] == ["n", "o"]

    play(path, main)


def test_a_locked_sqlite_file_can_be_read_and_what_would_write_is_unavailable_and_did_not_happen(path):
    async def main(store):
        await store.commit(Insert(Item("a")))
        pauses, over = [], False

        async def tick():
            while not over:
                before = monotonic()
                await asyncio.sleep(0.01)
                pauses.append(monotonic() - before)

        ticking = asyncio.create_task(tick())
        with locked(path):
            with pytest.raises(Unavailable, match="was locked by another process for too long"):
                await store.commit(Insert(Item("b")))
            with pytest.raises(Unavailable):
                await store.take(Item, {"state": "ready"}, (), set={"state": "done"})
            assert await store.get(Item, "b") is None
            waiting = asyncio.create_task(store.commit(Insert(Item("c"))))
            await asyncio.sleep(0.02)
            assert await asyncio.wait_for(store.get(Item, "a"), SOON) == Item("a", version=1)
            assert not waiting.done()
        await waiting
        over = True
        await ticking
        assert len(pauses) > 10  # the loop went on while the writer was kept waiting
        assert [doc.id for doc in await store.find(Item)] == ["a", "c"]
        assert (await store.get(Item, "a")).version == 1

    play(path, main, busy_seconds=0.3)


def test_who_gives_up_waiting_for_a_locked_sqlite_file_has_written_nothing(path):
    async def main(store):
        with locked(path):
            waiting = [asyncio.create_task(store.commit(Insert(Item(f"{n}")))) for n in range(3)]
            await asyncio.sleep(0.05)
            waiting[0].cancel()
            waiting[2].cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting[0]
        assert await waiting[1] == [Item("1", version=1)]
        assert [doc.id for doc in await store.find(Item)] == ["1"]

    play(path, main)


def test_a_cancelled_commit_to_a_sqlite_file_is_there_whole_or_not_at_all_and_the_store_goes_on(path):
    async def main(store):
        cancelled, certain = 0, set()
        for round in range(150):
            commit = store.commit(Insert(Item(f"{round}")), Insert(Note(f"{round}")))
            task = asyncio.create_task(commit)
            for _ in range(round % 7):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0002 * (round % 3))
            task.cancel()
            try:
                await task
                certain.add(f"{round}")
            except asyncio.CancelledError:
                cancelled += 1
        assert cancelled > 10
        assert await store.commit(Insert(Item("last"))) == [
            Item("last", version=1)
        ]  # and by then the cancelled ones are over
        items = {doc.id for doc in await store.find(Item)} - {"last"}
        assert items == {doc.id for doc in await store.find(Note, {"topic": ""})}
        assert certain <= items

    play(path, main)


def test_a_sqlite_file_that_may_not_grow_refuses_and_takes_up_again(path):
    async def main(store):
        await store.commit(Insert(Item("a")))
        await store._writes.ask(lambda ledger: ledger.connection.execute("PRAGMA max_page_count = 60"))
        with pytest.raises(Unavailable, match=r"does not fit on its disk any more: free some space \(SQLITE_FULL\)"):
            await store.commit(Change(Item, "a", add={"number": 1}), Insert(Item("b", text="x" * 500_000)))
        both = store.commit(Insert(Item("c", text="x" * 500_000))), store.commit(Insert(Item("d")))
        answers = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(answers[0], Unavailable)
        assert answers[1] == [Item("d", version=1)]
        assert [(doc.id, doc.version) for doc in await store.find(Item)] == [("a", 1), ("d", 1)]

    play(path, main)


def test_a_commit_that_fails_at_the_sqlite_files_disk_has_an_unknown_outcome_and_the_store_goes_on(path):
    with other("burst", path) as process:
        assert finished(process) == ["UnknownOutcome", "whole", "again"]


def test_an_error_of_one_caller_spoils_nobody_elses_commit_to_the_sqlite_file(path):
    async def main(store):
        answers = await asyncio.gather(
            store.commit(Insert(Item("a"))),
            store.commit(Insert(Item("b")), Insert(Item("c", number=2**63))),  # larger than an indexed integer may be
            store.commit(Change(Item, "a", add={"nothing.such": 1})),
            store.commit(Insert(Item("a"))),
            store.commit(Insert(Item("e", rank=math.inf))),  # JSON has no such number, and null is none
            store.commit(Insert(Item("f", lane=None))),  # type: ignore[arg-type]
            store.commit(Insert(Item("d"))),
            return_exceptions=True,
        )
        bugs = OverflowError, AttributeError, Conflict, ValueError, ValueError
        assert [type(answer) for answer in answers] == [list, *bugs, list]
        assert [doc.id for doc in await store.find(Item)] == ["a", "d"]

    play(path, main)


def test_a_closed_sqlite_store_is_unavailable_and_its_watches_break_off(path):
    async def main(store):
        watch = await store.watch([Item])
        commit = asyncio.create_task(store.commit(Insert(Item("a"))))
        await asyncio.sleep(0)
        await asyncio.gather(store.close(), store.close())
        assert await commit == [Item("a", version=1)]  # what was begun is ended
        for call in (store.get(Item, "a"), store.commit(Insert(Item("b")))):
            with pytest.raises(Unavailable, match="closed"):
                await call
        with pytest.raises(Unavailable):
            await watch.next()

    play(path, main)


def test_the_time_of_a_sqlite_file_stands_still_while_the_clock_is_behind_it(path):
    async def fill(store):
        await store.commit(Insert(Item("a"), {"at": 0.0}))
        return (await store.get(Item, "a")).at

    async def later(store):
        ahead = await store.now()
        (b,) = await store.commit(Insert(Item("b"), {"at": 0.0}))
        return ahead, b.at, await store.now()

    at = play(path, fill)
    with connected(path) as connection:
        connection.execute("UPDATE ave_log SET at = at + 1000")
    assert play(path, later) == (at + 1000, at + 1000, at + 1000)
