"""The source on a simulated cluster, in the same loop; and on an API that is lost, slow, wrong or hostile."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from ave.cli.remote.failures import Exit, Failure
from tests.tui.sources import run, seen
from tui import source as source_module
from tui.model import Model, State
from tui.source import Api


def test_all_that_there_is_then_what_changes():
    async def main():
        async with seen() as it:
            await it.until(lambda model: len(model.docs["vm"]) == 16 and model.state is State.LIVE)
            model = it.model
            assert (it.source.kind, model.states["vm"]["running"], len(model.docs["host"])) == ("simulated", 16, 4)
            assert sum(len(held.vms) for held in model.held.values()) == 16
            assert model.clock is not None
            before = model.counts["vm"]
            (job,) = await it.source.act("vm.shutdown", ["web-1", "web-2"])
            assert job["operation"] == "vm.shutdown"
            await it.until(lambda model: model.docs["vm"]["web-1"]["state"] == "stopped")
            assert model.counts["vm"] > before
            await it.until(lambda model: len(model.parts(job["id"])) >= 2)
            await it.until(lambda model: any(line.what == "done" for line in model.log if job["id"] in line.who))
            assert await it.until(lambda model: model.docs["role"].get("scheduler", {}).get("holder"))
            await it.until(lambda model: len(model.series.get("vms.running", ())) >= 2)

    run(main())


def test_a_plan_changes_nothing_and_the_line_says_the_same():
    async def main():
        async with seen() as it:
            await it.until(lambda model: model.docs["vm"])
            (plan,) = await it.source.act("vm.migrate", ["web-1"], {"host": "host-2"}, dry_run=True)
            assert plan["dry_run"]
            assert (
                it.source.line_of("vm.migrate", ["web-1"], {"host": "host-2"}) == "ave vm migrate web-1 --host host-2"
            )
            assert it.source.line_of("vm.delete", ["web-1", "a b"]) == "ave vm delete web-1 'a b' --yes"
            with pytest.raises(Failure) as wrong:
                await it.source.act("vm.start", ["nobody"])
            assert wrong.value.exit is Exit.NOT_FOUND
            it.source.read_only = True
            with pytest.raises(Failure, match="read-only"):
                await it.source.act("vm.shutdown", ["web-1"])

    run(main())


def test_why_a_vm_would_go_where_it_goes():
    async def main():
        async with seen() as it:
            await it.until(lambda model: model.docs["vm"])
            said = await it.source.explain("web-1", "live")
            assert {host["host"] for host in said["hosts"]} == {"host-1", "host-2", "host-3", "host-4"}
            assert said["hosts"][0]["verdicts"]
            assert said["says"]

    run(main())


def test_a_fault_is_on_the_line_of_time_and_in_the_log():
    async def main():
        async with seen() as it:
            await it.until(lambda model: model.docs["vm"])
            fault = await it.source.begin_fault({"fault": "host-crash", "target": "host-3"})
            assert [mark.text for mark in await it.until(lambda model: model.marks)] == ["host-crash host-3"]
            await it.until(lambda model: any(line.what == "host-crash" and line.level == "time" for line in model.log))
            await it.source.set_clock(speed="max")
            await it.until(lambda model: any(line.what == "fenced" for line in model.log))
            assert [each["id"] for each in (await it.source.faults())["under_way"]] == [fault["id"]]
            await it.source.end_fault(fault["id"])
            clock = await it.source.set_clock(paused=True)
            assert clock.paused
            with pytest.raises(Failure, match="no recording"):
                await it.source.set_clock(at=1.0)

    run(main())


class Cut(httpx2.AsyncBaseTransport):
    """A line that can be cut, with all that is under way on it."""

    def __init__(self, inner):
        self.inner, self.cut, self.asked = inner, asyncio.Event(), []

    async def handle_async_request(self, request):
        if self.cut.is_set():
            raise httpx2.ConnectError("cut")
        self.asked.append((request.url.path, request.headers.get("last-event-id")))
        answer = await self.inner.handle_async_request(request)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=CutStream(answer.stream, self.cut))

    async def aclose(self):
        await self.inner.aclose()


class CutStream(httpx2.AsyncByteStream):
    def __init__(self, inner, cut):
        self.inner, self.cut = inner, cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self.inner)
        while True:
            piece, cut = asyncio.ensure_future(anext(pieces, None)), asyncio.ensure_future(self.cut.wait())
            await asyncio.wait((piece, cut), return_when=asyncio.FIRST_COMPLETED)
            cut.cancel()
            if self.cut.is_set():
                piece.cancel()
                raise httpx2.ReadError("cut")
            if (told := piece.result()) is None:
                return
            yield told

    async def aclose(self):
        await self.inner.aclose()


def test_an_api_that_is_lost_and_returns_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(source_module, "RETRY_SECONDS", 0.05)
    lines = []

    def through(transport):
        lines.append(Cut(transport))
        return lines[0]

    async def main():
        async with seen(through=through) as it:
            await it.until(lambda model: model.docs["vm"] and model.state is State.LIVE)
            resets = it.model.resets
            lines[0].cut.set()
            await it.until(lambda model: model.state is State.LOST)
            assert "cannot be reached" in it.model.why or "cut" in it.model.why
            assert len(it.model.docs["vm"]) == 16  # what was known is still shown
            with pytest.raises(Failure) as lost:
                await it.source.explain("web-1")
            assert lost.value.exit is Exit.UNREACHABLE
            lines[0].cut.clear()
            await it.until(lambda model: model.state is State.LIVE)
            await it.source.act("vm.shutdown", ["web-1"])
            await it.until(lambda model: model.docs["vm"]["web-1"]["state"] == "stopped")
            assert it.model.resets == resets
            assert [last for path, last in lines[0].asked if path == "/v1/events"][-1]

    run(main())


def test_silence_is_seen(monkeypatch):
    monkeypatch.setattr(source_module, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(source_module, "LOOK_SECONDS", 0.05)

    async def main():
        async with seen() as it:
            await it.until(lambda model: model.state is State.SLOW)  # it says what time it is once a second
            await it.until(lambda model: model.state is State.LIVE)

    run(main())


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (b"event: delta\ndata: {not json\n\n", "cannot be read"),
        (b'event: delta\ndata: {"vm": [{}]}\n\n', "cannot be read"),
        (b'event: clock\ndata: {"now": "later"}\n\n', "cannot be read"),
        (b"", "ended"),
    ],
)
def test_what_cannot_be_read_is_told_and_ends_nothing(events, why, monkeypatch):
    monkeypatch.setattr(source_module, "RETRY_SECONDS", 0.01)

    async def answer(request):
        if request.url.path == "/v1/events":
            return httpx2.Response(200, content=events)
        return httpx2.Response(200, json={"host": "h1", "api_extensions": []})

    async def main():
        model, source = Model(), Api("test", ("http://h1",), transport=httpx2.MockTransport(answer))
        running = asyncio.ensure_future(source.run(model))
        while why not in model.why:
            await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()
        await source.close()

    run(main())


def test_who_may_not_in_is_told_what_to_do(monkeypatch):
    async def answer(request):
        problem = {"code": "unauthenticated", "detail": "who are you?", "title": "", "status": 401}
        return httpx2.Response(401, json=problem, headers={"content-type": "application/problem+json"})

    async def main():
        model, source = Model(), Api("test", ("http://h1",), transport=httpx2.MockTransport(answer))
        running = asyncio.ensure_future(source.run(model))
        while model.state is not State.LOST:
            await asyncio.sleep(0.01)
        assert "who are you?: AVE_TOKEN" in model.why
        running.cancel()
        await source.close()

    run(main())
