"""Play a loaded scenario on the bed: what happens in it happens at its moment, and what it expects is looked up there."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from ave.errors import Unavailable
from ave.model.host import Host
from ave.model.vm import VM
from ave.operations import CreateVMs
from sim.actions import ACTIONS, candidates, listed, running, wanted
from sim.expect import Answers, Met, judge
from sim.faults import FAULTS
from sim.profiles import PROFILES
from sim.scenario.model import Event, Fleet, Scenario, Target
from sim.worlds.chronicle import STANDING, TYPES, Chronicle, Moment
from tests.real.bed import Bed, BedError
from tests.real.both.faults import ROWS
from tests.real.both.first import go_first
from tests.real.both.furnish import furnish, start_hosts, told
from tests.real.both.stage import Stage
from tests.real.cluster import RealCluster, Times
from tests.real.faults.supervisor import Supervisor
from tests.real.operator import operator_of

Tell = Callable[[str], None]


class Played(msgspec.Struct, frozen=True):
    """What a world has shown of a scenario."""

    name: str
    moments: list[Moment]
    expected: list[Met]

    @property
    def passed(self) -> bool:
        return all(met.passed for met in self.expected)


def play(scenario: Scenario, tell: Tell = lambda line: None) -> Played:
    """It must fit: see fit.py. Everything is gone afterwards. Unavailable if the bed fails."""
    try:
        return asyncio.run(_play(scenario, tell))
    except (BedError, AssertionError, ExceptionGroup) as trouble:
        first = trouble.exceptions[0] if isinstance(trouble, ExceptionGroup) else trouble
        raise Unavailable(f"the bed failed while it played {scenario.metadata.name}: {first}") from trouble


async def _play(scenario: Scenario, tell: Tell) -> Played:
    with tempfile.TemporaryDirectory(prefix="ave-both-") as folder:
        async with _stage(scenario, Path(folder)) as stage:
            tell(f"{scenario.topology.size} hosts are up")
            await furnish(stage, scenario)
            tell("its VMs run; the story begins")
            return await _Show(scenario, stage, tell).run()


@asynccontextmanager
async def _stage(scenario: Scenario, folder: Path) -> AsyncIterator[Stage]:
    timing = PROFILES[scenario.profile]
    times = Times(timing.give_up, timing.verdict)
    with Bed(hosts=scenario.topology.size) as bed:
        go_first(bed)
        with RealCluster(bed, folder, times, told(scenario, bed)) as cluster:
            async with operator_of(cluster) as operator:
                await start_hosts(cluster, operator)
                supervisor = Supervisor(cluster)
                try:
                    yield Stage(scenario.topology, bed, cluster, operator, supervisor)
                finally:
                    supervisor.close()


class _Show:
    def __init__(self, scenario: Scenario, stage: Stage, tell: Tell) -> None:
        self._scenario, self._stage, self._tell = scenario, stage, tell
        self._fleets = {each.fleet: each for each in scenario.workload if isinstance(each, Fleet)}
        self._made = Counter[str]()
        self._chronicle, self._answers = Chronicle(), Answers()
        self._began = 0.0  # by the loop's clock
        self._met: dict[int, Met] = {}

    async def run(self) -> Played:
        store = self._stage.operator.store
        watch = await store.watch(TYPES)
        for name, kind in STANDING.items():
            self._chronicle.apply([(name, doc.id, doc) for doc in await store.find(kind)], 0.0)
        epoch, self._began = await store.now(), asyncio.get_running_loop().time()
        reading = asyncio.create_task(self._read(watch, epoch))
        try:
            async with asyncio.TaskGroup() as happening:
                for number, event in enumerate(self._scenario.timeline):
                    happening.create_task(self._happen(event, number))
                for place, expected in enumerate(self._scenario.expect):
                    if expected.at is not None:
                        happening.create_task(self._expect(place, expected.at))
                happening.create_task(self._until(self._scenario.duration))
            for place in range(len(self._scenario.expect)):
                if place not in self._met:
                    await self._judge(place)
        finally:
            reading.cancel()  # if it has ended by itself, changes were lost, and it says why
            try:
                with suppress(asyncio.CancelledError):
                    await reading
            finally:
                watch.close()
        kept = [moment for moment in self._chronicle.moments if moment.at <= self._scenario.duration]
        return Played(self._scenario.metadata.name, kept, [self._met[place] for place in sorted(self._met)])

    async def _read(self, watch: Any, epoch: float) -> None:
        while True:
            commit = await watch.next()
            self._answers.committed(commit)
            self._chronicle.apply(commit.changes, commit.at - epoch)

    async def _until(self, at: float) -> None:
        await asyncio.sleep(self._began + at - asyncio.get_running_loop().time())

    async def _expect(self, place: int, at: float) -> None:
        await self._until(at)
        await self._judge(place)

    async def _judge(self, place: int) -> None:
        sight = msgspec.structs.replace(
            await self._stage.sight(), answers=self._answers.by_vm, starts=self._chronicle.starts()
        )
        self._met[place] = judge(self._scenario.expect[place], sight)

    # What happens

    async def _happen(self, event: Event, number: int) -> None:
        await self._until(event.at)
        source = Random(f"{self._scenario.seed}/target/{number}")  # as the simulator draws
        if event.kind == "action":
            await self._act(event, source)
            return
        row = ROWS[event.name]
        names = await self._hit(event, source)
        self._tell(f"{event.at:g} s: {event.name} {' '.join(names)}".strip())
        await asyncio.gather(*(row.begin(self._stage, name, event.parameters) for name in names))
        ends = event.at + (event.lasts or float("inf"))
        if row.end is not None and ends < self._scenario.duration:
            await self._until(ends)
            self._tell(f"{ends:g} s: {event.name} ends")
            await asyncio.gather(*(row.end(self._stage, name, event.parameters) for name in names))

    async def _hit(self, event: Event, source: Random) -> tuple[str, ...]:
        target = event.target
        if target is None:
            return ("",)  # it finds out itself
        if FAULTS[event.name].kind.target == "vm":
            among = running(target.fleet, await self._stage.operator.find(VM))
        else:
            hosts = self._scenario.topology.hosts()
            among = tuple(host.name for host in hosts if target.zone in (None, host.zone))
        return target.choose(among, source)

    async def _act(self, event: Event, source: Random) -> None:
        given, operator = event.parameters, self._stage.operator
        if event.name == "vm.create":
            for _ in range(int(given.get("jobs", 1))):
                await self._create(self._fleets[str(given["fleet"])], int(given["count"]), listed(given, "groups"))
            return
        target = event.target or Target()
        vms, hosts = await operator.find(VM), await operator.find(Host)
        among = target.names or candidates(event.name, target.fleet, vms, hosts)
        if names := target.choose(among, source):
            self._tell(f"{event.at:g} s: {event.name} {' '.join(names)}".strip())
            await operator.submit(event.name, ACTIONS[event.name].request(names, given))

    async def _create(self, fleet: Fleet, count: int, groups: tuple[str, ...]) -> None:
        first = fleet.count + self._made[fleet.fleet] + 1
        self._made[fleet.fleet] += count
        names = [f"{fleet.fleet}-{number}" for number in range(first, first + count)]
        self._tell(f"vm.create {' '.join(names)}")
        networks = self._scenario.topology.networks
        vms = tuple(wanted(fleet, name, networks, groups) for name in names)
        await self._stage.operator.submit("vm.create", CreateVMs(vms=vms))
