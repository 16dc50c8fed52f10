"""What a fault is: how it begins, how it ends if it can, whose VMs may stop because of it, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from drivers.sim.machine import Machine
from sim.cluster import SimCluster
from sim.scenario.catalogue import FaultKind, Value

Given = Mapping[str, Value]
Undo = Callable[[], None]
Begin = Callable[
    [SimCluster, tuple[str, ...], Given], Undo | None
]  # (the cluster, the names of whom it hits, parameters)
V = TypeVar("V")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """``who`` finds whom it hits at the moment when it begins, if no target says so. One that lasts ends by what its begin
    answers, which undoes that and nothing else: another one like it may have begun before, and end later."""

    kind: FaultKind
    covers: tuple[str, ...]  # numbers of the fault catalogue
    begin: Begin
    harms: bool = False  # may the VMs that it hits, or those of the hosts that it hits, stop because of it?
    who: Callable[[SimCluster, Given], tuple[str, ...]] | None = None


def each(deed: Callable[[Machine, Given], None]) -> Begin:
    """To every host that is hit, at once and for good."""

    def begin(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
        for host in hosts:
            deed(cluster.machines[host], given)

    return begin


def each_guest(deed: Callable[[Machine, str], None]) -> Begin:
    """To every VM that is hit, where it is, at once and for good."""

    def begin(cluster: SimCluster, vms: tuple[str, ...], given: Given) -> None:
        for machine, vm in places(cluster, vms):
            deed(machine, vm)

    return begin


def lasting(
    what: str,
    value: Callable[[Given], V],
    settle: Callable[[SimCluster, Any, V | None], None],
    *,
    of: Callable[[SimCluster, tuple[str, ...]], Iterable[Hashable]] = lambda cluster, names: names,
    worst: Callable[[Sequence[Any]], Any] = max,
) -> Callable[[SimCluster, tuple[str, ...], Given], Undo]:
    """``what`` of each of these is worse until the fault ends. Of several such faults at once the worst value is in force:
    ``settle`` sees to that, with None once the last has ended. ``of`` names the things that are hit, if not by their host."""

    def begin(cluster: SimCluster, names: tuple[str, ...], given: Given) -> Undo:
        mine = value(given)
        things = tuple(dict.fromkeys(of(cluster, names)))

        def change(deed: Callable[[list[V]], None]) -> None:
            for thing in things:
                values: list[V] = cluster.impaired.setdefault((what, thing), [])
                before = worst(values) if values else None
                deed(values)
                after = worst(values) if values else None
                if after != before:
                    settle(cluster, thing, after)

        change(lambda values: values.append(mine))
        return lambda: change(lambda values: values.remove(mine))

    return begin


def cluster_wide(cluster: SimCluster, names: tuple[str, ...]) -> tuple[str, ...]:
    """There is one of it, whoever is hit."""
    return ("",)


def places(cluster: SimCluster, vms: tuple[str, ...]) -> list[tuple[Machine, str]]:
    """Where these VMs are."""
    return [(machine, vm) for machine in cluster.machines.values() for vm in vms if vm in machine.guests]


def volumes(cluster: SimCluster, vms: tuple[str, ...]) -> list[str]:
    docs = cluster.store.ledger.shelves_by_name["vm"].docs.values()
    return [volume for doc in docs if doc.id in vms for volume in doc.volumes]
