"""Routing: which host should do what any host could do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ave.errors import Unavailable
from ave.model.cluster import Handler
from ave.model.host import Host, HostState
from ave.model.work import Fact, Step
from ave.ports.store import In
from ave.ports.together import Ports

UNITS_PER_HOST = 100
CLAIM_MAX = 16  # items per claim: one round trip, and a fair share for the other hosts of a role
BLOCK = 4 * CLAIM_MAX  # siblings that go to one host: well within its units, and few hosts then write to one plan
FRESH_SECONDS = 10.0
AT_WORK = (
    HostState.ONLINE,
    HostState.ENTERING_MAINTENANCE,
    HostState.MAINTENANCE,
    HostState.QUARANTINED,
    HostState.READ_ONLY,
)
DOUBTFUL = (HostState.UNMANAGED, HostState.SUSPECT)  # their workers may be well: it is a disk that is full, or a line


class Crew:
    """Hosts that are there, by how idle their workers are. Read at most every few seconds: a hint, not a proof."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._idle: list[tuple[str, int]] = []
        self._here: tuple[str, ...] = ()
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
        raise Unavailable("no host is there to do this")

    async def lanes(self, steps: Iterable[Step], facts: Mapping[str, Fact]) -> list[tuple[str, bool]]:
        """Where the tasks of these steps go, and whether each is bound to go there.

        Siblings that any host can do go to one host in blocks. What is claimed together is recorded and folded together, so
        sixteen of them cost a host as many writes as one, and the fewer hosts share a plan, the less they wait for each other.
        """
        lanes: list[tuple[str, bool]] = []
        anywhere = 0
        idle = ""
        for step in steps:
            if bound := step.host or step.role or (facts[step.fact].host if step.fact else ""):
                lanes.append((bound, True))
                continue
            if anywhere % BLOCK == 0:
                idle = await self.pick()
            anywhere += 1
            lanes.append((idle, False))
        return lanes

    async def hosts(self) -> tuple[str, ...]:
        """Those that do what is bound to them, also if they accept no VMs."""
        await self._refresh()
        return self._here

    async def _refresh(self) -> None:
        """Nobody there is news that is not kept: the first host of a cluster has just joined, perhaps."""
        if self._ports.runtime.now() - self._read_at > FRESH_SECONDS or not self._idle:
            await self._read()

    async def _read(self) -> None:
        store = self._ports.store
        found = await store.find(Host, {"state": In((*AT_WORK, *DOUBTFUL))})
        busy = {handler.id: handler.busy for handler in await store.find(Handler)}
        there = [host for host in found if host.id in busy]
        here = [host for host in there if host.state in AT_WORK]
        self._here = tuple(host.id for host in here)
        online = [host for host in here if host.state is HostState.ONLINE]
        # A small cluster may have nobody who accepts VMs for a while, or nobody who is well, and its Jobs must go on. What a
        # silent worker was given is given to another one.
        self._idle = [(host.id, max(1, UNITS_PER_HOST - busy[host.id])) for host in online or here or there]
        self._read_at = self._ports.runtime.now()
