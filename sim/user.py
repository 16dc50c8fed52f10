"""The user of a simulated cluster: submits operations to whichever host answers, and remembers what was acknowledged."""

from __future__ import annotations

from typing import Any

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.cancel import cancel
from ave.jobs.submit import job_id, submit
from ave.model.host import Host
from ave.model.vm import VM
from ave.model.work import ENDED, Work
from ave.operations import CreateVMs
from drivers.sim.runtime import SimRuntime
from sim.actions import candidates, running, wanted
from sim.answers import ONCE, Answered, Asking
from sim.cluster import SimCluster
from sim.reader import Reader
from sim.scenario.model import Fleet

RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 600.0  # then the user gives up


class User:
    def __init__(self, cluster: SimCluster, acknowledged: dict[str, None]) -> None:
        self._cluster = cluster
        self._runtime = SimRuntime(cluster.world, "user")
        self._doors = {host: cluster.client(host, self._runtime) for host in cluster.machines}
        self._acknowledged = acknowledged
        self._reader = Reader(cluster)
        self._made: dict[str, int] = {}
        self.asked = 0
        self.given_up = 0

    def spawn(self, name: str, request: Any, asking: Asking = ONCE) -> None:
        """Submit in the background."""
        for _ in range(asking.times):
            self.asked += 1
            self._runtime.spawn(self.submit(name, request, asking), name=f"{name}-{self.asked}")

    async def submit(self, operation: str, request: Any, asking: Asking = ONCE) -> str:
        """Ask one host after the other until one takes it; "" when patience is over. What is refused is given up."""
        runtime, flag, key = self._runtime, asking.flag, asking.key
        id = job_id(operation, runtime.random)  # drawn once: asking again is not asking twice
        deadline = runtime.now() + PATIENCE_SECONDS
        hosts = tuple(self._doors)
        while runtime.now() < deadline:
            ports, crew = self._doors[hosts[int(runtime.random.random() * len(hosts))]]
            try:
                job = await submit(ports, crew, operation, request, id=id, flag=flag, key=key)
            except (Unavailable, UnknownOutcome):
                await runtime.sleep(RETRY_SECONDS)
                continue
            except Refused:
                break
            self._acknowledged[job] = None
            self._reader.follow(job)
            if key:
                self._cluster.witness(Answered(key, f"{operation} {request}", job))
            return job
        self.given_up += 1
        return ""

    def cancel(self, operation: str, count: int) -> None:
        """Cancel the newest Jobs, by what the store says, that were acknowledged and have not ended; in the background."""
        jobs = [self._cluster.store.ledger.get(Work, id) for id in reversed(self._acknowledged)]
        wanted = [job for job in jobs if job and job.state not in ENDED and operation in ("", job.operation)]
        for job in wanted[:count]:
            self._runtime.spawn(self._cancel(job.id), name=f"cancel {job.id}")

    async def _cancel(self, job: str) -> None:
        runtime, hosts = self._runtime, tuple(self._doors)
        deadline = runtime.now() + PATIENCE_SECONDS
        while runtime.now() < deadline:
            ports, crew = self._doors[hosts[int(runtime.random.random() * len(hosts))]]
            try:
                await cancel(ports, crew, job)
                return
            except (Unavailable, UnknownOutcome):
                await runtime.sleep(RETRY_SECONDS)
            except Refused:
                return  # it has ended meanwhile

    def create(self, fleet: Fleet, count: int, asking: Asking = ONCE, groups: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Ask for more VMs of a fleet, in its placement groups and these; returns their names."""
        first = self._made.get(fleet.fleet, fleet.count if fleet.arrive is None else 0) + 1
        self._made[fleet.fleet] = first + count - 1
        names = tuple(f"{fleet.fleet}-{number}" for number in range(first, first + count))
        self.spawn(
            "vm.create",
            CreateVMs(vms=tuple(wanted(fleet, name, self._cluster.topology.networks, groups) for name in names)),
            asking,
        )
        return names

    def running(self, fleet: str | None) -> tuple[str, ...]:
        """VMs that a fault can hit now, by what the store says."""
        return running(fleet, self._cluster.store.ledger.find(VM, {}, (), 0, None))

    def candidates(self, action: str, fleet: str | None) -> tuple[str, ...]:
        """VMs or hosts at which the action can be aimed now, by what the store says."""
        ledger = self._cluster.store.ledger
        return candidates(action, fleet, ledger.find(VM, {}, (), 0, None), ledger.find(Host, {}, (), 0, None))
