"""Who may do what, and what tokens are worth. Every route for every role: test_matrix.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from ave.api.people import first_token
from ave.api.questions import NewUser
from ave.errors import Refused
from ave.model.access import Grant, Role
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from tests.unit.api.lab import Lab, run

VM_1 = VM(id="web-1", vcpus=1, memory_mib=1024, state=VMState.STOPPED, tenant="acme", volumes=("web-1-disk-1",))
VOLUME_1 = Volume(id="data", size_gib=1, state=VolumeState.READY, tenant="acme")
NEW_VM = {"vms": [{"id": "new", "vcpus": 1, "memory_mib": 512}]}


def test_what_is_another_tenants_looks_like_what_is_not_there(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(VM_1, VOLUME_1)
        theirs = await lab.token("ann", Grant(Role.TENANT_ADMIN, "/tenants/acme"), tenant="acme")
        other = await lab.token("eve", Grant(Role.TENANT_ADMIN, "/tenants/evil"), tenant="evil")
        for method, verb in (("GET", ""), ("POST", ":start"), ("DELETE", ""), ("POST", ":explain-placement")):
            path = "/v1/vms/{}" + verb
            foreign = await lab.client.request(method, path.format("web-1"), headers=other)
            absent = await lab.client.request(method, path.format("nobody"), headers=other)
            assert foreign.status_code == absent.status_code == 404, (path, foreign.text, absent.text)
            assert foreign.json()["detail"].replace("web-1", "nobody") == absent.json()["detail"]
        assert (await lab.ask("GET", "/v1/vms", **other)).json()["items"] == []
        assert [vm["id"] for vm in (await lab.ask("GET", "/v1/vms", **theirs)).json()["items"]] == ["web-1"]
        batch = await lab.ask("POST", "/v1/vms:batch-start", {"vms": ["web-1"]}, **other)
        assert batch.status_code == 404
        attach = await lab.ask("POST", "/v1/vms", {"vms": [{"id": "x", "vcpus": 1, "memory_mib": 512}]}, **other)
        assert attach.status_code == 202
        edit = await lab.ask("POST", "/v1/vms:batch-edit", {"vms": [{"id": "x", "attach": ["data"]}]}, **other)
        assert edit.status_code in (403, 404)

    run(tmp_path, test)


def test_what_somebody_makes_belongs_to_its_tenant_and_so_does_the_job(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(VM_1)
        ann = await lab.token("ann", Grant(Role.TENANT_ADMIN, "/tenants/acme"), tenant="acme")
        eve = await lab.token("eve", Grant(Role.TENANT_ADMIN, "/tenants/evil"), tenant="evil")
        job = (await lab.ask("POST", "/v1/vms", NEW_VM, **ann)).json()
        assert (job["user"], job["tenant"]) == ("ann", "acme")
        assert (await lab.ask("GET", f"/v1/jobs/{job['id']}", **ann)).status_code == 200
        assert (await lab.ask("GET", f"/v1/jobs/{job['id']}", **eve)).status_code == 404
        assert (await lab.ask("DELETE", f"/v1/jobs/{job['id']}", **eve)).status_code == 404
        assert (await lab.ask("GET", "/v1/jobs", **eve)).json()["total"] == 0
        rule = {"groups": [{"id": "g", "rule": "must-different-hosts", "vms": ["web-1"]}]}
        assert (await lab.ask("POST", "/v1/groups", rule, **eve)).status_code == 404
        assert (await lab.ask("POST", "/v1/groups", rule, **ann)).status_code == 202

    run(tmp_path, test)


def test_a_grant_on_one_thing_is_for_that_alone(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.put(VM_1, VM(id="web-2", vcpus=1, memory_mib=1024, tenant="acme"))
        mine = await lab.token("bob", Grant(Role.TENANT_USER, "/vms/web-1"))
        assert [vm["id"] for vm in (await lab.ask("GET", "/v1/vms", **mine)).json()["items"]] == ["web-1"]
        assert (await lab.ask("POST", "/v1/vms/web-1:start", **mine)).status_code == 202
        assert (await lab.ask("DELETE", "/v1/vms/web-1", **mine)).status_code == 403
        assert (await lab.ask("POST", "/v1/vms/web-2:start", **mine)).status_code == 404

    run(tmp_path, test)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer x",
        "Bearer ave_x_y",
        "Basic YTph",
        "Bearer ave__",
        "Bearer " + "a" * 5000,
        "Bearer ave_1_2_3",
    ],
)
def test_without_a_token_that_is_known_nobody_is_let_in(header: str, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.token("admin", Grant(Role.ADMIN))
        await lab.view.until("user", "admin", 1)
        for method, path in (("GET", "/v1/vms"), ("GET", "/v1/events"), ("POST", "/v1/vms"), ("GET", "/v1/users")):
            answer = await lab.client.request(method, path, headers={"Authorization": header} if header else {})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await lab.ask("GET", "/healthz")).status_code == 200

    run(tmp_path, test)


def test_a_cluster_without_users_is_open_to_this_machine_alone(tmp_path: Path) -> None:
    async def let_in(lab: Lab) -> None:
        assert (await lab.ask("GET", "/v1/vms")).status_code == 200

    async def kept_out(lab: Lab) -> None:
        assert (await lab.ask("GET", "/v1/vms")).status_code == 401

    for test, loopback in ((let_in, True), (kept_out, False)):
        folder = tmp_path / test.__name__
        folder.mkdir()
        run(folder, test, loopback=loopback)


def test_nobody_is_locked_out_by_the_first_user_and_who_lost_his_token_gets_another(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        assert (await lab.ask("POST", "/v1/users", {"id": "eve", "grants": [{"role": "viewer"}]})).status_code == 409
        assert (await lab.ask("GET", "/v1/vms")).status_code == 200
        first = await first_token(lab.store, lab.runtime, "admin")
        with pytest.raises(Refused, match="has users already"):
            await first_token(lab.store, lab.runtime, "admin")
        again = await first_token(lab.store, lab.runtime, "admin", again=True)
        for made in (first, again):
            answer = await lab.ask("GET", "/v1/users", Authorization=f"Bearer {made.token}")
            assert [user["id"] for user in answer.json()["items"]] == ["admin"]
        await lab.token("eve", Grant(Role.VIEWER))
        with pytest.raises(Refused, match="no administrator"):
            await first_token(lab.store, lab.runtime, "eve", again=True)

    run(tmp_path, test)


def test_a_token_ends_with_its_user_with_its_time_and_when_it_is_taken_back(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        admin = await lab.token("admin", Grant(Role.ADMIN))
        for end in ("user", "token", "disabled"):
            await lab.ask("POST", "/v1/users", {"id": f"u-{end}", "grants": [{"role": "viewer"}]}, **admin)
            made = (await lab.ask("POST", "/v1/tokens", {"user": f"u-{end}"}, **admin)).json()
            mine = {"Authorization": f"Bearer {made['token']}"}
            assert (await lab.ask("GET", "/v1/vms", **mine)).status_code == 200
            if end == "disabled":
                answer = await lab.ask("PATCH", f"/v1/users/u-{end}", {"disabled": True}, **admin)
            else:
                answer = await lab.ask(
                    "DELETE", f"/v1/users/u-{end}" if end == "user" else f"/v1/tokens/{made['id']}", **admin
                )
            assert answer.status_code == 200, answer.text
            for _ in range(200):  # other hosts hear of it within two seconds; this one at once or so
                if (answer := await lab.ask("GET", "/v1/vms", **mine)).status_code == 401:
                    break
                await lab.runtime.sleep(0.01)
            assert answer.status_code == 401
        over = (await lab.ask("POST", "/v1/tokens", {"user": "admin", "days": 1e-9}, **admin)).json()
        await lab.runtime.sleep(0.01)
        assert (await lab.ask("GET", "/v1/vms", Authorization=f"Bearer {over['token']}")).status_code == 401

    run(tmp_path, test)


def test_secrets_are_told_once_and_kept_nowhere(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        admin = await lab.token("admin", Grant(Role.ADMIN))
        made = (await lab.ask("POST", "/v1/tokens", {"user": "admin", "phrase": "ci"}, **admin)).json()
        secret = made["token"].rpartition("_")[2]
        for path in ("/v1/tokens", f"/v1/tokens/{made['id']}", "/v1/users"):
            text = (await lab.ask("GET", path, **admin)).text
            assert secret not in text
            assert "digest" not in text
        for file in tmp_path.iterdir():
            assert secret.encode() not in file.read_bytes(), file

    run(tmp_path, test)


@pytest.mark.parametrize(
    "user", [{"id": "a_b"}, {"id": ""}, {"id": "x" * 64}, {"id": "a/b"}, {"id": "ok", "tenant": "../x"}]
)
def test_a_user_that_cannot_be_is_refused(user: dict[str, str], tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        admin = await lab.token("admin", Grant(Role.ADMIN))
        answer = await lab.ask("POST", "/v1/users", user, **admin)
        assert answer.status_code == 400, answer.text
        bad = await lab.ask("POST", "/v1/users", {"id": "ok", "grants": [{"role": "viewer", "path": "acme"}]}, **admin)
        assert bad.status_code == 400

    run(tmp_path, test)
    assert NewUser(id="x").tenant == "default"
