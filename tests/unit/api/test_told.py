"""What the stream tells beside things: lines of the log, points of charts, and what time it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from ave.api.history import EVERY_SECONDS, POINTS, History
from ave.api.nouns import BY_KIND
from ave.api.telling import STATEFUL, told
from ave.kinds import KINDS
from ave.model.access import Grant, Role
from ave.model.alarm import Alarm
from ave.model.cluster import Role as Office
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Work, WorkState
from ave.ports.store import Delete, Replace
from tests.listener import heard
from tests.unit.api.lab import Lab
from tests.unit.api.test_stream import served, vm


def job(state: WorkState, operation: str = "vm.start", **fields: Any) -> Work:
    return Work(id="j", job="j", function="lead", lane="h1", operation=operation, state=state, **fields)


H1 = Host(id="h1", state=HostState.ONLINE, cpus=8, memory_mib=10_000, reserve_mib=2_000)
RUNNING = move(move(vm("a"), VMState.STARTING, "chosen"), VMState.RUNNING, "runs on h1")


@pytest.mark.parametrize(
    ("kind", "old", "new", "line"),
    [
        ("vm", None, vm("a"), ("vm/a", "stopped", "")),
        ("vm", vm("a"), RUNNING, ("vm/a", "running", "runs on h1")),
        ("vm", RUNNING, msgspec.structs.replace(RUNNING, name="other"), None),
        ("vm", RUNNING, None, ("vm/a", "gone", "")),
        ("vm", None, None, None),
        ("host", H1, move(H1, HostState.SUSPECT, "silent"), ("host/h1", "suspect", "silent")),
        ("work", None, job(WorkState.QUEUED, user="ann"), ("job/j", "submitted", "by ann")),
        ("work", job(WorkState.QUEUED), job(WorkState.READY), None),
        ("work", job(WorkState.RUNNING), job(WorkState.FAILED, story=("running -> failed: no room",)),
         ("job/j", "failed", "no room")),
        ("work", job(WorkState.RUNNING, "host.report"), job(WorkState.DONE, "host.report"), None),
        ("work", job(WorkState.RUNNING, "host.report"), job(WorkState.FAILED, "host.report"), ("job/j", "failed", "")),
        ("work", None, Work(id="t", job="j", function="place", lane="h1", state=WorkState.READY), None),
        ("role", Office(id="scheduler"), Office(id="scheduler", holder="h2", term=3),
         ("role/scheduler", "taken", "by h2, term 3")),
        ("role", Office(id="scheduler", holder="h2"), Office(id="scheduler", holder="h2", version=2), None),
        ("alarm", None, Alarm(id="x", what="look"), ("alarm/x", "raised", "look")),
        ("alarm", Alarm(id="x", what="look"), None, ("alarm/x", "cleared", "look")),
        ("settings", None, None, None),
    ],
)  # fmt: skip
def test_a_line_for_what_people_want_to_know(kind: str, old: Any, new: Any, line: Any) -> None:
    found = told(kind, old, new)
    assert (None if found is None else (found.who, found.event, found.why)) == line


def test_every_kind_with_a_story_that_people_see_has_lines() -> None:
    stateful = [kind.name for kind in KINDS if kind.shown and "story" in kind.type.__struct_fields__]
    assert sorted(stateful) == sorted((*STATEFUL, "work"))
    assert set(stateful) <= set(BY_KIND)


def test_points_are_counted_change_by_change() -> None:
    history = History()
    history.begin([H1, RUNNING, job(WorkState.QUEUED)])
    history.change(5.0, [(None, msgspec.structs.replace(RUNNING, id="b", memory_mib=3072))])
    assert history.columns()["vms.total"] == [1.0]  # as it was until then
    history.change(9.9, [(RUNNING, move(RUNNING, VMState.UNKNOWN, "lost"))])
    assert history.since(1) == []
    history.change(EVERY_SECONDS, [(H1, move(H1, HostState.SUSPECT, "silent"))])
    (row,) = history.since(1)
    assert row == {
        "t": 10.0, "vms.total": 2, "vms.running": 1, "vms.unknown": 1, "hosts.total": 1, "hosts.online": 1,
        "jobs.active": 1, "cpu.share": 0.25, "memory.share": 0.512,
    }  # fmt: skip
    assert history.row()["memory.share"] == 0.0  # no host is online
    for number in range(POINTS + 5):
        history.change(100.0 * number, [])
    assert (len(history.columns()["t"]), len(history.since(0)), history.taken) == (POINTS, POINTS, POINTS + 6)


def test_lines_are_told_with_the_change_and_to_who_comes_back(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        await lab.put(vm("a"))
        stream = heard(port, "/v1/events?types=vm,log")
        event, seen, body = await anext(stream)
        assert event == "reset"
        assert [(line["who"], line["event"]) for line in body["log"]][-1] == ("vm/a", "stopped")
        await stream.aclose()
        known = await lab.store.get(VM, "a")
        assert known is not None
        await lab.store.commit(Replace(move(known, VMState.STARTING, "h1 was chosen")))
        await lab.view.until("vm", "a", 2)
        stream = heard(port, "/v1/events?types=vm,log", **{"Last-Event-ID": seen})
        _, _, body = await anext(stream)
        assert [(line["event"], line["fields"]) for line in body["log"]] == [("starting", {"why": "h1 was chosen"})]
        await lab.put(*[vm(f"v{number}") for number in range(3)])
        _, _, body = await anext(stream)
        assert body["log"][0]["who"] == "vm/v0"
        await stream.aclose()

    served(tmp_path, test)


def test_nobody_reads_of_what_he_may_not_see(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        ann = await lab.token("ann", Grant(Role.VIEWER, "/tenants/acme"), tenant="acme")
        stream = heard(port, "/v1/events?types=vm,log,sample", **ann)
        await anext(stream)
        await lab.put(vm("theirs", tenant="evil"))
        await lab.store.commit(Delete(await lab.store.get(VM, "theirs")))
        await lab.put(vm("mine", tenant="acme"))
        lab.view.projection.log(1.0, "fault", "host-crash", {})
        lines: list[Any] = []
        while not lines:
            _, _, body = await anext(stream)
            assert "sample" not in body
            lines = body.get("log", [])
        assert [line["who"] for line in lines] == ["vm/mine"]
        await stream.aclose()
        assert (await lab.ask("GET", "/v1/series", **ann)).status_code == 403

    served(tmp_path, test)


def test_what_time_it_is_and_charts_for_who_asks(tmp_path: Path) -> None:
    async def test(lab: Lab, port: int) -> None:
        stream = heard_all(port, "/v1/events?types=vm,time")
        name, body = await anext(stream)
        assert (name, body["fed"]) == ("time", True)
        assert body["now"] > 0
        await stream.aclose()
        columns = (await lab.ask("GET", "/v1/series")).json()
        assert columns["t"]
        assert all(len(values) == len(columns["t"]) for values in columns.values())

    served(tmp_path, test)


async def heard_all(port: int, path: str) -> Any:
    """Event and body of those without an id too."""
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
        client.stream("GET", path) as answer,
    ):
        async for event in httpx2.EventSource(answer):
            yield event.event, msgspec.json.decode(event.data)
