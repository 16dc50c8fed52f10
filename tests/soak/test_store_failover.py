"""Five thousand Jobs on a three-node MongoDB replica set whose primary is killed and frozen, again and again."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import Any

import pytest

from ave.errors import Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.recovery import Recovery
from ave.jobs.submit import job_id, submit
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.jobs.worker import Worker
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM
from ave.model.volume import Volume
from ave.model.work import ENDED, Step, Work, WorkState
from ave.operations import NameVMs
from ave.ports.store import Conflict, In, Insert
from ave.ports.together import Ports
from ave.sync import together
from drivers.asyncio_runtime import AsyncioRuntime
from drivers.config import StoreConfig
from drivers.stores import open_store
from tests.mongod import Cluster, three_nodes
from tests.soak.hosts import held, settle

JOBS = 5000
ASKERS = 8
OPERATION = "vm.delete"  # any that names VMs: what is done here is one document per name
HOSTS = ("a", "b", "c")
DEEDS = 6
AHEAD = 400  # Jobs submitted and not yet seen to have ended
FROZEN_SECONDS, DEAD_SECONDS = 12.0, 3.0


class Deeds:
    """What the tasks do: the effect is one insert, so what is done again finds that it was done."""

    def __init__(self) -> None:
        self.deliveries = 0
        verb = Verb(
            operation=OPERATION,
            resources=lambda request: each(VM, request.vms),
            split=self._split,
            tasks={"do": TaskKind(function=self._do, tries=30)},
        )
        self.verbs = {OPERATION: verb}

    def _split(self, request: NameVMs, found: Found) -> Split:
        return Split(steps={name: Step(function="do", resource=name) for name in request.vms})

    async def _do(self, ports: Ports, task: Work) -> None:
        self.deliveries += 1
        done = f"done-by-{task.id.replace('/', '-')}"
        try:
            await ports.store.commit(Insert(Volume(id=done, size_gib=1)))
        except Conflict:
            assert await ports.store.get(Volume, done) is not None


async def _worker(host: str, url: str, deeds: Deeds) -> None:
    """A host's worker with a client of its own, as in a process of its own."""
    runtime = AsyncioRuntime(host)
    store = await open_store(StoreConfig(url=url), runtime)
    ports = Ports(host, runtime, store, None, None, None)  # type: ignore[arg-type]
    crew = Crew(ports)
    worker = Worker(ports, crew, deeds.verbs, deeds.verbs[OPERATION].tasks, lambda: (), ())
    services = {"worker": worker.run(), "recovery": Recovery(ports, crew).run()}
    try:
        await runtime.supervise(together(runtime, services))
    finally:
        await store.close()


async def _disturb(cluster: Cluster, progress: Progress) -> dict[str, int]:
    """Each time another share of the Jobs has ended, another deed."""
    counts = {"killed": 0, "frozen": 0}
    for number, deed in zip(range(DEEDS), cycle(counts)):
        while progress.ended < (number + 1) * JOBS / (DEEDS + 1):
            await asyncio.sleep(0.5)
        primary = await asyncio.to_thread(cluster.primary)
        counts[deed] += 1
        if deed == "killed":
            await asyncio.to_thread(cluster.kill, primary)
            await asyncio.sleep(DEAD_SECONDS)
            await asyncio.to_thread(cluster.restart, primary)
        else:
            cluster.freeze(primary)
            await asyncio.sleep(FROZEN_SECONDS)
            cluster.thaw(primary)
            await asyncio.to_thread(cluster.wait_for, primary)
    return counts


class Progress:
    """How many Jobs have ended, looked up now and then."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.ended = 0

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(2.0)
            try:
                works = await self._store.count(Work, {"state": WorkState.DONE})
                self.ended = works // 2  # a Job and its task
            except Unavailable:
                pass


async def _ask(ports: Ports, crew: Crew, number: int, acknowledged: dict[str, None]) -> None:
    id = job_id(OPERATION, ports.runtime.random)
    while id not in acknowledged:
        try:
            await submit(ports, crew, OPERATION, NameVMs(vms=(f"job-{number}",)), id=id)
            acknowledged[id] = None
        except (Unavailable, UnknownOutcome):
            await asyncio.sleep(0.5)


async def _five_thousand(cluster: Cluster) -> str:
    deeds = Deeds()
    runtime = AsyncioRuntime("user")
    store = await open_store(StoreConfig(url=cluster.uri), runtime)
    user = Ports("user", runtime, store, None, None, None)  # type: ignore[arg-type]
    for host in HOSTS:
        online = move(Host(id=host, cpus=8, memory_mib=1024), HostState.ONLINE, "there from the start")
        await store.commit(Insert(online))
    workers = [asyncio.create_task(_worker(host, cluster.uri, deeds)) for host in HOSTS]
    await asyncio.sleep(2.0)
    progress = Progress(store)
    following = asyncio.create_task(progress.follow())
    disturbing = asyncio.create_task(_disturb(cluster, progress))
    acknowledged: dict[str, None] = {}
    crew = Crew(user)
    numbers = iter(range(JOBS))

    async def asker() -> None:
        for number in numbers:
            await _ask(user, crew, number, acknowledged)
            while number - progress.ended > AHEAD:
                await asyncio.sleep(0.5)

    await asyncio.gather(*(asker() for _ in range(ASKERS)))
    counts = await disturbing
    await settle(store)
    following.cancel()
    for worker in workers:
        assert not worker.done(), worker.exception()
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await _check(store, acknowledged)
    await store.close()
    return (
        f"{JOBS} Jobs, {deeds.deliveries} deliveries, primary {counts['killed']} x killed, {counts['frozen']} x frozen"
    )


async def _check(store: Any, acknowledged: dict[str, None]) -> None:
    ids = tuple(acknowledged)
    assert len(ids) == JOBS
    for first in range(0, JOBS, 1000):
        jobs = await store.find(Work, {"id": In(ids[first : first + 1000])})
        assert len(jobs) == len(ids[first : first + 1000]), "an acknowledged Job is lost"
        odd = [f"{job.id} {job.state} {job.story}" for job in jobs if job.state is not WorkState.DONE]
        assert odd == []
    assert await store.count(Volume) == JOBS, "something was done twice, or not at all"
    assert await store.count(Work, {"state": In(ENDED)}) == 2 * JOBS
    assert await held(store) == []


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings(  # pymongo leaves sockets open when it is closed while it connects
    "ignore:.*:ResourceWarning", "ignore:.*:pytest.PytestUnraisableExceptionWarning"
)
def test_mongo_primary_killed_and_frozen_during_five_thousand_jobs(record_property: Any) -> None:
    with three_nodes() as cluster:
        record_property("note", asyncio.run(_five_thousand(cluster)))
