"""Hosts that reach some hosts and not others, one way and not the other, late, or only now and then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from drivers.sim.network import Barrier, Line, Plane
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.faults.fault import Begin, Fault, Given, Undo, lasting
from sim.faults.power import zone_of
from sim.scenario.catalogue import FaultKind, Parameter

BOTH = (Plane.MANAGEMENT, Plane.STORAGE)
Barriers = Callable[[SimCluster, tuple[str, ...], Given], list[Barrier]]

_ZONE = Parameter("zone", "text")
_PERIOD = Parameter("period", "seconds", 20.0, 0.1, 600.0, "half of it cut, half of it well")


def _cut(*planes: Plane) -> Begin:
    """Each host from all others."""
    return lambda cluster, hosts, given: _apart(cluster, hosts, planes)


def _part(*planes: Plane) -> Begin:
    """These hosts, together, from the rest."""
    return lambda cluster, hosts, given: partial(cluster.network.mend, cluster.network.cut(hosts, planes))


def _apart(cluster: SimCluster, hosts: tuple[str, ...], planes: tuple[Plane, ...]) -> Undo:
    cuts = [cluster.network.cut((host,), planes) for host in hosts]

    def undo() -> None:
        for cut in cuts:
            cluster.network.mend(cut)

    return undo


def _bar(barriers: Barriers) -> Begin:
    def begin(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> Undo:
        walls = barriers(cluster, hosts, given)
        cluster.network.bar(walls)
        return partial(cluster.network.lift, walls)

    return begin


def _deaf(plane: Plane) -> Barriers:
    return lambda cluster, hosts, given: [Barrier(plane, receivers=(host,)) for host in hosts]


def _mute(plane: Plane) -> Barriers:
    return lambda cluster, hosts, given: [Barrier(plane, senders=(host,)) for host in hosts]


def between(ones: tuple[str, ...], others: tuple[str, ...], *planes: Plane) -> list[Barrier]:
    return [Barrier(plane, *ways) for plane in planes for ways in ((ones, others), (others, ones))]


def _link(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> list[Barrier]:
    other = next(name for name in cluster.machines if _same(name, str(given["host"])))
    return between(hosts, (other,), *BOTH)


def _same(one: str, other: str) -> bool:
    """``host-3`` is ``host-03`` where there are ten or more."""
    return int(one.rpartition("-")[2]) == int(other.rpartition("-")[2])


def _zones(cluster: SimCluster) -> list[tuple[str, ...]]:
    return [zone_of(cluster, {"zone": zone}) for zone in cluster.topology.zones]


def _all_zones(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> list[Barrier]:
    zones = _zones(cluster)
    return [wall for place, one in enumerate(zones) for two in zones[place + 1 :] for wall in between(one, two, *BOTH)]


def _two_zones(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> list[Barrier]:
    """The zone and the next one: with a witness in a third, both still reach that."""
    names = list(cluster.topology.zones)
    other = names[(names.index(str(given["zone"])) + 1) % len(names)]
    return between(zone_of(cluster, given), zone_of(cluster, {"zone": other}), *BOTH)


def _strain(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> Undo:
    line = Line(float(given.get("share", 0.0)), float(given.get("seconds", 0.0)))
    for host in hosts:
        cluster.network.strain(host, line)

    def undo() -> None:
        for host in hosts:
            cluster.network.relieve(host, line)

    return undo


def _fall_silent(cluster: SimCluster, host: str, silent: bool | None) -> None:
    if silent:
        cluster.network.half_open[host] = None
    else:
        del cluster.network.half_open[host]


_silent = lasting("connections", lambda given: True, _fall_silent)


def _half_open(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> Undo:
    heard, mended = _silent(cluster, hosts, given), _apart(cluster, hosts, BOTH)

    def undo() -> None:
        heard()
        mended()

    return undo


def _flap(plane: Plane) -> Begin:
    def begin(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> Undo:
        runtime = SimRuntime(cluster.world, f"{plane} flaps of {','.join(hosts)}")
        whole: Undo = lambda: None  # noqa: E731 - until it is cut for the first time

        async def flap() -> None:
            nonlocal whole
            while True:
                whole = _apart(cluster, hosts, (plane,))
                await runtime.sleep(float(given["period"]) / 2)
                whole()
                await runtime.sleep(float(given["period"]) / 2)

        flapping = runtime.spawn(flap(), name="flaps")

        def undo() -> None:
            flapping.cancel()
            whole()

        return undo

    return begin


_DELAY = Parameter("seconds", "seconds", 0.1, 0.001, 0.9, "each way")

ROWS = (
    Fault(
        kind=FaultKind("partition", "the hosts, together, reach none of the others on any network", "hosts", (), True),
        covers=("F10", "F11", "F33"),
        begin=_part(*BOTH),
        harms=True,
    ),
    Fault(
        kind=FaultKind("storage-loss", "the host does not reach the storage", "host", (), True),
        covers=("F12",),
        begin=_cut(Plane.STORAGE),
        harms=True,
    ),
    Fault(
        kind=FaultKind("management-loss", "the host does not reach the store and the other hosts", "host", (), True),
        covers=("F13",),
        begin=_cut(Plane.MANAGEMENT),
    ),
    Fault(
        kind=FaultKind(
            "storage-deaf",
            "the storage's answers do not arrive at the host; what it sends arrives until it knows",
            "host",
            (),
            True,
        ),
        covers=("F14",),
        begin=_bar(_deaf(Plane.STORAGE)),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "storage-mute", "nothing that the host sends arrives at the storage; it could hear it", "host", (), True
        ),
        covers=("F14",),
        begin=_bar(_mute(Plane.STORAGE)),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "management-deaf",
            "nothing from the store and the other hosts arrives at the host; what it sends arrives until it knows",
            "host",
            (),
            True,
        ),
        covers=("F14", "F32"),
        begin=_bar(_deaf(Plane.MANAGEMENT)),
    ),
    Fault(
        kind=FaultKind(
            "management-mute",
            "nothing that the host sends arrives at the store and the other hosts; it could hear them",
            "host",
            (),
            True,
        ),
        covers=("F14",),
        begin=_bar(_mute(Plane.MANAGEMENT)),
    ),
    Fault(
        kind=FaultKind(
            "link-cut",
            "the hosts and one other do not reach each other; both reach all the rest",
            "hosts",
            (Parameter("host", "text", phrase="the other"),),
            True,
        ),
        covers=("F15", "F16"),
        begin=_bar(_link),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "zone-link-cut",
            "the zone and the next one do not reach each other; both reach the witness, if there is a third",
            "none",
            (_ZONE,),
            True,
            zones=2,
        ),
        covers=("F42",),
        begin=_bar(_two_zones),
        harms=True,
    ),
    Fault(
        kind=FaultKind("zones-apart", "no zone reaches another one", "none", (), True, zones=2),
        covers=("F43",),
        begin=_bar(_all_zones),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "packet-loss",
            "the host's line loses packets both ways: they are sent again, later and later; streams are slow",
            "host",
            (Parameter("share", "ratio", 0.05, 0.001, 0.3, "of all packets"),),
            True,
        ),
        covers=("F17",),
        begin=_strain,
    ),
    Fault(
        kind=FaultKind(
            "network-delay",
            "everything that the host sends or is sent takes so much longer, but its lease can be renewed",
            "host",
            (_DELAY,),
            True,
        ),
        covers=("F17",),
        begin=_strain,
    ),
    Fault(
        kind=FaultKind(
            "network-crawl",
            "everything that the host sends or is sent takes so much longer: too long to renew a lease",
            "host",
            (Parameter("seconds", "seconds", 2.0, 1.1, 10.0, "each way"),),
            True,
        ),
        covers=("F17",),
        begin=_strain,
        harms=True,
    ),
    Fault(
        kind=FaultKind("storage-flap", "the host reaches the storage and does not, by turns", "host", (_PERIOD,), True),
        covers=("F18",),
        begin=_flap(Plane.STORAGE),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "management-flap",
            "the host reaches the store and the other hosts and does not, by turns",
            "host",
            (_PERIOD,),
            True,
        ),
        covers=("F18",),
        begin=_flap(Plane.MANAGEMENT),
    ),
    Fault(
        kind=FaultKind(
            "half-open",
            "the host reaches nobody and nobody says so: its connections stay open, and silent until a deadline",
            "host",
            (),
            True,
        ),
        covers=("F19",),
        begin=_half_open,
        harms=True,
    ),
)
