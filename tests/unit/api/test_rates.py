"""How much one may ask: token buckets, by address and by token."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.api.rates import Buckets, Rates
from ave.model.access import Grant, Role
from tests.unit.api.lab import Lab, run


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_has_its_burst_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(clock, per_second=2.0, burst=3.0)
    assert [buckets.take("a") for _ in range(3)] == [0.0] * 3
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0.0
    clock.now += 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0.0
    clock.now += 1000.0
    assert [buckets.take("a") > 0 for _ in range(4)] == [False, False, False, True]
    buckets.give_back("a")
    assert buckets.take("a") == 0.0


@given(st.lists(st.floats(0.0, 3.0), max_size=60))
def test_never_more_than_burst_and_what_came_since(pauses: list[float]) -> None:
    clock = Clock()
    buckets = Buckets(clock, per_second=2.0, burst=3.0)
    begin, taken = clock.now, 0
    for pause in pauses:
        clock.now += pause
        wait = buckets.take("a")
        taken += wait == 0.0
        assert taken <= 3.0 + 2.0 * (clock.now - begin) + 1e-6
        if wait:
            clock.now += wait + 1e-9
            assert buckets.take("a") == 0.0
            taken += 1


def test_however_many_ask_there_are_so_many_buckets() -> None:
    buckets = Buckets(Clock(), per_second=1.0, burst=1.0, most=100)
    for number in range(10_000):
        buckets.take(f"address-{number}")
        assert buckets.take("always here") == 0.0 or number  # whoever is here all the time is remembered
    assert len(buckets) == 100
    assert buckets.take("always here") > 0.0


def limits(address: float = 0.0, token: float = 0.0) -> dict[str, object]:
    return {"rates": lambda runtime: Rates(runtime.now, address=address, token=token)}


def test_an_address_that_asks_too_much_is_told_when_to_come_again(tmp_path: Path) -> None:
    """Also with tokens that are none: nobody tries them out at leisure."""

    async def test(lab: Lab) -> None:
        mine = await lab.token("ann", Grant(Role.VIEWER))
        far, other = lab.client_of("192.0.2.7"), lab.client_of("192.0.2.8")
        codes = [
            (await far.get("/v1/vms", headers=mine if n % 2 else {"Authorization": "Bearer x"})).status_code
            for n in range(10)
        ]
        assert codes[:5] == [401, 200, 401, 200, 401]
        assert codes[-1] == 429
        answer = await far.get("/v1/events")
        assert (answer.status_code, answer.json()["code"]) == (429, "too-many")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["retryable"]
        assert (await other.get("/v1/vms", headers=mine)).status_code == 200
        for _ in range(20):  # this very machine
            assert (await lab.ask("GET", "/v1/vms", **mine)).status_code == 200
        await far.aclose()
        await other.aclose()

    run(tmp_path, test, **limits(address=1.0))  # type: ignore[arg-type]


def test_a_network_of_ipv6_is_one_address(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        mine = await lab.token("ann", Grant(Role.VIEWER))
        codes = []
        for number in range(8):
            client = lab.client_of(f"2001:db8:0:1::{number + 1:x}")
            codes.append((await client.get("/v1/vms", headers=mine)).status_code)
            await client.aclose()
        assert codes == [200] * 5 + [429] * 3

    run(tmp_path, test, **limits(address=1.0))  # type: ignore[arg-type]


def test_a_token_that_asks_too_much_waits_and_others_do_not(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        ann, bob = [await lab.token(name, Grant(Role.VIEWER)) for name in ("ann", "bob")]
        codes = [(await lab.ask("GET", "/v1/vms", **ann)).status_code for _ in range(8)]
        assert codes == [200] * 5 + [429] * 3
        assert (await lab.ask("GET", "/v1/vms", **bob)).status_code == 200
        assert (await lab.ask("GET", "/healthz")).status_code == 200

    run(tmp_path, test, **limits(token=1.0))  # type: ignore[arg-type]
