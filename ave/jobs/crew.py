"""Routing: which host should do what any host could do."""

from __future__ import annotations

from ave.errors import Unavailable
from ave.model.cluster import Handler
from ave.model.host import Host, HostState
from ave.model.work import Fact, Step
from ave.ports.together import Ports

UNITS_PER_HOST = 100
FRESH_SECONDS = 10.0


class Crew:
    """Hosts that are online, by how idle their workers are. Read at most every few seconds: a hint, not a proof."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._idle: list[tuple[str, int]] = []
        self._read_at = float("-inf")

    async def pick(self) -> str:
        """A host, by chance weighted by its free execution units."""
        runtime = self._ports.runtime
        await self._refresh()
        total = sum(free for _, free in self._idle)
        draw = runtime.random.random() * total
        for host, free in self._idle:
            draw -= free
            if draw < 0:
                return host
        raise Unavailable("no host is online to do this")

    async def lane(self, step: Step, facts: dict[str, Fact]) -> tuple[str, bool]:
        """Where a step's task goes, and whether it is bound to go there."""
        if step.host:
            return step.host, True
        if step.role:
            return step.role, True
        if step.fact:
            return facts[step.fact].host, True
        return await self.pick(), False

    async def hosts(self) -> tuple[str, ...]:
        """Those that are online and have a worker."""
        await self._refresh()
        return tuple(host for host, _ in self._idle)

    async def _refresh(self) -> None:
        """Nobody there is news that is not kept: the first host of a cluster has just joined, perhaps."""
        if self._ports.runtime.now() - self._read_at > FRESH_SECONDS or not self._idle:
            await self._read()

    async def _read(self) -> None:
        store = self._ports.store
        online = await store.find(Host, {"state": HostState.ONLINE})
        busy = {handler.id: handler.busy for handler in await store.find(Handler)}
        self._idle = [(host.id, max(1, UNITS_PER_HOST - busy[host.id])) for host in online if host.id in busy]
        self._read_at = self._ports.runtime.now()
