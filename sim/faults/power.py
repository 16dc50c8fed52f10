"""Hosts that lose power, stand still or start anew."""

from __future__ import annotations

from drivers.sim.machine import Machine
from sim.cluster import SimCluster
from sim.faults.fault import Fault, Given, each, lasting
from sim.scenario.catalogue import FaultKind, Parameter

_BOOT = Parameter("seconds", "seconds", 30.0, 0.001, 3600.0, "until it has booted")


def _switch(cluster: SimCluster, host: str, off: bool | None) -> None:
    if off:
        cluster.machines[host].power_off()
    else:
        cluster.machines[host].restart(0.0)


crash = lasting("power", lambda given: True, _switch)


def _reboot(machine: Machine, given: Given) -> None:
    if machine.powered:  # what is off stays off
        machine.power_off()
        machine.restart(float(given["seconds"]), boots=False)


def _boots(cluster: SimCluster, hosts: tuple[str, ...]) -> list[tuple[Machine, str]]:
    return [(cluster.machines[host], cluster.machines[host].facts.boot) for host in hosts]


def _stand_still(cluster: SimCluster, hit: tuple[Machine, str], still: bool | None) -> None:
    machine, boot = hit
    if machine.facts.boot != boot:
        return  # it has lost power meanwhile, and stands no more
    if still:
        machine.stall()
    else:
        machine.unstall()


def zone_of(cluster: SimCluster, given: Given) -> tuple[str, ...]:
    return tuple(host.name for host in cluster.topology.hosts() if host.zone == given["zone"])


def leader(cluster: SimCluster, given: Given) -> tuple[str, ...]:
    """The storage's meta leader, whom scheduler and monitor follow; between two of them nobody."""
    return (cluster.storage.leader,) if cluster.storage.leader is not None else ()


def primary(cluster: SimCluster, given: Given) -> tuple[str, ...]:
    return (cluster.store.primary,) if cluster.store.primary is not None else ()


ROWS = (
    Fault(
        kind=FaultKind(
            "host-crash", "the host loses power; with `for` it is switched on again and boots", "host", (), True
        ),
        covers=("F01", "F40", "F41", "F52"),
        begin=crash,
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "host-reboot", "the host loses power and is back, with a new boot id, so soon", "host", (_BOOT,)
        ),
        covers=("F02", "F03"),
        begin=each(_reboot),
        harms=True,
    ),
    Fault(
        kind=FaultKind("host-stall", "everything on the host stands still, its guests too", "host", (), True),
        covers=("F08",),
        begin=lasting("boot", lambda given: True, _stand_still, of=_boots),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "zone-crash",
            "all hosts of the zone lose power at once; with `for` they are switched on again",
            "none",
            (Parameter("zone", "text"),),
            True,
        ),
        covers=("F40", "F41", "F44"),
        begin=crash,
        harms=True,
        who=zone_of,
    ),
    Fault(
        kind=FaultKind(
            "leader-crash",
            "the host of the storage's meta leader, with the Active scheduler and monitor, loses power",
            "storage",
            (),
            True,
        ),
        covers=("F01", "F24"),
        begin=crash,
        harms=True,
        who=leader,
    ),
    Fault(
        kind=FaultKind("primary-crash", "the host of the store's primary loses power", "store", (), True),
        covers=("F01", "F30"),
        begin=crash,
        harms=True,
        who=primary,
    ),
)
