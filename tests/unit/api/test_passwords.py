"""Passwords: who shows the right one is let in for some hours, who guesses is not, and learns nothing by it."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from ave.api.passwords import GUESSES, LOGIN_SECONDS, LOGINS_MOST
from ave.api.problems import TooMany
from ave.model.access import Grant, Password, Role, Token
from ave.model.audit import Outcome, Record
from ave.ports.store import Replace
from drivers.passwords import WAITING_MOST, Argon2
from tests.unit.api.lab import Lab, run

GOOD, OTHER = "correct horse battery", "another long password"


@pytest.fixture(scope="module")
def argon2() -> Argon2:
    return Argon2()


async def log_in(lab: Lab, user: str, password: str, client: Any = None) -> Any:
    body = {"user": user, "password": password}
    return await (client or lab.client).request("POST", "/v1/tokens:login", json=body)


def with_ann(folder: Path, hasher: Argon2, test: Callable[[Lab, dict[str, str]], Awaitable[None]]) -> None:
    """A cluster with an administrator, whose header the test gets, and ann, who has a password."""

    async def main(lab: Lab) -> None:
        admin = await lab.token("admin", Grant(Role.ADMIN))
        await lab.ask("POST", "/v1/users", {"id": "ann", "grants": [{"role": "viewer"}]}, **admin)
        answer = await lab.ask("POST", "/v1/users/ann:set-password", {"password": GOOD}, **admin)
        assert answer.status_code == 200, answer.text
        assert "hash" not in answer.text
        await test(lab, admin)

    run(folder, main, hasher=hasher)


def bearer(answer: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_the_right_password_gets_a_token_that_ends(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        answer = await log_in(lab, "ann", GOOD)
        assert answer.status_code == 200
        made = answer.json()
        assert made["expires"] - lab.view.now() == pytest.approx(LOGIN_SECONDS, abs=30)
        assert (await lab.ask("GET", "/v1/vms", **bearer(answer))).status_code == 200
        assert (await lab.ask("GET", "/v1/users", **bearer(answer))).json()["items"] == []
        out = await lab.ask("POST", "/v1/tokens:logout", **bearer(answer))
        assert out.status_code == 200
        assert await _refused_soon(lab, bearer(answer))
        assert (await lab.ask("POST", "/v1/tokens:logout", **bearer(answer))).status_code == 401
        doc = await lab.store.get(Password, "ann")
        assert doc is not None
        assert doc.hash.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
        for file in tmp_path.iterdir():
            assert GOOD.encode() not in file.read_bytes()

    with_ann(tmp_path, argon2, test)


async def _refused_soon(lab: Lab, header: dict[str, str]) -> bool:
    for _ in range(200):
        if (await lab.ask("GET", "/v1/vms", **header)).status_code == 401:
            return True
        await lab.runtime.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ann", OTHER),
        ("ann", ""),
        ("ann", GOOD.upper()),
        ("ann", GOOD + " "),
        ("ann", "x" * 300),
        ("admin", GOOD),  # he has none, and there is no default
        ("admin", ""),
        ("nobody", GOOD),
        ("", GOOD),
        ("x" * 300, GOOD),
        ("ann\x00", GOOD),
        ("ann\r\nadmin", GOOD),
        ("\uff21\uff2e\uff2e", GOOD),
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(user: str, password: str, argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        answer = await log_in(lab, user, password)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.json()["detail"] == "no user of that name has that password"
        assert not [token for token in await lab.store.find(Token) if token.login]

    with_ann(tmp_path, argon2, test)


@pytest.mark.parametrize(
    "body",
    [
        {"user": "ann"},
        {"user": "ann", "password": GOOD, "tfa-challenge": "x"},
        {"user": "ann", "password": {"$gt": ""}},
        {"user": ["ann"], "password": GOOD},
        {"user": "ann", "password": None},
        [],
    ],
)
def test_what_is_no_login_is_refused_as_one(body: Any, argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        assert (await lab.ask("POST", "/v1/tokens:login", body)).status_code == 400

    with_ann(tmp_path, argon2, test)


def test_who_guesses_is_slowed_down_and_nobody_else(argon2: Argon2, tmp_path: Path) -> None:
    """RELIABILITY's group A: twenty bad passwords in a minute."""

    async def test(lab: Lab, admin: dict[str, str]) -> None:
        await lab.ask("POST", "/v1/users", {"id": "bob"}, **admin)
        await lab.ask("POST", "/v1/users/bob:set-password", {"password": OTHER}, **admin)
        for user in ("ann", "nobody"):  # whether there is such a user or not
            codes = [(await log_in(lab, user, f"guess {n}")).status_code for n in range(10)]
            assert codes == [401] * GUESSES + [429] * (10 - GUESSES)
        late = await log_in(lab, "ann", GOOD)
        assert late.status_code == 429  # also the right one, or it would be known when it is found
        assert 1 <= int(late.headers["Retry-After"]) <= 60
        assert (await log_in(lab, "bob", OTHER)).status_code == 200
        elsewhere = lab.client_of("127.0.0.7")
        assert (await log_in(lab, "ann", GOOD, elsewhere)).status_code == 200
        await elsewhere.aclose()

    with_ann(tmp_path, argon2, test)


def test_many_users_are_not_guessed_from_one_address(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        codes: list[int] = []
        for batch in range(8):
            answers = await asyncio.gather(*(log_in(lab, f"u{batch}-{n}", "password1234") for n in range(5)))
            codes += [answer.status_code for answer in answers]
        assert codes.count(401) <= 35
        assert codes[-1] == 429

    with_ann(tmp_path, argon2, test)


def test_it_takes_as_long_whether_there_is_such_a_user_or_not(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        took: dict[str, list[float]] = {"ann": [], "nobody": [], "admin": []}
        for number in range(GUESSES * 3):
            user = list(took)[number % 3]
            client = lab.client_of(f"127.0.1.{number + 1}")
            began = perf_counter()
            assert (await log_in(lab, user, "not the password", client)).status_code == 401
            took[user].append(perf_counter() - began)
            await client.aclose()
        medians = [statistics.median(times) for times in took.values()]
        assert max(medians) - min(medians) < 0.5 * min(medians), took

    with_ann(tmp_path, argon2, test)


def test_a_new_password_ends_all_logins_and_the_old_one(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        first = bearer(await log_in(lab, "ann", GOOD))
        made = await lab.ask("POST", "/v1/tokens", {"user": "ann", "phrase": "ci"}, **admin)
        body = {"old_password": "wrong password", "new_password": OTHER}
        assert (await lab.ask("POST", "/v1/users/ann:change-password", body, **first)).status_code == 401
        body = {"old_password": GOOD, "new_password": OTHER}
        answer = await lab.ask("POST", "/v1/users/ann:change-password", body)  # the old password is enough
        assert answer.status_code == 200, answer.text
        assert await _refused_soon(lab, first)
        assert (await log_in(lab, "ann", GOOD)).status_code == 401
        assert (await log_in(lab, "ann", OTHER)).status_code == 200
        assert (
            await lab.ask("GET", "/v1/vms", **bearer(made))
        ).status_code == 200  # a token of its own is another thing

    with_ann(tmp_path, argon2, test)


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaaa", "x" * 257, "annannannann"[:12]])
def test_a_password_that_is_easily_guessed_is_refused_and_not_repeated(
    password: str, argon2: Argon2, tmp_path: Path
) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        answer = await lab.ask("POST", "/v1/users/ann:set-password", {"password": password}, **admin)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/password")
        assert not password or password not in answer.text
        assert (await log_in(lab, "ann", GOOD)).status_code == 200

    with_ann(tmp_path, argon2, test)


def test_who_is_shut_out_or_deleted_does_not_log_in(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        await lab.ask("PATCH", "/v1/users/ann", {"disabled": True}, **admin)
        assert (await log_in(lab, "ann", GOOD)).status_code == 401
        assert (await lab.ask("DELETE", "/v1/users/ann", **admin)).status_code == 200
        assert await lab.store.get(Password, "ann") is None
        await lab.ask("POST", "/v1/users", {"id": "ann"}, **admin)  # another one, of that name
        assert (await log_in(lab, "ann", GOOD)).status_code == 401

    with_ann(tmp_path, argon2, test)


def test_every_login_is_in_the_audit_record_and_no_password_is(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        await log_in(lab, "ann", GOOD)
        await log_in(lab, "ann", OTHER)
        records = [each for each in await lab.store.find(Record) if each.operation == "token.login"]
        assert [(each.user, each.outcome) for each in sorted(records, key=lambda each: each.number)] == [
            ("ann", Outcome.ACCEPTED),
            ("ann", Outcome.REFUSED),
        ]
        for file in tmp_path.iterdir():
            assert OTHER.encode() not in file.read_bytes()

    with_ann(tmp_path, argon2, test)


def test_logins_of_one_user_do_not_pile_up(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        for _ in range(LOGINS_MOST + 3):
            assert (await log_in(lab, "ann", GOOD)).status_code == 200
        assert sum(token.login for token in await lab.store.find(Token)) == LOGINS_MOST

    with_ann(tmp_path, argon2, test)


def test_logins_hold_up_nothing_else(argon2: Argon2, tmp_path: Path) -> None:
    """However many want to be let in: the loop, and so the lease, goes on; they wait for one thread, and few of them."""

    async def test(lab: Lab, admin: dict[str, str]) -> None:
        clients = [lab.client_of(f"127.0.2.{n + 1}") for n in range(60)]
        logins = [asyncio.ensure_future(log_in(lab, "ann", GOOD, client)) for client in clients]
        gaps: list[float] = []
        before = perf_counter()
        while not all(login.done() for login in logins):
            await asyncio.sleep(0.005)
            gaps.append(perf_counter() - before)
            before = perf_counter()
        codes = [login.result().status_code for login in logins]
        assert set(codes) == {200, 429}
        assert WAITING_MOST <= codes.count(200) <= 2 * WAITING_MOST
        assert sorted(gaps)[int(0.95 * len(gaps))] < 0.1, max(gaps)
        assert (await log_in(lab, "ann", GOOD)).status_code == 200  # who was told to come again had no guess taken
        for client in clients:
            await client.aclose()

    with_ann(tmp_path, argon2, test)


def test_a_hash_that_is_none_is_no_password(argon2: Argon2, tmp_path: Path) -> None:
    async def test(lab: Lab, admin: dict[str, str]) -> None:
        doc = await lab.store.get(Password, "ann")
        assert doc is not None
        await lab.store.commit(Replace(Password(id="ann", version=doc.version, hash="")))
        for password in ("", GOOD):
            assert (await log_in(lab, "ann", password)).status_code == 401

    with_ann(tmp_path, argon2, test)


def test_the_queue_before_the_thread_is_short(argon2: Argon2) -> None:
    async def main() -> None:
        asked = [asyncio.ensure_future(argon2.verify(argon2.nobody, "x")) for _ in range(WAITING_MOST + 5)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found].count(TooMany) == 5
        gone = asyncio.ensure_future(argon2.verify(argon2.nobody, "x"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert await argon2.verify(argon2.nobody, "x") is False

    asyncio.run(main())


def test_where_nothing_is_kept_there_are_no_passwords(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        answer = await log_in(lab, "ann", GOOD)
        assert (answer.status_code, answer.json()["code"]) == (409, "only-real")

    run(tmp_path, test)
