"""What can be done to a simulated world. One table: a fault is a row, with how it begins and, if it can end, how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from drivers.sim.facts import Disturbed
from drivers.sim.network import Plane
from sim.cluster import SimCluster
from sim.scenario.catalogue import FaultKind, Parameter, Value

Given = Mapping[str, Value]
Deed = Callable[[SimCluster, tuple[str, ...], Given], None]


class Fault(msgspec.Struct, frozen=True):
    kind: FaultKind
    begin: Deed
    end: Deed | None = None
    harms: bool = False  # may the VMs of the hosts it hits stop because of it?


def _power_off(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].power_off()


def _power_on(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].restart(0.0)


def _stall(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].stall()


def _unstall(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].unstall()


def _cut(*planes: Plane) -> Deed:
    """Each host from all others."""

    def deed(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
        for host in hosts:
            cluster.network.cut((host,), planes)

    return deed


def _part(*planes: Plane) -> Deed:
    """These hosts, together, from the rest."""
    return lambda cluster, hosts, given: cluster.network.cut(hosts, planes)


def _heal(*planes: Plane) -> Deed:
    return lambda cluster, hosts, given: cluster.network.heal(hosts, planes)


def _kill(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        machine = cluster.machines[host]
        if str(given["process"]) in machine.running:
            machine.kill(str(given["process"]))


def _slow(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].disk_factor = float(given["factor"])
        cluster.store.slow[host] = float(given["factor"])


def _fast(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].disk_factor = 1.0
        cluster.store.slow.pop(host, None)


def _lose_answers(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    cluster.store.lost_answers = float(given["share"])


def _find_answers(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    cluster.store.lost_answers = 0.0


def _drift(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].clock.drift(float(given["rate"]))


def _steady(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].clock.drift(1.0)


BOTH = (Plane.MANAGEMENT, Plane.STORAGE)
_PROCESS = Parameter("process", "text", "node", choices=("node", "guard"))

FAULTS: dict[str, Fault] = {
    fault.kind.name: fault
    for fault in (
        Fault(
            FaultKind(
                "host-crash", "the host loses power; with `for` it is switched on again and boots", "host", (), True
            ),
            _power_off,
            _power_on,
            harms=True,
        ),
        Fault(
            FaultKind("host-stall", "everything on the host stands still, its guests too", "host", (), True),
            _stall,
            _unstall,
            harms=True,
        ),
        Fault(
            FaultKind("partition", "the hosts, together, reach none of the others on any network", "hosts", (), True),
            _part(*BOTH),
            _heal(*BOTH),
            harms=True,
        ),
        Fault(
            FaultKind("storage-loss", "the host does not reach the storage", "host", (), True),
            _cut(Plane.STORAGE),
            _heal(Plane.STORAGE),
            harms=True,
        ),
        Fault(
            FaultKind("management-loss", "the host does not reach the store and the other hosts", "host", (), True),
            _cut(Plane.MANAGEMENT),
            _heal(Plane.MANAGEMENT),
        ),
        Fault(
            FaultKind(
                "process-kill",
                "kill -9 of a process of the host; its supervisor restarts it",
                "host",
                (_PROCESS,),
            ),
            _kill,
        ),
        Fault(
            FaultKind(
                "slow-disk",
                "the host's disk is so many times slower",
                "host",
                (Parameter("factor", "ratio", 10.0, 1.0, 10_000.0, "times slower"),),
                True,
            ),
            _slow,
            _fast,
        ),
        Fault(
            FaultKind(
                "clock-drift",
                "the host's monotonic clock ticks at this rate",
                "host",
                (Parameter("rate", "ratio", 1.001, 0.999, 1.001, "its seconds per true second"),),
                True,
            ),
            _drift,
            _steady,
        ),
        Fault(
            FaultKind("store-failover", "the store's primary steps down and another is elected", "store"),
            lambda cluster, hosts, given: cluster.store.step_down(),
        ),
        Fault(
            FaultKind(
                "lost-answers",
                "some of the store's writes take effect, but their answers are lost",
                "store",
                (Parameter("share", "ratio", 0.1, 0.0, 1.0, "of all writes"),),
                True,
            ),
            _lose_answers,
            _find_answers,
        ),
        Fault(
            FaultKind(
                "store-stale-primary",
                "the store's primary, with less than half of its members and some hosts, is cut off from the others' "
                "management network, and does not know for 10 s that it is no primary any more",
                "store",
                (Parameter("share", "ratio", 0.5, 0.0, 1.0, "of the hosts that carry no member of the store"),),
                True,
            ),
            lambda cluster, hosts, given: cluster.store.isolate_primary(float(given["share"])),
            lambda cluster, hosts, given: cluster.store.rejoin(),
        ),
        Fault(
            FaultKind(
                "store-lag",
                "secondaries of the store apply commits so much later, and lists are read from them",
                "store",
                (Parameter("seconds", "seconds", 60.0, 0.001, 3600.0, "behind the primary"),),
                True,
            ),
            lambda cluster, hosts, given: cluster.store.set_lag(float(given["seconds"])),
            lambda cluster, hosts, given: cluster.store.set_lag(0.0),
        ),
        Fault(
            FaultKind(
                "store-slow",
                "each call of the store takes so much longer; its clients wait 5 s",
                "store",
                (Parameter("seconds", "seconds", 10.0, 0.001, 600.0, "longer"),),
                True,
            ),
            lambda cluster, hosts, given: cluster.store.set_delay(float(given["seconds"])),
            lambda cluster, hosts, given: cluster.store.set_delay(0.0),
        ),
        Fault(
            FaultKind("store-full", "the store's disk is full: it refuses writes, and can be read", "store", (), True),
            lambda cluster, hosts, given: cluster.store.set_full(True),
            lambda cluster, hosts, given: cluster.store.set_full(False),
        ),
        Fault(
            FaultKind(
                "storage-failover", "the storage's meta leader dies and another is elected; I/O goes on", "storage"
            ),
            lambda cluster, hosts, given: cluster.storage.step_down(),
        ),
    )
}


def begin(cluster: SimCluster, name: str, hosts: tuple[str, ...], given: Given, *, lasting: bool) -> None:
    fault = FAULTS[name]
    cluster.world.tell("fault", name, {"hosts": ",".join(hosts), **given})
    cluster.witness(Disturbed(name, hosts if fault.harms else (), lasting=lasting))
    fault.begin(cluster, hosts, given)


def end(cluster: SimCluster, name: str, hosts: tuple[str, ...], given: Given) -> None:
    fault = FAULTS[name]
    if fault.end is None:
        return
    cluster.world.tell("fault", f"{name} ends", {"hosts": ",".join(hosts)})
    cluster.witness(Disturbed(name, hosts if fault.harms else (), over=True, lasting=True))
    fault.end(cluster, hosts, given)
