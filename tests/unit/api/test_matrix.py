"""Who may do what: every route of the catalogue, asked by everybody there may be, about what is his, another's, and nobody's.

What is expected is told by a second, smaller set of rules (``may``), from the table of roles alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest

from ave.api.nouns import NOUNS
from ave.api.people import create_token
from ave.api.questions import NewToken, Question
from ave.api.routes import Route
from ave.model.access import ROLES, Grant, Permission, Role, Token, User
from ave.model.audit import Outcome, Record
from ave.ports.store import Delete, Insert, Replace
from tests.unit.api.askable import IDS, ROUTES, TENANT, THINGS, ask, dump, furnish, lists
from tests.unit.api.lab import Lab, run

ADMINS = ("user", "token")  # of these only administrators know
EVERYBODYS = ("network", "zone")
RECORDS = ("audit", "audit-chain")
VOLATILE = (*RECORDS, "work", "key")


class Who(NamedTuple):
    name: str
    grants: tuple[Grant, ...]
    tenant: str = TENANT


KNOWN = [
    *(Who(f"{role}-of-all", (Grant(role),)) for role in Role),
    *(Who(f"{role}-of-acme", (Grant(role, f"/tenants/{TENANT}"),)) for role in Role),
    *(Who(f"{role}-of-another", (Grant(role, "/tenants/evil"),), "evil") for role in (Role.ADMIN, Role.TENANT_ADMIN)),
    Who("user-of-one-vm", (Grant(Role.TENANT_USER, "/vms/web-1"),)),
    Who("admin-of-one-vm", (Grant(Role.ADMIN, "/vms/web-1"),)),
    Who("of-nothing", ()),
]


def may(who: Who, permission: Permission, noun: str, tenant: str = "", id: str = "") -> bool:
    """Of a thing that is there, or would be."""
    for grant in who.grants:
        everything = grant.path == "/"
        mine = bool(tenant) and grant.path == f"/tenants/{tenant}"
        this = bool(id) and grant.path == f"/{noun}s/{id}"
        if permission in ROLES[grant.role] and (everything or mine or this):
            return True
    return False


def expected(who: Who, route: Route) -> str:
    """``listed``, ``hidden``, ``denied`` or ``allowed``."""
    noun, verb, permission = route.entry.noun, route.entry.verb, route.entry.permission
    if lists(route):
        return "listed"
    if isinstance(route.entry, Question) and (route.entry.anybody or route.entry.name == "token.logout"):
        return "allowed"
    if noun in (*ADMINS, "audit") or route.entry.name == "tenant.edit":
        if verb == "show":
            tenant = TENANT if noun == "user" else ""
            return "allowed" if may(who, Permission.ADMINISTER, noun, tenant) else "hidden"
        return "allowed" if may(who, permission, noun) else "denied"
    new = verb == "create" or (verb == "explain-placement" and not route.one)
    doc = THINGS.get(noun)
    owned = "tenant" in NOUNS[noun].type.__struct_fields__
    tenant = (
        (who.tenant if owned else "")
        if new
        else getattr(doc, "tenant", IDS.get("tenant", "") if noun == "tenant" else "")
    )
    if noun == "tenant":
        tenant = TENANT
    id = "brand-new" if new else IDS.get(noun, "cluster")
    if noun == "cluster" and verb == "edit":  # nobody is told that there is none
        return "allowed" if may(who, permission, noun) else "denied"
    if not new and noun not in EVERYBODYS and not may(who, Permission.VIEW, noun, tenant, id):
        return "hidden"
    if not new and noun in EVERYBODYS and not who.grants:
        return "hidden"
    if verb == "show" and noun in EVERYBODYS:
        return "allowed"
    return "allowed" if may(who, permission, noun, tenant, id) else "denied"


def test_of_every_noun_there_is_one_to_ask_about() -> None:
    assert {*IDS, "cluster", "audit"} == {*NOUNS}, "a noun more: put one of it into THINGS"


async def send(lab: Lab, route: Route, header: dict[str, str], id: str | None = None) -> Any:
    asked = ask(route, id)
    how = {"dry_run": "true"} if route.job else {}
    return await lab.client.request(asked.method, asked.path, json=asked.body, params=how, headers=header)


@pytest.mark.parametrize("who", KNOWN, ids=lambda who: who.name)
def test_everybody_may_what_his_roles_say_and_nothing_else(who: Who, tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.token("root", Grant(Role.ADMIN))
        wrong: list[str] = []
        mine = await lab.token(who.name, *who.grants, tenant=who.tenant)
        for route in ROUTES:
            await furnish(lab)
            before = await dump(lab, *VOLATILE)
            answer = await send(lab, route, mine)
            status, then = answer.status_code, expected(who, route)
            about = f"{route.method} {route.path}: {status} {answer.text[:150]}, expected {then}"
            right = _is(then, answer, who, route)
            if not right or status >= 500:
                wrong.append(about)
            if then != "allowed" and await dump(lab, *VOLATILE) != before:
                wrong.append(f"{about}: it had an effect")
            if route.entry.name == "token.logout":
                mine = await _another_token(lab, who.name)
        assert not wrong, "\n".join(wrong)

    run(tmp_path, test)


def _is(then: str, answer: Any, who: Who, route: Route) -> bool:
    status = answer.status_code
    if then == "listed":
        return status == 200 and _seen(who, route.entry.noun) >= {item["id"] for item in answer.json()["items"]}
    if then == "hidden":
        return bool(status == 404)
    if then == "denied":
        return status == 403 and answer.json()["code"] == "denied"
    return status not in (403, 404) and (status != 401 or _anybody(route))


def _anybody(route: Route) -> bool:
    return isinstance(route.entry, Question) and route.entry.anybody


def _seen(who: Who, noun: str) -> set[str]:
    """At most these."""
    if noun in ADMINS or noun == "audit":
        if may(who, Permission.ADMINISTER, noun):
            return _everything
        own = {
            user
            for user, tenant in ((who.name, who.tenant), ("somebody", TENANT))
            if noun == "user" and may(who, Permission.ADMINISTER, noun, tenant)
        }
        return own
    if noun in EVERYBODYS:
        return {IDS[noun]} if who.grants else set()
    tenant = TENANT if noun == "tenant" else getattr(THINGS.get(noun), "tenant", "")
    own = {"default", "evil"} if noun == "tenant" and may(who, Permission.VIEW, noun) else set()
    own |= {who.tenant} if noun == "tenant" and may(who, Permission.VIEW, noun, who.tenant) else set()
    return own | ({IDS[noun]} if may(who, Permission.VIEW, noun, tenant, IDS[noun]) else set())


class _Everything(set[str]):
    def __ge__(self, other: object) -> bool:
        return True


_everything = _Everything()


async def _another_token(lab: Lab, user: str) -> dict[str, str]:
    made = await create_token(lab.store.commit, lab.runtime, NewToken(user=user))
    return {"Authorization": f"Bearer {made.token}"}


# Nobody


async def none(lab: Lab) -> dict[str, str]:
    return {}


async def garbage(lab: Lab) -> dict[str, str]:
    return {"Authorization": "Bearer ave_abcdef_" + "0" * 64}


async def expired(lab: Lab) -> dict[str, str]:
    made = await create_token(lab.store.commit, lab.runtime, NewToken(user="root", days=1e-9))
    await lab.runtime.sleep(0.01)
    return {"Authorization": f"Bearer {made.token}"}


async def revoked(lab: Lab) -> dict[str, str]:
    header = await _another_token(lab, "root")
    (token,) = await lab.store.find(Token, {"id": header["Authorization"].split("_")[1]})
    await lab.view.until("token", token.id, 1)
    await lab.store.commit(Delete(token))
    await _gone(lab, "token", token.id)
    return header


async def of_who_is_shut_out(lab: Lab) -> dict[str, str]:
    header = await lab.token("out", Grant(Role.ADMIN))
    (user,) = await lab.store.find(User, {"id": "out"})
    await lab.store.commit(Replace(User(id="out", version=user.version, grants=user.grants, disabled=True)))
    await lab.view.until("user", "out", user.version + 1)
    return header


async def of_who_is_deleted(lab: Lab) -> dict[str, str]:
    header = await lab.token("gone", Grant(Role.ADMIN))
    await lab.view.until("user", "gone", 1)
    await lab.store.commit(Delete(await lab.store.get(User, "gone")))
    await _gone(lab, "user", "gone")
    return header


async def of_another_cluster(lab: Lab) -> dict[str, str]:
    return {"Authorization": "Bearer ave_" + "12" * 6 + "_" + "34" * 32}


async def unsigned(lab: Lab) -> dict[str, str]:
    return {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."}


async def basic(lab: Lab) -> dict[str, str]:
    return {"Authorization": "Basic cm9vdDpyb290", "Cookie": "token=root", "X-Forwarded-User": "root"}


async def _gone(lab: Lab, kind: str, id: str) -> None:
    while id in lab.view.docs(kind):
        await lab.view.next()


NOBODIES = [none, garbage, expired, revoked, of_who_is_shut_out, of_who_is_deleted, of_another_cluster, unsigned, basic]


@pytest.mark.parametrize("nobody", NOBODIES, ids=lambda nobody: nobody.__name__)
def test_nobody_may_anything(nobody: Callable[..., Any], tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await lab.token("root", Grant(Role.ADMIN))
        await lab.view.until("user", "root", 1)
        await furnish(lab)
        header = await nobody(lab)
        before = await dump(lab)
        wrong = []
        for route in ROUTES:
            if _anybody(route):
                continue  # it shows something else: tests of passwords
            answer = await send(lab, route, header)
            if answer.status_code != 401 or answer.headers.get("WWW-Authenticate") != "Bearer":
                wrong.append(f"{route.method} {route.path}: {answer.status_code}")
        for path in ("/v1/events", "/v1/series"):
            wrong += [path] * ((await lab.client.get(path, headers=header)).status_code != 401)
        assert not wrong
        assert await dump(lab) == before

    run(tmp_path, test)


# What is another's, and what is nobody's


def test_what_is_anothers_cannot_be_told_from_what_is_nobodys(tmp_path: Path) -> None:
    """Of every route that names a thing: the same status, and the same words but for the name."""

    async def test(lab: Lab) -> None:
        await furnish(lab)
        eve = await lab.token("eve", Grant(Role.TENANT_ADMIN, "/tenants/evil"), tenant="evil")
        wrong = []
        for route in ROUTES:
            noun = route.entry.noun
            owned = getattr(THINGS.get(noun), "tenant", None) == TENANT and noun != "user"
            if not owned or lists(route) or route.entry.verb == "create" or route.entry.name == "vm.explain-placement":
                continue
            foreign, absent = await send(lab, route, eve), await send(lab, route, eve, "nothing")
            assert foreign.status_code >= 400, (route.path, foreign.text)
            same = foreign.json()["detail"].replace(IDS[noun], "nothing") == absent.json()["detail"]
            if foreign.status_code != 404 or absent.status_code != 404 or not same:
                wrong.append(f"{route.method} {route.path}: {foreign.text} {absent.text}")
        assert not wrong, "\n".join(wrong)

    run(tmp_path, test)


NAMED_INSIDE = [
    ("POST", "/v1/vms:batch-edit", "data", lambda id: {"vms": [{"id": "mine", "attach": [id]}]}),
    ("POST", "/v1/vms:batch-edit", "data", lambda id: {"vms": [{"id": "mine", "detach": [id]}]}),
    ("PATCH", "/v1/vms/mine", "data", lambda id: {"cdrom": id}),
    ("POST", "/v1/vms", "apart", lambda id: {"vms": [{"id": "x", "vcpus": 1, "memory_mib": 512, "groups": [id]}]}),
    ("POST", "/v1/groups", "web-1", lambda id: {"groups": [{"id": "g", "rule": "must-different-hosts", "vms": [id]}]}),
    ("PATCH", "/v1/groups/mine", "web-1", lambda id: {"rule": "must-different-hosts", "vms": ["mine", id]}),
]


@pytest.mark.parametrize(("method", "path", "foreign", "body"), NAMED_INSIDE, ids=lambda value: str(value)[:20])
def test_a_foreign_name_inside_a_body_is_as_one_of_nothing(
    method: str, path: str, foreign: str, body: Callable[[str], Any], tmp_path: Path
) -> None:
    async def test(lab: Lab) -> None:
        await furnish(lab)
        for noun in ("vm", "group"):
            await lab.store.commit(_insert(THINGS[noun], "mine"))
            await lab.view.until(noun, "mine", 1)
        eve = await lab.token("eve", Grant(Role.TENANT_ADMIN, "/tenants/evil"), tenant="evil")
        answers = [await lab.client.request(method, path, json=body(id), headers=eve) for id in (foreign, "nothing")]
        assert [answer.status_code for answer in answers] == [404, 404], [answer.text for answer in answers]
        told = [answer.json()["detail"] for answer in answers]
        assert told[0].replace(foreign, "nothing") == told[1]

    run(tmp_path, test)


def test_one_foreign_name_among_many_refuses_all_of_them(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await furnish(lab)
        own = {}
        for noun in ("vm", "volume", "group"):
            doc = THINGS[noun]
            own[noun] = [f"mine-{n}" for n in range(99)]
            for id in own[noun]:
                await lab.store.commit(_insert(doc, id))
            await lab.view.until(noun, own[noun][-1], 1)
        eve = await lab.token("eve", Grant(Role.TENANT_ADMIN, "/tenants/evil"), tenant="evil")
        before = await dump(lab, *RECORDS)
        tried = 0
        for route in ROUTES:
            noun = route.entry.noun
            able = route.entry.permission in ROLES[Role.TENANT_ADMIN]
            if route.one or not route.job or route.entry.verb == "create" or noun not in own or not able:
                continue
            body = ask(route).body
            (field,) = [key for key, value in body.items() if isinstance(value, list | dict)]
            entries = [*own[noun][:50], IDS[noun], *own[noun][50:]]
            first = next(iter(body[field]))
            if isinstance(body[field], dict):
                body[field] = dict.fromkeys(entries, 900)
            else:
                body[field] = [{**first, "id": id} if isinstance(first, dict) else id for id in entries]
            answer = await lab.client.request(route.method, route.path, json=body, headers=eve)
            assert answer.status_code == 404, (route.path, answer.text)
            assert IDS[noun] in answer.json()["detail"]
            tried += 1
        assert tried >= 10
        assert await dump(lab, *RECORDS) == before

    run(tmp_path, test)


def _insert(doc: Any, id: str) -> Any:
    return Insert(msgspec.structs.replace(doc, id=id, tenant="evil"))


# Fields that nobody gives


ASSIGNED = [
    "tenant",
    "owner",
    "epoch",
    "node",
    "host",
    "status",
    "state",
    "role",
    "version",
    "_id",
    "$set",
    "__proto__",
    "story",
]


@pytest.mark.parametrize("field", ASSIGNED)
def test_nobody_says_what_is_not_his_to_say(field: str, tmp_path: Path) -> None:
    """In the body, in each of the things in it, and as a parameter."""

    async def test(lab: Lab) -> None:
        await furnish(lab)
        root = await lab.token("root", Grant(Role.ADMIN))
        await furnish(lab)
        before = await dump(lab, *RECORDS)
        wrong = []
        for route in ROUTES:
            if route.method == "GET" or _anybody(route):
                continue
            asked = ask(route)
            for body in _with(asked.body, field):
                if _known(route, field):
                    continue
                answer = await lab.client.request(asked.method, asked.path, json=body, headers=root)
                if answer.status_code != 400:
                    wrong.append(f"{asked.method} {asked.path} {body}: {answer.status_code} {answer.text[:100]}")
        assert not wrong, "\n".join(wrong)
        assert await dump(lab, *RECORDS) == before

    run(tmp_path, test)


def _known(route: Route, field: str) -> bool:
    return f'"{field}"' in str(ask(route).body) or field in _fields(route.entry.request)


def _fields(kind: Any) -> set[str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return {field.name for field in fields}.union(*(_fields(field.type) for field in fields))
    return set().union(*(_fields(inner) for inner in get_args(kind)))


def _with(body: Any, field: str) -> list[Any]:
    body = body or {}
    found = [{**body, field: "x"}]
    for key, value in body.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            found.append({**body, key: [{**value[0], field: "x"}]})
    return found


# Every refusal is in the record


def test_every_change_that_was_refused_is_recorded_and_why(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        await furnish(lab)
        ann = await lab.token("ann", Grant(Role.VIEWER))
        missing = []
        for route in ROUTES:
            if route.method == "GET" or expected(Who("ann", (Grant(Role.VIEWER),), "default"), route) != "denied":
                continue
            if route.entry.noun == "audit" or route.entry.name == "job.cancel":
                continue
            before = len(await lab.store.find(Record, {}, ("at",)))
            await send(lab, route, {**ann, "X-Request-Id": f"id of {route.path}"})
            after = await lab.store.find(Record, {}, ("at",))
            last = max(after, key=lambda record: record.number, default=None)
            right = (
                last is not None and len(after) == before + 1 and last.outcome is Outcome.REFUSED and last.user == "ann"
            )
            if not (right and last is not None and last.operation == route.entry.name and last.why):
                missing.append(route.path)
        assert not missing

    run(tmp_path, test)
