"""Who loses the host that told him goes on at another one: on two simulated hosts, and on two that share a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ave.api.desk import open_desk
from ave.api.gate import Open
from ave.api.view import View
from ave.kinds import KINDS, SCHEMA
from ave.model.access import Caller, Grant, Role
from ave.model.vm import VM, VMState
from ave.ports.store import Delete, Insert, Replace
from drivers.rest.app import application
from drivers.rest.host import Here, Served
from drivers.rest.server import listen, serve
from drivers.rest.stream import Told
from drivers.sim.machine import Machine
from drivers.sim.runtime import SimRuntime
from drivers.sqlite.store import SqliteStore
from sim.scenario.load import loads
from sim.story import Story
from sim.tables import CATALOGUE
from tests.listener import Picture
from tests.unit.api.lab import Lab, run

TYPES = ("vm", "host")
STEP_SECONDS = 2.5
SCENARIO = """
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: two-doors}
spec:
  seed: 3
  duration: 10m
  topology: {hosts: 4, cpu: 32, memory: 64GiB, masters: 3}
  workload:
    - {fleet: web, count: 4, vcpu: 2, memory: 4GiB, disk: 10GiB}
    - fleet: ci
      count: 40
      vcpu: 1
      memory: 1GiB
      disk: 5GiB
      arrive: {dist: poisson, rate: 900/h}
      life: {dist: fixed, value: 40s}
"""


class Doors:
    """A simulated cluster, each of whose hosts has a view; and real sockets before some of them."""

    def __init__(self) -> None:
        self.story = Story(loads(SCENARIO, CATALOGUE, Path("two-doors.yaml")), seed=3)
        self.views: dict[str, View] = {}
        self._hosts: dict[str, Served] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self.story.cluster.processes["api"] = self._launch
        self.story.begin()

    def _launch(self, machine: Machine, runtime: SimRuntime) -> None:
        ports, _ = self.story.cluster.client(machine.name, runtime)
        desk, view = open_desk(ports)
        runtime.spawn(view.run(), name="view")
        self.views[machine.name] = view
        self._hosts[machine.name] = Served(machine.name, desk, view, Open(), Here())

    def open(self, name: str) -> int:
        """The port at which that host's API answers."""
        where = listen("127.0.0.1", 0)
        self._serving[name] = asyncio.ensure_future(serve(application(self._hosts[name], bug=_fail), where))
        return int(where.getsockname()[1])

    async def lose(self, name: str) -> None:
        """Its power, and with it all its connections."""
        self.story.cluster.machines[name].power_off()
        self._serving[name].cancel()
        await asyncio.wait([self._serving[name]], timeout=10)

    async def run(self, seconds: float) -> None:
        """Simulated ones; whoever listens hears of it bit by bit."""
        world = self.story.cluster.world
        ends = world.now + seconds
        while world.now < ends:
            world.advance(min(world.now + STEP_SECONDS, ends))
            await asyncio.sleep(0.02)

    def stored(self) -> dict[str, dict[str, Any]]:
        shelves = self.story.cluster.store.ledger.shelves_by_name
        return {kind: {id: plain(doc) for id, doc in shelves[kind].docs.items()} for kind in TYPES}

    async def settled(self, picture: Picture, name: str) -> None:
        """The reader is as far as that host, and that host as the store."""
        await asyncio.wait_for(picture.until(self.views[name].projection.revision), 10)


def plain(doc: Any) -> Any:
    """As it comes out of JSON."""
    return msgspec.json.decode(msgspec.json.encode(doc))


def _fail(error: BaseException) -> None:
    raise error


@asynccontextmanager
async def doors() -> AsyncIterator[Doors]:
    made = Doors()
    try:
        yield made
    finally:
        for task in made._serving.values():
            task.cancel()
        if made._serving:
            await asyncio.wait(made._serving.values(), timeout=10)
        made.story.cluster.close()


def test_in_the_simulator_who_loses_his_host_goes_on_at_another_one_without_gap_or_double() -> None:
    async def test() -> None:
        async with doors() as world:
            first, second = world.open("host-2"), world.open("host-3")
            await world.run(20)
            picture = Picture(*TYPES)
            following = asyncio.ensure_future(picture.follow(first))
            await world.run(30)
            await world.settled(picture, "host-2")
            before = {kind: dict(docs) for kind, docs in picture.docs.items()}
            await world.lose("host-2")
            await asyncio.wait_for(following, 10)
            told = len(picture.events)
            await world.run(60)  # VMs come and go, and host-2 is judged dead, while nobody listens
            following = asyncio.ensure_future(picture.follow(second))
            await world.run(5)
            await world.settled(picture, "host-3")
            assert picture.events[told] == "delta"
            assert picture.docs == world.stored()
            assert before["vm"].keys() - picture.docs["vm"].keys()
            assert picture.docs["vm"].keys() - before["vm"].keys()
            assert picture.docs["host"]["host-2"]["state"] != before["host"]["host-2"]["state"]
            following.cancel()

    asyncio.run(asyncio.wait_for(test(), 100))


def test_a_host_that_is_behind_tells_nothing_older_than_what_was_told_elsewhere() -> None:
    async def test() -> None:
        async with doors() as world:
            first, second = world.open("host-2"), world.open("host-4")
            await world.run(20)
            machine, behind = world.story.cluster.machines["host-4"], world.views["host-4"].projection
            machine.stall_process("api")
            picture = Picture(*TYPES)
            following = asyncio.ensure_future(picture.follow(first))
            await world.run(15)
            await world.settled(picture, "host-2")
            await world.lose("host-2")
            await asyncio.wait_for(following, 10)
            seen = int(picture.last.rpartition(":")[2])
            told = len(picture.events)
            following = asyncio.ensure_future(picture.follow(second))
            await asyncio.sleep(0.5)
            assert len(picture.events) == told
            assert behind.revision < seen
            machine.unstall_process("api")
            await world.run(10)
            await world.settled(picture, "host-4")
            assert set(picture.events[told:]) == {"delta"}
            following.cancel()

    asyncio.run(asyncio.wait_for(test(), 100))


# On a real store


def vm(id: str, **fields: Any) -> VM:
    return VM(**{"id": id, "vcpus": 1, "memory_mib": 1024, "state": VMState.STOPPED, **fields})


@asynccontextmanager
async def another(lab: Lab, folder: Path) -> AsyncIterator[View]:
    """The view of a second host on the same store."""
    async with await SqliteStore.open(folder / "store", KINDS, schema=SCHEMA, synchronous="NORMAL") as store:
        _, view = open_desk(msgspec.structs.replace(lab.ports, host="h2", store=store))
        kept = lab.runtime.spawn(view.run(), name="view of h2")
        try:
            await view.reach(0)
            yield view
        finally:
            kept.cancel()


def test_hosts_of_one_store_are_of_one_epoch_and_those_of_another_are_not(tmp_path: Path) -> None:
    epochs: list[str] = []

    async def test(lab: Lab) -> None:
        async with another(lab, folder) as view:
            assert view.epoch == lab.view.epoch
        epochs.append(lab.view.epoch)

    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        run(folder, test)
    assert all(epochs)
    assert epochs[0] != epochs[1]


GRANT = Caller(user="ann", tenant="acme", grants=(Grant(Role.VIEWER, "/tenants/acme"),))


@pytest.mark.parametrize("goes", ["while nobody listens", "later"])
def test_who_sees_little_hears_at_another_host_too_of_what_goes(tmp_path: Path, goes: str) -> None:
    """Another host cannot know what he was told, and what goes he shall hear of; of what he may not see he does not."""

    async def test(lab: Lab) -> None:
        await lab.put(vm("mine", tenant="acme"), vm("other", tenant="acme"), vm("theirs", tenant="evil"))
        async with another(lab, tmp_path) as view:
            seen = view.projection.revision

            async def go(*names: str) -> None:
                for name in names:
                    await lab.store.commit(Delete(await lab.store.get(VM, name)))
                    await _until(view, lambda name=name: name not in view.docs("vm"))  # type: ignore[misc]

            told = Told(GRANT, ("vm",))
            if goes == "later":
                told.since(view, seen)
                await go("mine", "theirs")
                assert told.since(view, seen) == ("delta", {"gone": [["vm", "mine"]]})
            else:
                await go("mine", "theirs")
                event, body = told.since(view, seen)
                assert (event, [each.id for each in body["vm"]]) == ("reset", ["other"])

    run(tmp_path, test)


async def _until(view: View, holds: Callable[[], bool]) -> None:
    while not holds():
        await view.next()


def test_a_stream_begins_anew_if_another_store_stands_where_that_one_stood(tmp_path: Path) -> None:
    """An epoch says so, although the revisions would fit."""

    async def test(lab: Lab) -> None:
        await lab.put(vm("a"))
        stale = f"{'0' * 12}:{lab.view.projection.revision}"
        where = listen("127.0.0.1", 0)
        serving = asyncio.ensure_future(serve(lab.app, where))
        picture = Picture("vm")
        picture.last = stale
        following = asyncio.ensure_future(picture.follow(where.getsockname()[1]))
        while not picture.events:
            await asyncio.sleep(0.02)
        assert picture.events == ["reset"]
        assert picture.last.startswith(f"{lab.view.epoch}:")
        (known,) = await lab.store.commit(Replace(msgspec.structs.replace(await lab.store.get(VM, "a"), name="new")))  # type: ignore[type-var]
        await lab.store.commit(Insert(vm("b")))
        while "b" not in picture.docs["vm"]:
            await asyncio.sleep(0.02)
        assert picture.docs["vm"]["a"]["version"] == known.version
        following.cancel()
        serving.cancel()
        await asyncio.wait([serving, following], timeout=10)

    run(tmp_path, test)
