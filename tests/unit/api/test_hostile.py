"""Clients that mean no good, on a real server: pages of others, slow ones, large ones, many. And what a Job is not told."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import pytest

from ave.model.access import Grant, Role
from ave.model.vm import VM, VMState
from ave.model.work import Work, WorkState
from ave.operations import OPERATIONS
from drivers.rest import body, patience, server, stream
from tests.unit.api.askable import ROUTES, ask, furnish
from tests.unit.api.lab import Lab, run
from tests.unit.api.test_stream import served

SOON = 10.0  # others are answered within so many seconds; a machine under load takes its time


def vm(id: str, **fields: Any) -> VM:
    return VM(**{"id": id, "vcpus": 1, "memory_mib": 1024, "state": VMState.STOPPED, **fields})


# I: pages of others


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": ""},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Host": "10.0.0.1"},
        {"Host": "[::2]:8460"},
    ],
    ids=str,
)
def test_a_page_elsewhere_asks_nothing_and_changes_nothing(headers: dict[str, str], tmp_path: Path) -> None:
    """Where nobody needs a token: what a browser on this machine sends for a page, also one whose name points here."""

    async def test(lab: Lab) -> None:
        await lab.put(vm("web-1"))
        asked = (
            ("POST", "/v1/vms/web-1:start", None),
            ("POST", "/v1/vms/web-1:poweroff", b""),
            ("DELETE", "/v1/vms/web-1", None),
            ("GET", "/v1/vms", None),
            ("GET", "/v1/events", None),
        )
        for method, path, content in asked:
            answer = await lab.client.request(method, path, headers=headers, content=content)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign"), (method, path)
            assert "access-control-allow-origin" not in answer.headers
        assert await lab.store.find(Work) == []

    run(tmp_path, test)


def test_our_own_names_and_origin_are_let_in(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        for host in ("127.0.0.1", "127.0.0.1:8460", "localhost:8460", "[::1]:8460", "127.0.0.9"):
            for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
                assert (await lab.client.get("/v1/vms", headers=headers)).status_code == 200, headers
        mine = await lab.token("ann", Grant(Role.VIEWER))
        far = {**mine, "Host": "ave.example"}  # with a token it may be called as it likes
        assert (await lab.client.get("/v1/vms", headers=far)).status_code == 200
        assert (await lab.client.get("/v1/vms", headers={**far, "Origin": "https://evil.example"})).status_code == 403

    run(tmp_path, test)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_no_body(kind: str, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        content = json.dumps({"vms": [{"id": "a", "vcpus": 1, "memory_mib": 512}]}).encode()
        headers = {"Content-Type": kind} if kind else {}
        answer = await lab.client.post("/v1/vms", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "not-json")
        assert await lab.store.find(Work) == []

    run(tmp_path, test)


def test_every_answer_is_kept_nowhere_and_stands_in_no_page(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        for method, path in (("GET", "/v1/vms"), ("GET", "/v1/nothing"), ("PUT", "/v1/vms"), ("POST", "/v1/vms")):
            answer = await lab.client.request(method, path)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert "set-cookie" not in answer.headers

    run(tmp_path, test)


def test_no_header_makes_another_method_or_another_user(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(vm("web-1"))
        ann = await lab.token("ann", Grant(Role.VIEWER))
        tricks = {
            "X-HTTP-Method-Override": "DELETE",
            "X-Method-Override": "DELETE",
            "X-Original-URL": "/v1/users",
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Host": "127.0.0.1",
            "X-Remote-User": "root",
            "Cookie": "token=ave_1_2",
        }
        answer = await lab.client.get("/v1/vms/web-1", headers={**ann, **tricks})
        assert (answer.status_code, answer.json()["id"]) == (200, "web-1")
        for how in ({"_method": "DELETE"}, {"token": "x"}, {"access_token": "x"}):
            answer = await lab.client.post("/v1/vms/web-1:start", params=how, headers={**ann, **tricks})
            assert answer.status_code in (400, 403)
        assert (await lab.client.request("OPTIONS", "/v1/vms", headers=ann)).status_code == 405
        assert (await lab.client.request("TRACE", "/v1/vms", headers=ann)).status_code == 405

    run(tmp_path, test)


# J: exhaustion


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules, in less time."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 1.5)
    monkeypatch.setattr(patience, "IDLE_SECONDS", 3.0)
    monkeypatch.setattr(patience, "TAKE_SECONDS", 2.0)
    monkeypatch.setattr(patience, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(body, "BODY_SECONDS", 1.5)


async def others_are_served(lab: Lab, port: int, until: Callable[[], bool], most: float = 30.0) -> None:
    """All the while, and until then."""
    end = monotonic() + most
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SOON) as client:
        while not until():
            assert monotonic() < end, "nobody cut them off"
            assert (await client.get("/v1/version")).status_code == 200
            assert (await client.get("/v1/vms")).status_code == 200
            await asyncio.sleep(0.1)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Slow:
    """A client that says this, and then a byte now and then."""

    def __init__(self, port: int, begin: bytes, drop: bytes) -> None:
        self._port, self._begin, self._drop = port, begin, drop
        self.over = False
        self.heard = b""

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._begin)
        try:
            while True:
                try:
                    async with asyncio.timeout(0.3):
                        said = await reader.read(4096)
                    if not said:
                        break
                    self.heard += said
                except TimeoutError:
                    writer.write(self._drop)
                    await writer.drain()
        except ConnectionError:
            pass
        self.over = True
        writer.close()


HEAD = b"GET /v1/vms HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/vms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("begin", "drop", "status"),
    [
        (b"", b"", b""),
        (b"G", b"E", b""),
        (HEAD, b"X-A: b\r\n", b""),
        (HEAD + b"X-A: ", b"b", b""),
        (HEAD + b"\r\n", b"G", b"200"),  # one request, and then a second one that does not come
        (POST + b"Content-Length: 100000\r\n\r\n", b"{", b"408"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n", b"408"),
        (POST + b"Content-Length: 99999999\r\n\r\n", b" ", b"413"),
        (POST + b"Content-Length: 1073741824\r\n\r\n", b" ", b"413"),
    ],
    ids=["silent", "one-byte", "headers", "one-header", "second", "body", "chunks", "large", "huge"],
)
def test_who_speaks_byte_by_byte_is_cut_off(
    begin: bytes, drop: bytes, status: bytes, hurried: None, tmp_path: Path
) -> None:
    async def test(lab: Lab, port: int) -> None:
        slow = [Slow(port, begin, drop) for _ in range(40)]
        tasks = [asyncio.ensure_future(each.run()) for each in slow]
        await others_are_served(lab, port, lambda: all(each.over for each in slow))
        await asyncio.gather(*tasks)
        if status not in (b"", b"413"):  # what is cut while it is still sent may not be heard
            assert all(status in each.heard.partition(b"\r\n")[0] for each in slow), slow[0].heard
        assert await lab.store.find(Work) == []

    served(tmp_path, test)


def test_a_thousand_who_say_nothing_leave_room_again(hurried: None, monkeypatch: Any, tmp_path: Path) -> None:
    """They are as many as are let in; others wait for no more than the time that those have."""
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 60)

    async def test(lab: Lab, port: int) -> None:
        slow = [Slow(port, b"G", b"") for _ in range(80)]
        tasks = [asyncio.ensure_future(each.run()) for each in slow]
        await asyncio.sleep(0.5)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SOON) as client:
            assert (await client.get("/healthz")).status_code == 503
        end = monotonic() + 20
        while not all(each.over for each in slow):
            assert monotonic() < end
            await asyncio.sleep(0.1)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SOON) as client:
            assert (await client.get("/healthz")).status_code == 200
        await asyncio.gather(*tasks)

    served(tmp_path, test)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/vms?limit=1000"])
def test_who_reads_nothing_is_cut_off_and_costs_little(path: str, hurried: None, tmp_path: Path) -> None:
    """Streams, and answers that are asked for one after the other and never taken."""

    async def test(lab: Lab, port: int) -> None:
        for begin in range(0, 1000, 100):
            await lab.put(*[vm(f"vm-{begin + n}", labels={"x": "y" * 9000}) for n in range(100)])
        memory, files = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, open_files()
        deaf = [socket.socket() for _ in range(20)]
        for one in deaf:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", port))
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 3)

        async def changes() -> None:
            number = 0
            while True:
                number += 1
                await lab.put(vm(f"new-{number}", labels={"x": "y" * 9000}))
                await asyncio.sleep(0.1)

        changing = asyncio.ensure_future(changes())
        try:
            # Of each only the client's own end is left.
            await others_are_served(lab, port, lambda: open_files() <= files + 25, 60.0)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
            assert grown < 600 << 10, f"{grown >> 10} MiB for 20 that read nothing of 9 MiB"
        finally:
            changing.cancel()
            for one in deaf:
                one.close()

    served(tmp_path, test)


def test_a_gibibyte_is_not_taken(tmp_path: Path) -> None:
    """Neither if it says so, nor if it only comes; and no memory for it."""

    async def test(lab: Lab, port: int) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for head in (b"Content-Length: 1073741824\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST + head)
            piece = b" " * 65536
            sent = 0
            try:
                while sent < 1 << 30:
                    writer.write(b"10000\r\n" + piece + b"\r\n" if b"chunked" in head else piece)
                    sent += len(piece)
                    await writer.drain()
            except ConnectionError:
                pass
            assert sent < 64 << 20, f"{sent >> 20} MiB were taken"
            writer.close()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 100 << 10, f"{grown >> 10} MiB"

    served(tmp_path, test)


def test_nobody_has_all_the_streams(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(stream, "STREAMS_OF_ONE", 4)
    monkeypatch.setattr(stream, "STREAMS_MOST", 6)

    async def test(lab: Lab, port: int) -> None:
        ann, bob = [await lab.token(name, Grant(Role.VIEWER)) for name in ("ann", "bob")]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SOON) as client:

            async def opened(header: dict[str, str]) -> Any:
                asked = client.build_request("GET", "/v1/events", headers=header)
                return await client.send(asked, stream=True)

            mine = [await opened(ann) for _ in range(6)]
            assert [answer.status_code for answer in mine] == [200] * 4 + [429] * 2
            assert int(mine[-1].headers["Retry-After"]) >= 1
            theirs = [await opened(bob) for _ in range(3)]
            assert [answer.status_code for answer in theirs] == [200] * 2 + [429]
            assert (await client.get("/v1/vms", headers=ann)).status_code == 200
            for answer in mine:
                await answer.aclose()
            end = monotonic() + SOON
            while (again := await opened(ann)).status_code != 200:
                await again.aclose()
                assert monotonic() < end
                await asyncio.sleep(0.05)
            for answer in (*theirs, again):
                await answer.aclose()

    served(tmp_path, test)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/vms HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /v1/vms HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
        b"GET /v1/vms?q=" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"../" * 30_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x00" * 100_000,
        b"GET /v1/vms HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
        b"GET /v1/vms HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
    ids=["header", "headers", "query", "path", "zeros", "two-lengths", "two-hosts"],
)
def test_a_head_that_is_a_bomb_is_refused(head: bytes, tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        try:
            async with asyncio.timeout(SOON):
                await writer.drain()
                answer = await reader.read(4096)
        except ConnectionError:
            answer = b""
        assert b" 200 " not in answer.partition(b"\r\n")[0]
        writer.close()
        await others_are_served(lab, port, lambda: True)

    served(tmp_path, test)


def test_selectors_and_searches_take_no_time(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(*[vm(f"vm-{n}", labels={"app": "a" * 60}) for n in range(200)])
        for name, value in (
            ("label", "a" * 900 + "!"),
            ("label", "app in (" + "a," * 400 + ")"),
            ("label", "!" * 1000),
            ("label", ",".join(["app"] * 250)),
            ("label", " " * 990 + "="),
            ("q", "(a+)+$" * 100),
            ("sort", "-" * 500),
            ("limit", "1000000000"),
            ("page_token", "A" * 5000),
            ("fields", ",".join(["id"] * 2000)),
        ):
            began = monotonic()
            answer = await lab.client.get("/v1/vms", params={name: value})
            assert answer.status_code in (200, 400), (name, answer.text)
            assert monotonic() - began < 1.0, name

    run(tmp_path, test)


def test_a_batch_of_too_many_is_refused_and_holds_up_nobody(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        many = {"vms": [{"id": f"v{n}", "vcpus": 1, "memory_mib": 512} for n in range(100_000)]}
        names = {"vms": [f"v{n}" for n in range(100_000)]}
        for path, asked in (("/v1/vms", many), ("/v1/vms:batch-start", names)):
            content = json.dumps(asked)
            began = monotonic()
            answer = await lab.client.post(path, content=content, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.text[:200]
            assert monotonic() - began < SOON
        assert await lab.store.find(Work) == []

    run(tmp_path, test)


def test_thousands_of_requests_at_once_are_answered_or_told_to_wait(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        ann = await lab.token("ann", Grant(Role.ADMIN))
        gate = asyncio.Semaphore(300)
        codes: dict[int, int] = {}

        async def one(client: httpx2.AsyncClient, number: int) -> None:
            async with gate:
                if number % 10:
                    answer = await client.get("/v1/vms", headers=ann)
                else:
                    body = {"vms": [{"id": f"v{number}", "vcpus": 1, "memory_mib": 512}]}
                    answer = await client.post("/v1/vms", json=body, headers=ann)
            codes[answer.status_code] = codes.get(answer.status_code, 0) + 1

        limits = httpx2.Limits(max_connections=300)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
            await asyncio.gather(*(one(client, number) for number in range(2000)))
        assert set(codes) <= {200, 202, 429, 503}, codes
        assert codes[200] > 500

    served(tmp_path, test)


# O: what a Job is not told


def test_what_is_not_for_users_has_no_way_in(tmp_path: Path) -> None:
    internal = [operation for operation in OPERATIONS.values() if not operation.by_user]
    assert len(internal) > 5

    async def test(lab: Lab) -> None:
        await furnish(lab)
        lab.client.headers.update(await lab.token("root", Grant(Role.ADMIN)))
        for operation in internal:
            for path in (
                f"/v1/{operation.noun}:{operation.verb}",
                f"/v1/{operation.noun}s:{operation.verb}",
                f"/v1/{operation.noun}s:batch-{operation.verb}",
                f"/v1/{operation.noun}s/web-1:{operation.verb}",
                f"/v1/{operation.noun}s/h1:{operation.verb}",
            ):
                answer = await lab.client.post(path, json={})
                assert answer.status_code in (404, 405), path
            body = {"operation": operation.name, "arguments": {}}
            for path in ("/v1/jobs", "/v1/work", "/v1/jobs/job-1"):
                assert (await lab.client.post(path, json=body)).status_code in (404, 405)
        assert len(await lab.store.find(Work)) == 1  # the one that was there

    run(tmp_path, test)


INSIDE = {
    "function": "vm.delete",
    "lane": "h1",
    "handler": "h1-1",
    "rank": -1,
    "urgency": "rescue",
    "flag": "x",
    "plan": {"steps": {}},
    "tokens": {"vm/web-1": 99},
    "arguments": {"vms": ["web-1"]},
    "results": {},
    "job": "job-1",
    "attempt": 7,
    "user": "root",
}


@pytest.mark.parametrize("field", INSIDE)
def test_nobody_says_how_a_job_is_done(field: str, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await furnish(lab)
        lab.client.headers.update(await lab.token("root", Grant(Role.ADMIN)))
        for route in ROUTES:
            if not route.job:
                continue
            asked = ask(route)
            answer = await lab.client.request(
                asked.method, asked.path, json={**(asked.body or {}), field: INSIDE[field]}
            )
            assert answer.status_code == 400, (route.path, answer.text)
        assert len(await lab.store.find(Work)) == 1

    run(tmp_path, test)


def test_a_key_is_its_users_own(tmp_path: Path) -> None:
    """Whoever guesses another's idempotency key gets neither his Job nor its answer."""

    async def test(lab: Lab) -> None:
        await lab.put(vm("a", tenant="acme"), vm("b", tenant="evil"))
        ann = await lab.token("ann", Grant(Role.TENANT_ADMIN, "/tenants/acme"), tenant="acme")
        eve = await lab.token("eve", Grant(Role.TENANT_ADMIN, "/tenants/evil"), tenant="evil")
        key = {"Idempotency-Key": "the same"}
        mine = (await lab.ask("POST", "/v1/vms/a:start", **ann, **key)).json()["id"]
        theirs = await lab.ask("POST", "/v1/vms/b:start", **eve, **key)
        assert theirs.status_code == 202
        assert theirs.json()["id"] != mine
        assert (await lab.ask("POST", "/v1/vms/a:start", **eve, **key)).status_code == 404
        tricky = await lab.token("eve2", Grant(Role.ADMIN))
        for forged in ("../ann/the same", "ann/the same", "the same/.."):
            answer = await lab.client.post("/v1/vms/b:start", headers=[*tricky.items(), ("Idempotency-Key", forged)])
            assert answer.status_code in (202, 400)
            assert answer.json().get("id") != mine

    run(tmp_path, test)


def test_a_foreign_job_is_neither_seen_nor_cancelled(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(vm("a", tenant="acme"))
        ann = await lab.token("ann", Grant(Role.TENANT_ADMIN, "/tenants/acme"), tenant="acme")
        eve = await lab.token("eve", Grant(Role.TENANT_ADMIN, "/tenants/evil"), tenant="evil")
        job = (await lab.ask("POST", "/v1/vms/a:start", **ann)).json()["id"]
        for method, path in (("GET", "/v1/jobs/{}"), ("DELETE", "/v1/jobs/{}"), ("GET", "/v1/jobs/{}?wait=1")):
            answer = await lab.ask(method, path.format(job), **eve)
            assert answer.status_code == 404
        (work,) = await lab.store.find(Work)
        assert (work.state, work.stop) == (WorkState.READY, False)

    run(tmp_path, test)
