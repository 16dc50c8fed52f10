"""Hosts that lose power, stand still or start anew."""

from __future__ import annotations

from sim.cluster import SimCluster
from sim.faults.fault import Fault, Given, each
from sim.scenario.catalogue import FaultKind, Parameter

_BOOT = Parameter("seconds", "seconds", 30.0, 0.001, 3600.0, "until it has booted")

crash = each(lambda machine, given: machine.power_off())
switch_on = each(lambda machine, given: machine.restart(0.0))


def _reboot(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].power_off()
        cluster.machines[host].restart(float(given["seconds"]), boots=False)


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
        end=switch_on,
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "host-reboot", "the host loses power and is back, with a new boot id, so soon", "host", (_BOOT,)
        ),
        covers=("F02", "F03"),
        begin=_reboot,
        harms=True,
    ),
    Fault(
        kind=FaultKind("host-stall", "everything on the host stands still, its guests too", "host", (), True),
        covers=("F08",),
        begin=each(lambda machine, given: machine.stall()),
        end=each(lambda machine, given: machine.unstall()),
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
        end=switch_on,
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
        end=switch_on,
        harms=True,
        who=leader,
    ),
    Fault(
        kind=FaultKind("primary-crash", "the host of the store's primary loses power", "store", (), True),
        covers=("F01", "F30"),
        begin=crash,
        end=switch_on,
        harms=True,
        who=primary,
    ),
)
