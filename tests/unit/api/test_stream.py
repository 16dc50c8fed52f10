"""The stream of events, and clients that mean no good, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import msgspec

from ave.model.access import Grant, Role
from ave.model.vm import VM, VMState
from ave.ports.store import Delete, Replace
from drivers.rest.server import listen, serve
from tests.listener import heard
from tests.unit.api.lab import Lab, run


def vm(id: str, **fields: Any) -> VM:
    return VM(**{"id": id, "vcpus": 1, "memory_mib": 1024, "state": VMState.STOPPED, **fields})


def served(folder: Path, test: Callable[[Lab, int], Awaitable[None]]) -> None:
    async def with_server(lab: Lab) -> None:
        where = listen("127.0.0.1", 0)
        port = where.getsockname()[1]
        server = asyncio.ensure_future(serve(lab.app, where))
        try:
            await test(lab, port)
        finally:
            server.cancel()
            await asyncio.wait([server], timeout=10)
            assert server.done()

    run(folder, with_server)


def test_first_everything_then_what_changed_and_what_went(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        await lab.put(vm("a"), vm("b"))
        stream = heard(port, "/v1/events?types=vm")
        event, _, body = await anext(stream)
        assert event == "reset"
        assert [each["id"] for each in body["vm"]] == ["a", "b"]
        known = await lab.store.get(VM, "a")
        assert known is not None
        await lab.store.commit(Replace(msgspec.structs.replace(known, name="new")))
        event, id, body = await anext(stream)
        assert (event, [each["name"] for each in body["vm"]]) == ("delta", ["new"])
        gone = await lab.store.get(VM, "b")
        await lab.store.commit(Delete(gone))
        event, id, body = await anext(stream)
        assert (event, body) == ("delta", {"gone": [["vm", "b"]]})
        assert id == f"{lab.view.epoch}:{lab.view.projection.revision}"
        await stream.aclose()

    served(tmp_path, test)


def test_who_comes_back_hears_what_he_missed_and_nothing_else(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        await lab.put(vm("a"), vm("b"))
        stream = heard(port, "/v1/events?types=vm")
        _, seen, _ = await anext(stream)
        await stream.aclose()
        await lab.put(vm("c"))
        for headers, path in (
            ({"Last-Event-ID": seen}, "/v1/events?types=vm"),
            ({}, f"/v1/events?types=vm&since={seen}"),
        ):
            stream = heard(port, path, **headers)
            event, _, body = await anext(stream)
            assert (event, [each["id"] for each in body["vm"]]) == ("delta", ["c"])
            await stream.aclose()
        stream = heard(port, "/v1/events?types=vm", **{"Last-Event-ID": "another:5"})
        assert (await anext(stream))[0] == "reset"
        await stream.aclose()

    served(tmp_path, test)


def test_jobs_are_shown_with_their_tasks(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        stream = heard(port, "/v1/events?types=job")
        await anext(stream)
        asked = {"vms": [{"id": "x", "vcpus": 1, "memory_mib": 512}]}
        job = (await lab.ask("POST", "/v1/vms", asked)).json()["id"]
        _, _, body = await anext(stream)
        assert [each["id"] for each in body["job"]] == [job]
        await stream.aclose()

    served(tmp_path, test)


def test_nobody_hears_of_what_he_may_not_see_nor_that_it_went(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        await lab.put(vm("mine", tenant="acme"), vm("theirs", tenant="evil"))
        ann = await lab.token("ann", Grant(Role.VIEWER, "/tenants/acme"), tenant="acme")
        stream = heard(port, "/v1/events", **ann)
        _, _, body = await anext(stream)
        assert [each["id"] for each in body["vm"]] == ["mine"]
        assert "user" not in body
        assert "token" not in body
        for name in ("theirs", "mine"):
            await lab.store.commit(Delete(await lab.store.get(VM, name)))
        told: list[Any] = []
        while not told:
            told = (await anext(stream))[2].get("gone", [])
        assert told == [["vm", "mine"]]
        await stream.aclose()

    served(tmp_path, test)


def test_clients_that_do_not_read_and_do_not_speak_keep_nobody_waiting(tmp_path: Path) -> None:
    """Streams that nobody reads, heads and bodies that come byte by byte: others are served as ever."""

    async def test(lab: Lab, port: int) -> None:
        await lab.put(*[vm(f"vm-{number}", labels={"x": "y" * 500}) for number in range(200)])
        idle: list[asyncio.StreamWriter] = []
        for number in range(60):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            kinds = (
                b"GET /v1/events HTTP/1.1\r\nHost: [::1]\r\n\r\n",
                b"GET /v1/vms HTTP/1.1\r\nHost: [::1]\r\nX-Slow: ",
                b"POST /v1/vms HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n{",
            )
            writer.write(kinds[number % 3])
            idle.append(writer)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            for number in range(30):
                await lab.put(vm(f"new-{number}"))
                began = monotonic()
                assert (await client.get(f"/v1/vms/new-{number}")).status_code == 200
                assert monotonic() - began < 5
        for writer in idle:
            writer.close()

    served(tmp_path, test)
