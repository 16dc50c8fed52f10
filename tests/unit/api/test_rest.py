"""What HTTP adds to a request: keys, tags, waiting, pages, and what is not even a request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ave.api.figures import FIGURES
from ave.errors import Unavailable
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Work, WorkState
from ave.ports.store import Replace
from drivers.rest.body import BODY_MOST
from tests.unit.api.lab import Lab, run

NEW = {"vms": [{"id": "web-1", "vcpus": 1, "memory_mib": 512}]}


def vm(id: str = "web-1", **fields: Any) -> VM:
    return VM(**{"id": id, "vcpus": 1, "memory_mib": 1024, "state": VMState.STOPPED, **fields})


def test_a_request_becomes_a_job_that_can_be_found_at_once(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        answer = await lab.ask("POST", "/v1/vms", NEW)
        assert answer.status_code == 202
        assert answer.headers["Retry-After"] == "1"
        found = await lab.ask("GET", answer.headers["Location"])
        assert found.json()["id"] == answer.json()["id"]
        assert (await lab.ask("GET", "/v1/jobs")).json()["items"][0]["operation"] == "vm.create"

    run(tmp_path, test)


def test_a_server_that_only_answers_loads_nothing_that_decides() -> None:
    """Both take as much memory as all the rest of it."""
    said = "import sys, ave.api.desk, drivers.rest.app, drivers.rest.server; print({'numpy', 'networkx'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == "set()\n"


def test_an_answer_says_what_time_it_is_by_the_store(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        before = await lab.store.now()
        told = float((await lab.ask("GET", "/v1/vms")).headers["X-Ave-Time"])
        assert before - 1.0 <= told <= await lab.store.now() + 1.0

    run(tmp_path, test)


def test_an_explanation_has_its_sentence(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(vm())
        told = (await lab.ask("POST", "/v1/vms/web-1:explain-placement")).json()
        assert told["choice"]["host"] == "h1"
        assert told["says"].startswith("web-1 (1 vCPU, 1.0 GiB) goes to h1")

    run(tmp_path, test)


@pytest.mark.parametrize("size", [{"vcpus": -3, "memory_mib": 512}, {"vcpus": 1, "memory_mib": -65_967}])
def test_of_what_can_never_be_nobody_asks_where_it_would_go(tmp_path: Path, size: dict[str, int]) -> None:
    """It was a server's error."""

    async def test(lab: Lab) -> None:
        answer = await lab.ask("POST", "/v1/vms:explain-placement", {"new": {"id": "x", **size}})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")

    run(tmp_path, test)


def test_the_same_key_is_the_same_job_and_another_request_under_it_is_refused(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        key = {"Idempotency-Key": "k1"}
        first, again = [await lab.ask("POST", "/v1/vms", NEW, **key) for _ in range(2)]
        assert first.json()["id"] == again.json()["id"]
        other = {"vms": [{**NEW["vms"][0], "vcpus": 2}]}
        assert (await lab.ask("POST", "/v1/vms", other, **key)).status_code == 422
        assert len((await lab.ask("GET", "/v1/jobs")).json()["items"]) == 1
        assert (await lab.ask("POST", "/v1/vms", NEW, **{"Idempotency-Key": "x" * 201})).status_code == 400

    run(tmp_path, test)


def test_a_dry_run_writes_nothing_and_says_what_would_be(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(vm("taken"))
        before = lab.view.projection.revision
        asked = {"vms": [*NEW["vms"], {"id": "taken", "vcpus": 1, "memory_mib": 512}]}
        plan = (await lab.ask("POST", "/v1/vms?dry_run=true", asked)).json()
        assert plan["dry_run"] is True
        assert plan["locks"] == ["vm/web-1", "vm/taken"]
        assert plan["refused"]["taken"]["why"] == "there already is a VM taken"
        assert [task["function"] for task in plan["tasks"]] == ["place", "vm.make-volumes", "vm.start"]
        assert await lab.store.find(Work) == []
        assert lab.view.projection.revision == before

    run(tmp_path, test)


@pytest.mark.parametrize("word", ["yes", "-1", "tru", "False?"])
def test_a_dry_run_that_is_misspelt_is_not_done(tmp_path: Path, word: str) -> None:
    async def test(lab: Lab) -> None:
        answer = await lab.ask("POST", f"/v1/vms?dry_run={word}", NEW)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "?dry_run")
        assert await lab.store.find(Work) == []

    run(tmp_path, test)


def test_null_is_no_body(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        answer = await lab.client.post("/v1/audit:check", content=b"null", headers={"Content-Type": "application/json"})
        assert answer.status_code == 400

    run(tmp_path, test)


def test_a_change_to_what_has_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(vm())
        tag = (await lab.ask("GET", "/v1/vms/web-1")).headers["ETag"]
        assert (await lab.ask("GET", "/v1/vms/web-1", **{"If-None-Match": tag})).status_code == 304
        known = await lab.store.get(VM, "web-1")
        assert known is not None
        (now,) = await lab.store.commit(Replace(msgspec.structs.replace(known, name="new")))
        assert (await lab.ask("PATCH", "/v1/vms/web-1", {"vcpus": 2}, **{"If-Match": tag})).status_code == 412
        newer = {"If-Match": f'"{now.version}"'}
        assert (await lab.ask("PATCH", "/v1/vms/web-1", {"vcpus": 2}, **newer)).status_code == 202
        assert (await lab.ask("PATCH", "/v1/vms/web-1", {"vcpus": 2}, **{"If-Match": "nonsense"})).status_code == 412

    run(tmp_path, test)


def test_who_waits_for_a_job_is_answered_when_it_ends(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        job = (await lab.ask("POST", "/v1/vms", NEW)).json()["id"]

        async def end() -> None:
            await lab.runtime.sleep(0.2)
            work = await lab.store.get(Work, job)
            assert work is not None
            (work,) = await lab.store.commit(Replace(move(work, WorkState.RUNNING, "led")))
            await lab.store.commit(Replace(move(work, WorkState.DONE, "every task succeeded")))

        ending = lab.runtime.spawn(end(), name="end")
        assert (await lab.ask("GET", f"/v1/jobs/{job}?wait=0.01")).json()["state"] == "ready"
        assert (await lab.ask("GET", f"/v1/jobs/{job}?wait=20")).json()["state"] == "done"
        await ending.join()
        assert (await lab.ask("GET", f"/v1/jobs/{job}?wait=1e9")).status_code == 400

    run(tmp_path, test)


def test_a_job_is_cancelled_once_and_not_after_its_end(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        job = (await lab.ask("POST", "/v1/vms", NEW)).json()["id"]
        cancelled = await lab.ask("DELETE", f"/v1/jobs/{job}")
        assert cancelled.status_code == 200
        assert cancelled.json()["stop"] is True
        work = await lab.store.get(Work, job)
        assert work is not None
        await lab.store.commit(Replace(move(work, WorkState.CANCELLED, "withdrawn", stop=False)))
        assert (await lab.ask("DELETE", f"/v1/jobs/{job}")).status_code == 409
        assert (await lab.ask("DELETE", "/v1/jobs/none")).status_code == 404

    run(tmp_path, test)


def test_pages_and_fields(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(*[vm(f"vm-{number}") for number in range(5)])
        seen: list[Any] = []
        token = ""
        for size in (2, 2, 1):
            page = (await lab.ask("GET", f"/v1/vms?limit=2&fields=id&page_token={token}")).json()
            assert (len(page["items"]), page["total"]) == (size, 5)
            seen += page["items"]
            token = page["next_page_token"]
        assert seen == [{"id": f"vm-{number}"} for number in range(5)]
        assert not token
        assert (await lab.ask("GET", "/v1/vms?fields=nme")).status_code == 400
        assert (await lab.ask("GET", "/v1/vms?limit=1000000000")).status_code == 400

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", "/v1/nothing", None, {}, 404, "not-found"),
        ("GET", "/v1/vms/%2e%2e%2fetc", None, {}, 404, "not-found"),
        ("PUT", "/v1/vms", None, {}, 405, "no-such-method"),
        ("POST", "/v1/vms", b"{", {"content-type": "application/json"}, 400, "invalid"),
        ("POST", "/v1/vms", b'"\xff"', {"content-type": "application/json"}, 400, "invalid"),
        ("POST", "/v1/vms", b"[" * 100_000, {"content-type": "application/json"}, 400, "invalid"),
        ("POST", "/v1/vms", b"{}", {"content-type": "text/plain"}, 415, "not-json"),
        ("POST", "/v1/vms", b"x" * (BODY_MOST + 1), {"content-type": "application/json"}, 413, "too-large"),
        ("POST", "/v1/vms?on_conflict=maybe", b"{}", {"content-type": "application/json"}, 400, "invalid"),
        ("GET", "/v1/events?types=vm,x", None, {}, 400, "invalid"),
        ("GET", "/v1/events?interval=often", None, {}, 400, "invalid"),
    ],
)
def test_what_is_no_request_is_a_problem(
    method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, code: str, tmp_path: Path
) -> None:
    async def test(lab: Lab) -> None:
        answer = await lab.client.request(method, path, content=body, headers={**headers, "X-Request-Id": "me-1"})
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["X-Request-Id"] == "me-1"
        told = answer.json()
        assert (told["status"], told["code"], told["request_id"]) == (status, code, "me-1")

    run(tmp_path, test)


def test_figures_are_there_for_prometheus(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(
            vm(),
            vm("b", state=VMState.RUNNING, host="h1", memory_mib=2048),
            vm("c", state=VMState.RUNNING, host='h"\n'),
        )
        answer = await lab.ask("GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        found = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert set(found) == {figure.name for figure in FIGURES}
        states = {sample.labels["state"]: sample.value for sample in found["ave_vms"].samples}
        assert (states["running"], states["stopped"], states["unknown"]) == (2.0, 1.0, 0.0)
        used = {sample.labels["host"]: sample.value for sample in found["ave_host_memory_used_bytes"].samples}
        assert used == {"h1": 2048 * 2**20}
        assert found["ave_view_up"].samples[0].value == 1.0

    run(tmp_path, test)


def test_a_host_that_does_not_hear_its_store_says_so(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(vm())
        lab.view._fed = False
        assert (await lab.ask("GET", "/readyz")).status_code == 503
        for path in ("/v1/vms", "/v1/events", "/v1/jobs"):
            answer = await lab.ask("GET", path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), path
        with pytest.raises(Unavailable):
            lab.view.require_fed()

    run(tmp_path, test)


def test_who_has_seen_more_than_this_host_waits_for_it(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        ahead = lab.view.projection.revision + 3

        async def put() -> None:
            await lab.runtime.sleep(0.1)
            await lab.put(vm("a"), vm("b"), vm("c"))

        putting = lab.runtime.spawn(put(), name="put")
        answer = await lab.ask("GET", "/v1/vms", **{"X-Ave-Revision": f"{lab.view.epoch}:{ahead}"})
        assert len(answer.json()["items"]) == 3
        await putting.join()
        far = await lab.ask("GET", "/v1/vms", **{"X-Ave-Revision": f"{lab.view.epoch}:{ahead + 100}"})
        assert far.status_code == 503
        assert (await lab.ask("GET", "/v1/vms", **{"X-Ave-Revision": "other:99999"})).status_code == 200

    run(tmp_path, test)
