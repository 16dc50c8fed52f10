"""The Job Center's own workers on the real loop, on whatever store: what whole Jobs cost beside the raw operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.jobs.worker import Worker
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM
from ave.model.work import ENDED, LEAD, Step, Work, WorkState
from ave.operations import NameVMs
from ave.ports.store import In, Insert
from ave.ports.together import Ports
from drivers.asyncio_runtime import AsyncioRuntime

OPERATION = "vm.delete"  # any that names VMs: what a name stands for here is a task that does nothing


async def _nothing(ports: Ports, task: Work) -> None:
    pass


def _verb(on: str) -> Verb:
    """The first name is the resource; there is one task per name, for any host or ``on`` this one."""

    def split(request: NameVMs, found: Found) -> Split:
        return Split(steps={name: Step(function="nothing", resource=name, host=on) for name in request.vms})

    return Verb(
        operation=OPERATION,
        resources=lambda request: each(VM, request.vms[:1]),
        split=split,
        tasks={"nothing": TaskKind(function=_nothing)},
    )


class JobCenter:
    """Some hosts' workers in one process."""

    def __init__(self, store: Any, hosts: Sequence[str]) -> None:
        self.store, self.hosts = store, hosts
        self._user = Ports("user", AsyncioRuntime("user"), store, None, None, None)  # type: ignore[arg-type]
        self._crew = Crew(self._user)
        self._made = 0

    async def jobs(self, count: int, tasks: int, in_flight: int) -> float:
        """Seconds until so many Jobs of so many tasks each have ended, with so many of them open at once."""
        places = asyncio.Semaphore(in_flight)
        watch = await self.store.watch((Work,), None, {"function": LEAD})
        open_jobs: dict[str, None] = {}
        ended = 0
        over = asyncio.Event()

        async def hear() -> None:
            nonlocal ended
            while ended < count:
                for _, id, work in (await watch.next()).changes:
                    if work is not None and work.job == id and work.state in ENDED:
                        assert work.state is WorkState.DONE, work.story
                        ended += 1
                        places.release()
            over.set()

        listening = asyncio.create_task(hear())
        began = monotonic()
        for _ in range(count):
            await places.acquire()
            self._made += 1
            names = tuple(f"job-{self._made}-{number}" for number in range(tasks))
            open_jobs[await submit(self._user, self._crew, OPERATION, NameVMs(vms=names))] = None
        await over.wait()
        seconds = monotonic() - began
        await listening
        watch.close()
        left = await self.store.find(Work, {"id": In(tuple(open_jobs))})
        assert len(left) == count
        assert all(job.state is WorkState.DONE and len(job.results) == tasks for job in left)
        return seconds


@asynccontextmanager
async def job_center(store: Any, hosts: Sequence[str] = ("one",), on: str = "") -> AsyncIterator[JobCenter]:
    """Workers of these hosts, until the end of the block."""
    verb = _verb(on)
    for host in hosts:
        if await store.get(Host, host) is None:
            online = move(Host(id=host, cpus=8, memory_mib=1024), HostState.ONLINE, "there from the start")
            await store.commit(Insert(online))
    running = []
    for host in hosts:
        runtime = AsyncioRuntime(host)
        ports = Ports(host, runtime, store, None, None, None)  # type: ignore[arg-type]
        worker = Worker(ports, Crew(ports), {OPERATION: verb}, verb.tasks, lambda: (), ())
        running.append(asyncio.create_task(runtime.supervise(worker.run())))
    await asyncio.sleep(0.3)  # until they have registered
    try:
        yield JobCenter(store, hosts)
    finally:
        for each_one in running:
            each_one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
