"""Live migrations, struck while they are at work."""

from __future__ import annotations

from collections.abc import Callable

from drivers.sim.facts import Disturbed
from drivers.sim.machine import Phase
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.faults.fault import Begin, Fault, Given, lasting
from sim.faults.network import between
from sim.scenario.catalogue import FaultKind, Parameter

BACK_SECONDS = 150.0  # later than any verdict

_PHASE = Parameter("phase", "text", "copy", choices=tuple(Phase))
Strike = Callable[[SimCluster, SimRuntime, str, str], None]  # (…, source, target)


def _next_migration(strike: Strike) -> Begin:
    """When the next migration reaches the phase, at that instant."""

    def begin(cluster: SimCluster, _: tuple[str, ...], given: Given) -> None:
        runtime = SimRuntime(cluster.world, "migration fault")

        def from_host(source: str) -> Callable[[Phase, str], None]:
            async def now(target: str) -> None:
                strike(cluster, runtime, source, target)

            def told(phase: Phase, target: str) -> None:
                if phase == given["phase"]:
                    for machine in cluster.machines.values():
                        machine.at_phase = None
                    runtime.spawn(now(target), name=f"strike {source}")

            return told

        for machine in cluster.machines.values():
            machine.at_phase = from_host(machine.name)

    return begin


def _cut(cluster: SimCluster, runtime: SimRuntime, source: str, target: str) -> None:
    barriers = between((source,), (target,), Plane.MANAGEMENT)
    cluster.network.bar(barriers)

    async def mend() -> None:
        await runtime.sleep(BACK_SECONDS)
        cluster.network.lift(barriers)

    runtime.spawn(mend(), name="mend")


def _crash(cluster: SimCluster, host: str, what: str) -> None:
    cluster.witness(Disturbed(what, (host,)))
    cluster.machines[host].power_off()
    cluster.machines[host].restart(BACK_SECONDS, boots=False)


def _kill(cluster: SimCluster, runtime: SimRuntime, source: str, target: str) -> None:
    if "node" in cluster.machines[source].running:
        cluster.witness(Disturbed("migration-kill", ()))
        cluster.machines[source].kill("node")


def _set_busy(cluster: SimCluster, host: str, factor: float | None) -> None:
    cluster.machines[host].dirty_factor = factor or 1.0


ROWS = (
    Fault(
        kind=FaultKind(
            "migration-cut",
            "when the next live migration is in that phase, its hosts do not reach each other for 150 s",
            "none",
            (_PHASE,),
        ),
        covers=("F49",),
        begin=_next_migration(_cut),
    ),
    Fault(
        kind=FaultKind(
            "migration-source-crash",
            "when the next live migration is in that phase, its source loses power, for 150 s",
            "none",
            (_PHASE,),
        ),
        covers=("F49",),
        begin=_next_migration(lambda cluster, _, source, target: _crash(cluster, source, "migration-source-crash")),
    ),
    Fault(
        kind=FaultKind(
            "migration-target-crash",
            "when the next live migration is in that phase, its target loses power, for 150 s",
            "none",
            (_PHASE,),
        ),
        covers=("F49",),
        begin=_next_migration(lambda cluster, _, source, target: _crash(cluster, target, "migration-target-crash")),
    ),
    Fault(
        kind=FaultKind(
            "migration-kill",
            "when the next live migration is in that phase, the node process of its source is killed",
            "none",
            (_PHASE,),
        ),
        covers=("F49",),
        begin=_next_migration(_kill),
    ),
    Fault(
        kind=FaultKind(
            "busy-memory",
            "guests of the host rewrite their memory so many times faster: from about 10 on no migration converges",
            "host",
            (Parameter("factor", "ratio", 20.0, 1.0, 1000.0, "times faster"),),
            True,
        ),
        covers=("F50",),
        begin=lasting("memory", lambda given: float(given["factor"]), _set_busy),
    ),
)
