"""Users who look: whoever was told that a Job is acknowledged asks another host for it at once, and once more later."""

from __future__ import annotations

from ave.errors import Unavailable
from ave.model.work import Work
from drivers.sim.runtime import SimRuntime
from drivers.sim.store import SimStore
from sim.answers import Shown
from sim.cluster import SimCluster

AGAIN_SECONDS = 20.0  # by then most Jobs have ended
TRIES = 5
RETRY_SECONDS = 5.0


class Reader:
    """Draws for itself, so that nobody's story becomes another one by being looked at."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._runtime = SimRuntime(cluster.world, "reader")
        self._stores = {host: SimStore(cluster.store, self._runtime, host) for host in cluster.machines}
        self._hosts = tuple(self._stores)

    def follow(self, job: str) -> None:
        self._runtime.spawn(self._look(job), name=f"look at {job}")

    async def _look(self, job: str) -> None:
        await self._ask(job)
        await self._runtime.sleep(AGAIN_SECONDS)
        await self._ask(job)

    async def _ask(self, job: str) -> None:
        """Any host; who gets no answer asks another one."""
        for _ in range(TRIES):
            host = self._hosts[int(self._runtime.random.random() * len(self._hosts))]
            asked = self._cluster.world.now
            try:
                work = await self._stores[host].get(Work, job)
            except Unavailable:
                await self._runtime.sleep(RETRY_SECONDS)
                continue
            self._cluster.witness(Shown(job, host, asked, 0 if work is None else work.version))
            return
