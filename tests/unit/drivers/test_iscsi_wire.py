"""What a host and the storage box say to each other, and what becomes of it when it is cut short, changed, or too much."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ports.block import Grant, Lease
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.iscsi import server, wire
from drivers.iscsi.block import IscsiBlock
from drivers.iscsi.box import Box
from drivers.iscsi.pool import Pool
from drivers.iscsi.server import Service
from tests.contracts.test_block import stamp
from tests.unit.drivers.test_iscsi_box import Noted

SECRET = b"a secret that only tests know"


@pytest.fixture
def play(tmp_path):
    """``play(story)`` runs it with a box that listens, and a way to it that may be disturbed."""
    (tmp_path / "pool").mkdir()

    def run(story, **disturbed):
        async def main():
            runtime = AsyncioRuntime("test")
            service = Service(Box(Pool(tmp_path / "pool"), tmp_path, Noted(), SECRET), tmp_path, SECRET, runtime)
            box = await service.serve("127.0.0.1", 0)
            async with between(box.sockets[0].getsockname()[1], **disturbed) as port:
                await story(port, lambda host="a", key=SECRET: block(host, port, key, runtime))
            box.close()
            await box.wait_closed()

        asyncio.run(main())

    return run


def block(host, port, key, runtime):
    return IscsiBlock(host, ("127.0.0.1", port), "portal", key, runtime, may_lead=True)


@asynccontextmanager
async def between(port, change=lambda sent, data: data, ends_after=None):
    """A port that passes on what is said: answers changed, or cut off after so many bytes."""

    async def pass_on(reader, writer, answers, limit):
        sent = 0
        while data := await reader.read(4096):
            data = change(sent, data) if answers else data
            if limit is not None and sent + len(data) > limit:
                writer.write(data[: limit - sent])
                break
            sent += len(data)
            writer.write(data)
        writer.close()

    async def serve(reader, writer):
        there, to = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pass_on(reader, to, False, None), pass_on(there, writer, True, ends_after))
        except OSError:
            pass  # who asked has gone
        finally:
            to.close()
            writer.close()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()


HELLO = len(wire.MAGIC) + wire.NUMBER
PROOF = HELLO + wire.SEAL


def test_what_is_asked_is_done_and_answered_in_its_own_words(play):
    async def story(port, host):
        await host().create("disk", 1, stamp(1))
        await host().attach("disk", "b", stamp(1))
        assert await host("c").owner("disk") == ("b", 1)
        await host().join("a", "boot")
        assert await host().renew("a", "boot") == Grant("a", 1)
        assert await host().leases() == (Lease("a", 1, False),)
        with pytest.raises(Unavailable, match="b does not lead"):
            await host("b").leases()
        with pytest.raises(Refused, match="volume disk exists and has 1 GiB, not 2"):
            await host().create("disk", 2, stamp(1))

    play(story)


@pytest.mark.parametrize("bytes_", [0, 1, HELLO, PROOF - 1])
def test_what_ends_before_the_box_has_proven_itself_did_not_happen(play, tmp_path, bytes_):
    async def story(port, host):
        with pytest.raises(Unavailable, match="does not answer"):
            await host().create("disk", 1, stamp(1))
        assert Pool(tmp_path / "pool").volumes() == ()

    play(story, ends_after=bytes_)


@pytest.mark.parametrize("bytes_", [PROOF, PROOF + 10, PROOF + 40])
def test_what_ends_later_may_have_happened_but_a_question_changes_nothing(play, bytes_):
    async def story(port, host):
        with pytest.raises(UnknownOutcome, match="does not answer"):
            await host().create("disk", 1, stamp(1))
        with pytest.raises(Unavailable):
            await host().owner("disk")

    play(story, ends_after=bytes_)


def test_an_answer_that_was_changed_on_its_way_is_no_answer(play):
    async def story(port, host):
        with pytest.raises(UnknownOutcome, match="a frame with a wrong seal"):
            await host().join("a", "boot")

    play(story, change=lambda sent, data: data[:-1] + b"?" if sent >= PROOF else data)


def test_who_does_not_know_the_secret_is_not_heard(play, tmp_path):
    async def story(port, host):
        with pytest.raises(Unavailable, match="is the storage secret the same on both"):
            await host(key=b"another one").create("disk", 1, stamp(1))
        assert Pool(tmp_path / "pool").volumes() == ()

    play(story)


def test_what_only_looks_like_a_box_is_not_told_anything():
    async def main():
        heard = []

        async def impostor(reader, writer):
            writer.write(wire.MAGIC + b"1" * wire.NUMBER)
            heard.append(await reader.readexactly(wire.NUMBER + wire.SEAL))
            writer.write(b"2" * wire.SEAL)
            heard.append(await reader.read())
            writer.close()

        fake = await asyncio.start_server(impostor, "127.0.0.1", 0)
        host = block("a", fake.sockets[0].getsockname()[1], SECRET, AsyncioRuntime("test"))
        with pytest.raises(Unavailable, match="does not know the storage secret"):
            await host.create("disk", 1, stamp(1))
        fake.close()
        await fake.wait_closed()
        await asyncio.sleep(0.05)
        assert heard[1] == b""

    asyncio.run(main())


def test_a_box_that_is_not_there_is_unavailable(play):
    async def story(port, host):
        with pytest.raises(Unavailable, match="asked to create, does not answer"):
            await block("a", 1, SECRET, AsyncioRuntime("test")).create("disk", 1, stamp(1))

    play(story)


def test_a_frame_that_is_too_large_is_not_read(play):
    async def story(port, host):
        with pytest.raises(UnknownOutcome, match="the connection was closed"):
            await host().create("x" * wire.REQUEST_MAX, 1, stamp(1))

    play(story)


def test_who_says_nothing_is_let_go(play, monkeypatch):
    monkeypatch.setattr(server, "SAY_SECONDS", 0.1)

    async def story(port, host):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert len(await asyncio.wait_for(reader.read(), 5.0)) == HELLO
        writer.close()

    play(story)


def test_so_many_are_served_at_once_and_no_more(play, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)

    async def story(port, host):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for reader, _ in idle:
            await reader.readexactly(HELLO)
        with pytest.raises(Unavailable):
            await host().create("disk", 1, stamp(1))
        for _, writer in idle:
            writer.close()
        await asyncio.sleep(0.1)
        await host().create("disk", 1, stamp(1))

    play(story)


def test_what_is_not_understood_is_refused_with_the_reason(play):
    async def story(port, host):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        link = await wire.present(reader, writer, SECRET)
        await link.send(b"ask", b'{"host":"a","call":{"type":"Explode"}}')
        answer = await link.receive(b"answer", wire.ANSWER_MAX)
        assert b"Refused" in answer
        assert b"Explode" in answer
        writer.close()

    play(story)


def test_a_question_that_is_said_again_on_another_connection_is_not_heard(play, tmp_path):
    """Its seal belongs to the first one."""

    async def story(port, host):
        async def ask(body, seal=None):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            link = await wire.present(reader, writer, SECRET)
            seal = seal or wire._seal(link._key, b"ask", body)
            writer.write(struct.pack(">I", len(body)) + seal + body)
            answer = await reader.read()
            writer.close()
            return seal, answer

        body = b'{"host":"a","call":{"type":"Join","host":"a","boot":"boot"}}'
        seal, answer = await ask(body)
        assert answer
        _, answer = await ask(body, seal)
        assert answer == b""

    play(story)
