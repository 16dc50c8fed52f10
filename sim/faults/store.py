"""The store: elections, members that are cut off, and a service that is slow, behind, full or does not answer."""

from __future__ import annotations

from functools import partial

from drivers.sim.network import Cut
from sim.cluster import SimCluster
from sim.faults.fault import Fault, Given, Undo, cluster_wide, lasting
from sim.scenario.catalogue import FaultKind, Parameter


def _lose_answers(cluster: SimCluster, _: str, share: float | None) -> None:
    cluster.store.lost_answers = share or 0.0


def _seconds(given: Given) -> float:
    return float(given["seconds"])


def _isolated(cluster: SimCluster, cut: Cut) -> Undo:
    return partial(cluster.network.mend, cut)


def _step_clock(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    seconds = float(given["seconds"])
    cluster.store.step_clock(-seconds if given["back"] else seconds)


ROWS = (
    Fault(
        kind=FaultKind(
            "store-failover",
            "the store's primary steps down and another is elected",
            "store",
            (Parameter("seconds", "seconds", 0.0, 0.0, 60.0, "until it is elected; 0: as long as it takes"),),
        ),
        covers=("F30",),
        begin=lambda cluster, hosts, given: cluster.store.step_down(float(given.get("seconds", 0.0))),
    ),
    Fault(
        kind=FaultKind(
            "lost-answers",
            "some of the store's writes take effect, but their answers are lost",
            "store",
            (Parameter("share", "ratio", 0.1, 0.0, 1.0, "of all writes"),),
            True,
        ),
        covers=("F32",),
        begin=lasting("answers", lambda given: float(given["share"]), _lose_answers, of=cluster_wide),
    ),
    Fault(
        kind=FaultKind(
            "store-stale-primary",
            "the store's primary, with less than half of its members and some hosts, is cut off from the others' "
            "management network, and does not know for 10 s that it is no primary any more",
            "store",
            (Parameter("share", "ratio", 0.5, 0.0, 1.0, "of the hosts that carry no member of the store"),),
            True,
            masters=3,
        ),
        covers=("F31", "F33"),
        begin=lambda cluster, hosts, given: _isolated(cluster, cluster.store.isolate_primary(float(given["share"]))),
    ),
    Fault(
        kind=FaultKind(
            "store-minority",
            "less than half of the store's members, and not its primary, are cut off from the others' management network",
            "store",
            (),
            True,
            masters=3,
        ),
        covers=("F33",),
        begin=lambda cluster, hosts, given: _isolated(cluster, cluster.store.isolate_members()),
    ),
    Fault(
        kind=FaultKind(
            "store-lag",
            "secondaries of the store apply commits so much later, and lists are read from them",
            "store",
            (Parameter("seconds", "seconds", 60.0, 0.001, 3600.0, "behind the primary"),),
            True,
        ),
        covers=("F35",),
        begin=lasting("lag", _seconds, lambda cluster, _, late: cluster.store.set_lag(late or 0.0), of=cluster_wide),
    ),
    Fault(
        kind=FaultKind(
            "store-slow",
            "each call of the store takes so much longer; its clients wait 5 s",
            "store",
            (Parameter("seconds", "seconds", 10.0, 0.001, 600.0, "longer"),),
            True,
        ),
        covers=("F34",),
        begin=lasting(
            "delay", _seconds, lambda cluster, _, late: cluster.store.set_delay(late or 0.0), of=cluster_wide
        ),
    ),
    Fault(
        kind=FaultKind("store-full", "the store's disk is full: it refuses writes, and can be read", "store", (), True),
        covers=("F34",),
        begin=lasting(
            "full store",
            lambda given: True,
            lambda cluster, _, full: cluster.store.set_full(bool(full)),
            of=cluster_wide,
        ),
    ),
    Fault(
        kind=FaultKind(
            "store-clock-step",
            "the store's primary steps down, and the wall clock of the next one is so far off: store time steps",
            "store",
            (
                Parameter("seconds", "seconds", 60.0, 0.001, 31_536_000.0, "forward"),
                Parameter("back", "flag", False, phrase="the other way"),
            ),
        ),
        covers=("F30", "F36"),
        begin=_step_clock,
    ),
)
