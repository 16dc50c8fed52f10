"""Two hundred times kill -9 of a worker process at a random moment, on each real store, while users go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import StoreConfig
from drivers.stores import open_store
from tests.mongod import three_nodes
from tests.soak.hosts import Hosts, User, check, one_writer, settle

KILLS = 200
NAMES = ("a", "b", "c")
VMS = tuple(f"vm-{number}" for number in range(8))
GAP_SECONDS = {"sqlite": (0.1, 1.2), "mongodb": (0.1, 2.4)}  # some are killed before they have started
SEED = 20261121


@pytest.fixture(params=["sqlite", "mongo"])
def url(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ave-soak-")))
        if request.param == "sqlite":
            yield f"sqlite:{folder}/store", folder
        else:
            yield stack.enter_context(three_nodes()).uri, folder


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings(  # pymongo leaves sockets open when it is closed while it connects
    "ignore:.*:ResourceWarning", "ignore:.*:pytest.PytestUnraisableExceptionWarning"
)
def test_nothing_is_lost_or_doubled_when_workers_are_killed(url: tuple[str, Path], record_property: Any) -> None:
    address, folder = url
    with Hosts(folder, address, NAMES) as hosts:
        user = asyncio.run(_campaign(hosts, address))
        runs = one_writer(hosts)
    jobs = ", ".join(f"{count} {what}" for what, count in sorted(user.ended.items()))
    record_property("note", f"{KILLS} kills of workers on {address.partition(':')[0]}: {jobs}; {runs} runs of writes")
    for why, count in user.reasons.most_common(8):
        record_property("note", f"  {count} x {why}")


async def _campaign(hosts: Hosts, address: str) -> User:
    runtime = AsyncioRuntime("campaign")
    store = await open_store(StoreConfig(url=address), runtime)
    try:
        user = User(store, SEED)
        owners = [asyncio.create_task(user.own(vm)) for vm in VMS]
        source = Random(SEED)
        low, high = GAP_SECONDS[address.partition(":")[0]]
        for _ in range(KILLS):
            await asyncio.sleep(low + (high - low) * source.random())
            hosts.kill(NAMES[int(source.random() * len(NAMES))])
            for owner in owners:
                if owner.done():
                    owner.result()
        user.enough = True
        await asyncio.gather(*owners)
        await settle(store, hosts)
        hosts.stop_all()
        await check(hosts, store, user)
        assert sum(user.ended.values()) >= len(VMS), "the users got nothing done"
        return user
    finally:
        await store.close()
