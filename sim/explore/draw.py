"""One scenario by seed: a cluster, what runs on it, what its users ask for, and what befalls it. Pure: a seed and tables in,
text out.

First the *safety phase*, with faults that overlap and users who go on; then the *liveness phase*: every fault has ended, and
what is promised must come true before the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from ave.ha.timing import PROFILES
from sim.chance import Source, below, choice, exponential, happens, sample, stream, uniform
from sim.explore.bursts import bursts, hindrances
from sim.explore.calamity import Drawn, Rows, Scene, Timed
from sim.explore.plot import Cast, plots
from sim.explore.temper import Temper, temper
from sim.explore.values import Names, given, names_of, seconds
from sim.scenario.catalogue import ActionKind
from sim.scenario.model import host_name
from sim.scenario.schema import API_VERSION
from sim.scenario.write import write

BOOT_SECONDS = 100.0  # a host that was off is up again
SETTLE_SECONDS = 300.0
LIVENESS_SECONDS = BOOT_SECONDS + SETTLE_SECONDS
LEAST_HOURS = 0.25
QUIET_SECONDS = 20.0  # at the begin, until everybody has a role
FEWEST_HOSTS, MOST_HOSTS = 3, 12
HOST_GIB = (32, 64, 128)
VM_GIB = (1, 2, 4)
PACKED_SHARE, PACKED_GIB, PACKED_OF_A_HOST = 0.9, 4, 8  # VMs of so many GiB at least, or an 8th of a host
CROWD, CROWDED_HOSTS = 100, 5  # VMs of a fleet at most, where hosts have many, and hosts
FEWEST_KINDS = 3
SWITCHED_RATIO = 0.3  # of the clusters in which a switch is on
RUSH_LASTS_SECONDS = 120.0
RUSH_OF_A_HOST = (100, 50)  # volumes: so many, and up to so many more; a host has 100 hands
RUSH_STOPS, RUSH_STOPS_SECONDS = 8, 20.0  # requests to stop some VMs amid it, most of them early
MAKING_RATIO, MAKING_JOBS = 0.4, 5  # of the rushes are of new VMs; so many requests for several Jobs each
STOPS = ("vm.poweroff", "vm.shutdown")
T = TypeVar("T")

FLEETS = ("web", "db", "ci", "batch")


class Wish(msgspec.Struct, frozen=True):
    """What to draw from. ``faults`` are the rows of the table that may strike."""

    faults: Rows
    actions: tuple[ActionKind, ...]
    hours: float = 2.0


class Cluster(msgspec.Struct, frozen=True):
    hosts: tuple[str, ...]
    masters: int
    gib: int
    zones: dict[str, int]


def draw(seed: int, wish: Wish) -> str:
    """The text of a scenario file."""
    kind = temper(stream(seed, "explore/temper"))
    source = stream(seed, "explore/cluster")
    most = CROWDED_HOSTS if kind.crowded else MOST_HOSTS
    size = FEWEST_HOSTS + int((most + 1 - FEWEST_HOSTS) * source.random() ** 2)  # few large ones: they cost more
    zones = _zones(source, size)
    gib, pinning = max(HOST_GIB) if kind.crowded else choice(source, HOST_GIB), happens(source, 0.3)
    masters = 5 if size >= 5 and happens(source, 0.4) else 3
    cluster = Cluster(tuple(host_name(n, size) for n in range(1, size + 1)), masters, gib, zones)
    profile = choice(source, tuple(PROFILES)) if happens(source, 0.3) else "seed"
    groups, fleets = _workload(stream(seed, "explore/workload"), cluster, kind, pinning=pinning)
    topology: dict[str, Any] = {"hosts": size, "cpu": 32, "memory": f"{gib}GiB", "masters": masters}
    if pinning:
        topology["exclusiveCpus"] = 8
    if zones:
        topology["zones"] = zones
        if happens(source, 0.5):
            topology["primary"] = next(iter(zones))
    settings = {switch: happens(source, SWITCHED_RATIO) for switch in ("networkFailure", "guestFailure")}
    duration = wish.hours * 3600.0
    until = duration - LIVENESS_SECONDS
    names = names_of(cluster.hosts, tuple(zones), tuple(fleet["fleet"] for fleet in fleets), ("vm-net",))
    source = stream(seed, "explore/actions")
    asked = _actions(source, some(source, wish.actions, kind.actions), kind.asked_every, names, until)
    source = stream(seed, "explore/rushes")
    rushes, rushed = _rushes(source, wish.actions, size, fleets, kind.rushes, until)
    source = stream(seed, "explore/faults")
    rows = tuple(row for row in wish.faults if row.kind.masters <= masters and row.kind.zones <= len(zones))
    scene = Scene(cluster.hosts, masters, PROFILES[profile], names, [at for at, _ in asked], rushes)
    drawn = Drawn(source, scene, kind)
    span = (QUIET_SECONDS, until)
    hindrances(source, rows, drawn, span)
    if kind.plotted:
        sizes = {fleet["fleet"]: fleet["count"] for fleet in fleets}
        asked += plots(source, Cast(rows, wish.actions, cluster.hosts, sizes, names, scene.timing), drawn, span)
    else:
        bursts(source, some(source, rows, kind.faults), drawn, span)
    timeline = [entry for _, entry in sorted([*drawn.entries, *asked, *rushed], key=lambda pair: pair[0])]
    spec = {"seed": seed, "duration": seconds(duration), "profile": profile, "settings": settings, "topology": topology}
    metadata = {"name": f"explore-{seed}", "description": "drawn by its seed", "tags": ["explore"]}
    spec |= {"groups": groups, "workload": fleets, "timeline": timeline}
    return write({"apiVersion": API_VERSION, "kind": "Scenario", "metadata": metadata, "spec": spec})


def some(source: Source, kinds: tuple[T, ...], share: float) -> tuple[T, ...]:
    """So many of them, but hardly ever only one."""
    return sample(source, kinds, min(len(kinds), max(FEWEST_KINDS, round(share * len(kinds)))))


def _zones(source: Source, size: int) -> dict[str, int]:
    if size < 4 or not happens(source, 0.35):
        return {}
    first = 1 + below(source, size - 1)
    return {"a": first, "b": size - first}


def _workload(
    source: Source, cluster: Cluster, kind: Temper, *, pinning: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Placement groups and fleets. Those of time 0 fit, whatever is drawn: else nothing would be played."""
    groups: list[dict[str, Any]] = []
    fleets: list[dict[str, Any]] = []
    size = len(cluster.hosts)
    left = int(kind.full * size * (cluster.gib - 8))
    if kind.packed and not kind.crowded:
        gib = max(PACKED_GIB, cluster.gib // PACKED_OF_A_HOST)
        room = size * ((cluster.gib - 8) // gib)
        return [], [{"fleet": "web", "count": max(1, int(PACKED_SHARE * room)), "vcpu": 2, "memory": f"{gib}GiB"}]
    for name in FLEETS[: 1 + below(source, len(FLEETS))]:
        gib = 1 if kind.crowded else choice(source, VM_GIB)
        fleet: dict[str, Any] = {"fleet": name, "count": 1, "vcpu": 1 + below(source, 3), "memory": f"{gib}GiB"}
        fleet["ha"] = happens(source, 0.8)
        fleet["priority"] = choice(source, ("high", "medium", "low"))
        comes = name == "ci" or happens(source, 0.15)
        most = max(1, min(left // gib, CROWD if kind.crowded else size * 3))
        if not comes and happens(source, 0.5):
            most = min(most, max(2, size // 2))
            groups.append(_group(source, cluster, name))
            fleet["groups"] = [groups[-1]["name"]]
        if pinning and not comes and happens(source, 0.5):
            most = min(most, size)
            fleet["pinned"] = True
        fleet["count"] = 1 + below(source, most)
        if comes:
            rate = 5 + below(source, 40)
            fleet["arrive"] = {"dist": "poisson", "rate": f"{rate}/h", "batch": 1 + below(source, 4)}
            fleet["life"] = _life(source)
        else:
            left -= fleet["count"] * gib
        fleets.append(fleet)
    return groups, fleets


def _group(source: Source, cluster: Cluster, fleet: str) -> dict[str, Any]:
    """Must rules only where every VM of a fleet of half as many as hosts can keep them."""
    rules = ["prefer-different-hosts", "prefer-same-host", "prefer-hosts"]
    rules += ["must-different-hosts", "must-not-hosts", "must-hosts"]
    rule = choice(source, [*rules, "prefer-zone"] if cluster.zones else rules)
    group: dict[str, Any] = {"name": f"{fleet}-rule", "rule": rule}
    if rule.endswith("zone"):
        group["zone"] = choice(source, tuple(cluster.zones))
    elif rule == "must-hosts":
        group["hosts"] = list(sample(source, cluster.hosts, (2 * len(cluster.hosts) + 2) // 3))
    elif rule in ("prefer-hosts", "must-not-hosts"):
        group["hosts"] = [choice(source, cluster.hosts)]
    return group


def _life(source: Source) -> dict[str, Any]:
    median = uniform(source, 60.0, 1800.0)
    drawn = below(source, 3)
    if drawn == 0:
        return {"dist": "fixed", "value": seconds(median)}
    if drawn == 1:
        return {"dist": "exponential", "mean": seconds(median)}
    return {"dist": "lognormal", "median": seconds(median), "sigma": 0.8}


def _actions(source: Source, kinds: tuple[ActionKind, ...], every: float, names: Names, until: float) -> list[Timed]:
    """What users ask for, at independent moments; now and then several at once."""
    asked = []
    at = QUIET_SECONDS
    while kinds:
        at += 0.1 if happens(source, 0.2) else exponential(source, every)
        if at >= until:
            break
        kind = choice(source, kinds)
        entry: dict[str, Any] = {"at": seconds(at), "action": kind.name}
        if kind.target == "vm":
            entry["target"] = aimed_at_vms(source, names["fleet"])
        elif kind.target in ("host", "hosts"):
            entry["target"] = choice(source, names["host"]) if happens(source, 0.5) else {"mode": "one"}
        asked.append((at, entry | given(source, kind.parameters, names)))
    return asked


def _rushes(
    source: Source, kinds: tuple[ActionKind, ...], hosts: int, fleets: list[dict[str, Any]], many: int, until: float
) -> tuple[list[float], list[Timed]]:
    """So often more is asked for at once than hosts have hands, and VMs are to be stopped amid it; or many are made."""
    known = [kind.name for kind in kinds]
    begun: list[float] = []
    entries: list[Timed] = []
    for _ in range(many if all(name in known for name in ("vm.create", "volume.create", *STOPS)) else 0):
        at = uniform(source, QUIET_SECONDS, until - RUSH_LASTS_SECONDS)
        begun.append(at)
        entries += _making(source, at, fleets) if happens(source, MAKING_RATIO) else _crowding(source, at, hosts)
    return begun, entries


def _making(source: Source, at: float, fleets: list[dict[str, Any]]) -> Iterator[Timed]:
    fleet = choice(source, fleets)["fleet"]
    for number in range(MAKING_JOBS):
        then = at + 0.02 * number
        yield (
            then,
            {"at": seconds(then), "action": "vm.create", "fleet": fleet, "count": 4 + below(source, 5), "jobs": 3},
        )


def _crowding(source: Source, at: float, hosts: int) -> Iterator[Timed]:
    least, more = RUSH_OF_A_HOST
    volumes = {"name": "rush", "count": hosts * (least + below(source, more)), "size": 1}
    yield at, {"at": seconds(at), "action": "volume.create", **volumes}
    for number in range(1, RUSH_STOPS + 1):
        then = at + RUSH_STOPS_SECONDS * (number / RUSH_STOPS) ** 2
        target = {"mode": "fixed", "value": 2 + below(source, 3)}
        yield then, {"at": seconds(then), "action": choice(source, STOPS), "target": target}


def aimed_at_vms(source: Source, fleets: tuple[str, ...]) -> dict[str, Any]:
    """A few: who deletes half of them at once leaves nothing to watch."""
    drawn = source.random()
    target: dict[str, Any] = {"mode": "one"} if drawn < 0.6 else {"mode": "fixed", "value": 2 + below(source, 3)}
    if happens(source, 0.3):
        target = {"mode": "one", "fleet": choice(source, fleets)}
    return target
