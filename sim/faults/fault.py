"""What a fault is: how it begins, how it ends if it can, whose VMs may stop because of it, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from drivers.sim.machine import Machine
from sim.cluster import SimCluster
from sim.scenario.catalogue import FaultKind, Value

Given = Mapping[str, Value]
Undo = Callable[[], None]
Deed = Callable[[SimCluster, tuple[str, ...], Given], None]  # (the cluster, the names of whom it hits, parameters)
Begin = Callable[[SimCluster, tuple[str, ...], Given], Undo | None]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """``who`` finds whom it hits at the moment when it begins, if no target says so. One that lasts ends by what its begin
    answers, which undoes that and nothing else, or by its ``end``."""

    kind: FaultKind
    covers: tuple[str, ...]  # numbers of the fault catalogue
    begin: Begin
    end: Deed | None = None
    harms: bool = False  # may the VMs that it hits, or those of the hosts that it hits, stop because of it?
    who: Callable[[SimCluster, Given], tuple[str, ...]] | None = None


def each(deed: Callable[[Machine, Given], None]) -> Deed:
    """To every host that is hit."""

    def done(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
        for host in hosts:
            deed(cluster.machines[host], given)

    return done


def each_guest(deed: Callable[[Machine, str, Given], None]) -> Deed:
    """To every VM that is hit, where it is."""

    def done(cluster: SimCluster, vms: tuple[str, ...], given: Given) -> None:
        for machine in cluster.machines.values():
            for vm in [vm for vm in vms if vm in machine.guests]:
                deed(machine, vm, given)

    return done


def each_volume(deed: Callable[[SimCluster, str], None]) -> Deed:
    """To every volume of the VMs that are hit."""

    def done(cluster: SimCluster, vms: tuple[str, ...], given: Given) -> None:
        for volume in dict.fromkeys(_volumes(cluster, vms)):
            deed(cluster, volume)

    return done


def _volumes(cluster: SimCluster, vms: tuple[str, ...]) -> Iterable[str]:
    for doc in cluster.store.ledger.shelves_by_name["vm"].docs.values():
        if doc.id in vms:
            yield from doc.volumes
