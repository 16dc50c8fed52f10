"""The audit record: with every change, of every refusal, and nothing taken out or altered unseen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from ave.api.audit import entry
from ave.model.access import ROOT, Grant, Role
from ave.model.audit import Chain, Outcome, Record, broken
from ave.model.vm import VM
from ave.model.work import Work
from ave.ports.store import Conflict, Delete, Insert, Replace
from tests.unit.api.lab import Lab, run

NEW = {"vms": [{"id": "web-1", "vcpus": 1, "memory_mib": 512}]}


async def records(lab: Lab) -> list[Record]:
    return await lab.store.find(Record, {"host": "h1"}, ("number",))


async def fault(lab: Lab) -> str:
    chain = await lab.store.get(Chain, "h1")
    assert chain is not None
    return broken(chain, await records(lab))


def test_a_job_and_its_record_are_one_commit(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        watch = await lab.store.watch((Work, Record))
        headers = {"X-Request-Id": "r-1", "Idempotency-Key": "k"}
        job = (await lab.ask("POST", "/v1/vms", NEW, **headers)).json()["id"]
        commit = await watch.next()
        assert sorted(kind for kind, _, _ in commit.changes) == ["audit", "work"]
        watch.close()
        assert (await lab.ask("POST", "/v1/vms", NEW, **headers)).json()["id"] == job
        (record,) = await records(lab)
        assert (record.user, record.operation, record.things) == ("root", "vm.create", ("vm/web-1",))
        assert (record.job, record.outcome, record.request_id) == (job, Outcome.ACCEPTED, "r-1")
        assert record.at > 0
        assert await fault(lab) == ""

    run(tmp_path, test)


def test_what_was_refused_is_recorded_with_its_reason(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        mine = await lab.token("eve", Grant(Role.VIEWER))
        asked = (("POST", "/v1/vms", NEW), ("POST", "/v1/users", {"id": "x"}), ("DELETE", "/v1/users/eve", None))
        for method, path, body in asked:
            assert (await lab.ask(method, path, body, **mine)).status_code == 403
        found = await records(lab)
        assert [(record.user, record.operation, record.outcome) for record in found] == [
            ("eve", "vm.create", Outcome.REFUSED),
            ("eve", "user.create", Outcome.REFUSED),
            ("eve", "user.delete", Outcome.REFUSED),
        ]
        assert all("no role" in record.why for record in found)
        assert await lab.store.find(Work) == []

    run(tmp_path, test)


def test_many_at_once_are_one_chain(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        asked = [{"vms": [{"id": f"vm-{number}", "vcpus": 1, "memory_mib": 512}]} for number in range(20)]
        answers = await asyncio.gather(*[lab.ask("POST", "/v1/vms", each) for each in asked])
        assert {answer.status_code for answer in answers} == {202}
        assert [record.number for record in await records(lab)] == list(range(1, 21))
        told = (await lab.ask("POST", "/v1/audit:check")).json()
        assert told == {"records": 20, "broken": {}}
        page = (await lab.ask("GET", "/v1/audit?limit=3")).json()["items"]
        assert [record["number"] for record in page] == [20, 19, 18]

    run(tmp_path, test)


def test_a_host_goes_on_with_the_chain_that_it_finds(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.ask("POST", "/v1/vms", NEW)
        second = Lab(
            lab.store, lab.runtime, loopback=True
        )  # the same host, started anew, while the old one still serves
        for floor in (second.desk._floor, lab.desk._floor, second.desk._floor):
            await floor.auditor.commit_of(entry("h1", ROOT, "vm.start", ["vm/web-1"]))()
        await second.client.aclose()
        assert [record.number for record in await records(lab)] == [1, 2, 3, 4]
        assert await fault(lab) == ""

    run(tmp_path, test)


def test_of_those_that_are_written_together_one_that_cannot_be_is_left_out(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        there = VM(id="there", vcpus=1, memory_mib=512)
        await lab.put(there)
        auditor = lab.desk._floor.auditor

        async def insert(name: str) -> str:
            try:
                (made,) = await auditor.commit_of(entry("h1", ROOT, "vm.create", [f"vm/{name}"]))(
                    Insert(VM(id=name, vcpus=1, memory_mib=512))
                )
            except Conflict as conflict:
                return f"conflict {conflict.id}"
            return str(made.id)

        names = ["a", "there", "b", "same", "same"]
        assert await asyncio.gather(*map(insert, names)) == ["a", "conflict there", "b", "same", "conflict same"]
        assert [record.things for record in await records(lab)] == [("vm/a",), ("vm/b",), ("vm/same",)]
        assert await fault(lab) == ""

    run(tmp_path, test)


def test_who_goes_away_takes_nobody_along(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        auditor = lab.desk._floor.auditor
        said = entry("h1", ROOT, "vm.start", ["vm/a"])
        gone = asyncio.ensure_future(auditor.commit_of(said)())
        others = [asyncio.ensure_future(auditor.commit_of(said)()) for _ in range(3)]
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(asyncio.gather(*others), 10)
        assert [record.number for record in await records(lab)] == [1, 2, 3, 4]
        assert await fault(lab) == ""

    run(tmp_path, test)


@pytest.mark.parametrize("harm", ["taken out", "altered", "the last taken out", "the first altered", "put in"])
def test_whatever_is_done_to_the_records_is_found(harm: str, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        for number in range(4):
            await lab.ask("POST", "/v1/vms", {"vms": [{"id": f"vm-{number}", "vcpus": 1, "memory_mib": 512}]})
        known = await records(lab)
        match harm:
            case "taken out":
                await lab.store.commit(Delete(known[1]))
            case "the last taken out":
                await lab.store.commit(Delete(known[3]))
            case "altered":
                await lab.store.commit(Replace(msgspec.structs.replace(known[1], user="somebody else")))
            case "the first altered":
                await lab.store.commit(Replace(msgspec.structs.replace(known[0], things=())))
            case "put in":
                await lab.store.commit(
                    Insert(msgspec.structs.replace(known[3], id="h1/000000000005", number=5, version=0))
                )
        found = (await lab.ask("POST", "/v1/audit:check")).json()["broken"]
        assert "h1" in found
        if (
            harm == "put in"
        ):  # beyond the chain's end it vouches for nothing, and the next true one takes its place away
            answer = await lab.ask("POST", "/v1/vms", {"vms": [{"id": "x", "vcpus": 1, "memory_mib": 512}]})
            assert answer.status_code == 503

    run(tmp_path, test)


def test_only_administrators_read_it(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        mine = await lab.token("op", Grant(Role.OPERATOR))
        assert (await lab.ask("GET", "/v1/audit", **mine)).status_code == 403
        assert (await lab.ask("POST", "/v1/audit:check", **mine)).status_code == 403
        assert (await lab.ask("GET", "/v1/events?types=audit", **mine)).status_code == 400

    run(tmp_path, test)


def test_a_clock_that_is_put_back_changes_no_order(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        for number in range(6):
            await lab.ask("POST", "/v1/vms", {"vms": [{"id": f"v{number}", "vcpus": 1, "memory_mib": 512}]})
        for record in (await records(lab))[3:]:
            earlier = msgspec.structs.replace(record, at=record.at - 3600.0)
            await lab.store.commit(Replace(earlier))
        items = (await lab.ask("GET", "/v1/audit")).json()["items"]
        assert [item["number"] for item in items] == [6, 5, 4, 3, 2, 1]
        assert await fault(lab) == ""  # moments are in no digest

    run(tmp_path, test)


def test_what_somebody_writes_begins_no_line_in_a_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        with caplog.at_level("INFO"):
            lab.runtime.log("a thing", vm="a\r\nh1/node node starts\x1b[2J", why="é 🙂")
        (line,) = [record.getMessage() for record in caplog.records if "a thing" in record.getMessage()]
        assert line == r"h1/test a thing vm=a\r\nh1/node node starts\x1b[2J why=é 🙂"

    run(tmp_path, test)
