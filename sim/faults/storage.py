"""Disks of hosts, and the storage: its meta service, its targets, its volumes, and the hosts' ways to them."""

from __future__ import annotations

from drivers.sim.machine import Machine
from drivers.sim.storage import Flaw
from sim.cluster import SimCluster
from sim.faults.fault import Deed, Fault, Given, each, each_volume
from sim.scenario.catalogue import FaultKind, Parameter

_FACTOR = Parameter("factor", "ratio", 10.0, 1.0, 10_000.0, "times slower")


def _slow_disk(machine: Machine, given: Given) -> None:
    machine.disk_factor = float(given["factor"])


def _slow(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    each(_slow_disk)(cluster, hosts, given)
    cluster.store.slow.update(dict.fromkeys(hosts, float(given["factor"])))


def _fast(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    for host in hosts:
        cluster.machines[host].disk_factor = 1.0
        cluster.store.slow.pop(host, None)


def _slow_way(machine: Machine, given: Given) -> None:
    machine.storage.slow[machine.name] = float(given["factor"])


def _flaw(flaw: Flaw) -> Deed:
    return each_volume(lambda cluster, volume: cluster.storage.flaws.update({volume: flaw}))


def _set_full(full: bool) -> Deed:
    def deed(cluster: SimCluster, _: tuple[str, ...], given: Given) -> None:
        cluster.storage.full = full

    return deed


def _fast_way(machine: Machine, given: Given) -> None:
    machine.storage.slow.pop(machine.name, None)


def _set_read_only(value: bool) -> Deed:
    def deed(machine: Machine, given: Given) -> None:
        machine.read_only = value

    return each(deed)


def _mend(cluster: SimCluster, volume: str) -> None:
    cluster.storage.flaws.pop(volume, None)


ROWS = (
    Fault(
        kind=FaultKind("slow-disk", "the host's disk is so many times slower", "host", (_FACTOR,), True),
        covers=("F21", "F34"),
        begin=_slow,
        end=_fast,
    ),
    Fault(
        kind=FaultKind(
            "fs-readonly",
            "the host's own file system takes no writes: what runs there runs on, and nothing can be started",
            "host",
            (),
            True,
        ),
        covers=("F28",),
        begin=_set_read_only(True),
        end=_set_read_only(False),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "storage-slow",
            "the host's reads and writes of the storage take so many times longer; its lease is renewed as ever",
            "host",
            (Parameter("factor", "ratio", 100.0, 1.0, 1000.0, "times longer"),),
            True,
        ),
        covers=("F21",),
        begin=each(_slow_way),
        end=each(_fast_way),
    ),
    Fault(
        kind=FaultKind(
            "volume-error",
            "the volumes of the VM answer every write with an error: it is paused until they do not",
            "vm",
            (),
            True,
        ),
        covers=("F22",),
        begin=_flaw(Flaw.ERROR),
        end=each_volume(_mend),
        harms=True,
    ),
    Fault(
        kind=FaultKind("volume-silent", "no write to the volumes of the VM is ever answered", "vm", (), True),
        covers=("F22",),
        begin=_flaw(Flaw.SILENT),
        end=each_volume(_mend),
    ),
    Fault(
        kind=FaultKind(
            "write-hold",
            "the host's initiator holds all writes back, and sends them at the end, however old they are",
            "host",
            (),
            True,
        ),
        covers=("F23",),
        begin=each(lambda machine, given: machine.initiator.hold()),
        end=each(lambda machine, given: machine.initiator.release()),
    ),
    Fault(
        kind=FaultKind(
            "storage-failover",
            "the storage's meta leader dies and another is elected; I/O goes on",
            "storage",
            (Parameter("seconds", "seconds", 0.0, 0.0, 50.0, "until it is elected; 0: as long as it takes"),),
        ),
        covers=("F24",),
        begin=lambda cluster, hosts, given: cluster.storage.step_down(float(given.get("seconds", 0.0))),
    ),
    Fault(
        kind=FaultKind(
            "storage-quorum-loss",
            "the storage's meta service has no majority: no lease is renewed; I/O goes on",
            "storage",
            (),
            True,
        ),
        covers=("F25",),
        begin=lambda cluster, hosts, given: cluster.storage.lose_quorum(),
        end=lambda cluster, hosts, given: cluster.storage.regain_quorum(),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "storage-restart",
            "all of the storage starts anew, which takes 5 s: what it had acknowledged is there, writes are sent again",
            "storage",
        ),
        covers=("F26",),
        begin=lambda cluster, hosts, given: cluster.storage.restart(),
    ),
    Fault(
        kind=FaultKind(
            "storage-full",
            "the storage is full: writes fail, so VMs are paused until there is room; volumes can be grown and deleted",
            "storage",
            (),
            True,
        ),
        covers=("F27",),
        begin=_set_full(True),
        end=_set_full(False),
        harms=True,
    ),
)
