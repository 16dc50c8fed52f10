"""What the world was doing when a fault struck: a table of questions to the world, and who counts the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ave.model.work import ENDED, LEAD, Work, WorkState
from ave.ports.hypervisor import DomainState
from drivers.sim.facts import Disturbed
from sim.cluster import SimCluster

Question = Callable[[SimCluster], bool]


def _works(cluster: SimCluster) -> Iterable[Work]:
    works: dict[str, Work] = cluster.store.ledger.shelves_by_name["work"].docs
    return works.values()


def _rescue(cluster: SimCluster) -> bool:
    return any(work.operation == "ha.rescue" and work.state not in ENDED for work in _works(cluster))


def _leader_works(cluster: SimCluster) -> bool:
    return any(work.function == LEAD and work.state is WorkState.RUNNING for work in _works(cluster))


def _job(cluster: SimCluster) -> bool:
    return any(work.function == LEAD and work.state not in ENDED for work in _works(cluster))


def _migration(cluster: SimCluster) -> bool:
    machines = cluster.machines.values()
    return any(guest.state is DomainState.INCOMING for machine in machines for guest in machine.guests.values())


def _election(cluster: SimCluster) -> bool:
    return cluster.store.primary is None or cluster.storage.leader is None


def _paused(cluster: SimCluster) -> bool:
    machines = cluster.machines.values()
    return any(guest.state is DomainState.PAUSED for machine in machines for guest in machine.guests.values())


def _host_down(cluster: SimCluster) -> bool:
    return not all(machine.powered for machine in cluster.machines.values())


PHASES: dict[str, Question] = {
    "rescue": _rescue,
    "migration": _migration,
    "election": _election,
    "job leader at work": _leader_works,
    "job under way": _job,
    "VMs paused": _paused,
    "host down": _host_down,
}
QUIET = "quiet"  # none of these


class Coverage:
    """Counts kind × phase. A fault that strikes in several phases counts for each."""

    def __init__(self, cluster: SimCluster) -> None:
        self.struck: dict[str, int] = {}
        self.phases: dict[str, dict[str, int]] = {}
        self._cluster = cluster
        cluster.listeners.append(self._saw)

    def _saw(self, fact: object) -> None:
        if not isinstance(fact, Disturbed) or fact.over:
            return
        self.struck[fact.what] = self.struck.get(fact.what, 0) + 1
        counts = self.phases.setdefault(fact.what, {})
        for phase in [name for name, holds in PHASES.items() if holds(self._cluster)] or [QUIET]:
            counts[phase] = counts.get(phase, 0) + 1
