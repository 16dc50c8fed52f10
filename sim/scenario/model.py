"""A scenario as it is run: every default filled in, every quantity in one unit, every name known to exist."""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

import msgspec

from ave.model.group import Rule
from ave.model.settings import DEFAULTS, Settings
from sim.chance import Source, sample
from sim.scenario.catalogue import Value

Mode: TypeAlias = Literal["one", "all", "fixed", "fixed-percent"]


class Metadata(msgspec.Struct, frozen=True):
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()


WITNESS = (2, 4096, 4096)  # its CPUs, its memory, and what of that it keeps for itself


class Shape(msgspec.Struct, frozen=True):
    """So many equal hosts; ``reserve_mib`` of their memory is kept for the host itself. A limit of 0 is none."""

    hosts: int
    cpu: int
    memory_mib: int
    reserve_mib: int
    exclusive_cpus: int = 0
    nics: int = 0
    volumes: int = 0
    cpu_model: str = "any"
    networks: tuple[str, ...] = ()  # (): those of the topology


class Host(msgspec.Struct, frozen=True):
    name: str
    zone: str | None
    cpu: int
    memory_mib: int
    reserve_mib: int
    master: bool
    exclusive_cpus: int = 0
    nics: int = 0
    volumes: int = 0
    cpu_model: str = "any"
    networks: tuple[str, ...] = ()


class Topology(msgspec.Struct, frozen=True):
    """``zones``: hosts by zone, in the order of the file; empty for a cluster without zones. With a ``primary`` one it is an
    active-active cluster, and without they are only places. The ``witness`` is one host more, the last one, in no zone: a
    master that keeps all its memory for itself, so that no VM runs there."""

    shapes: tuple[Shape, ...]
    masters: int
    zones: dict[str, int]
    networks: tuple[str, ...]
    primary: str = ""
    witness: bool = False
    hardware: str = "servers"  # whose times things take: a row of drivers/sim/physics.py

    @property
    def size(self) -> int:
        return sum(shape.hosts for shape in self.shapes) + self.witness

    def hosts(self) -> tuple[Host, ...]:
        """Shape by shape and zone by zone in the order of the file; the first hosts are the masters, or with a witness that
        and the first ones of each zone."""
        shapes = [shape for shape in self.shapes for _ in range(shape.hosts)]
        zones: list[str | None] = [zone for zone, count in self.zones.items() for _ in range(count)]
        zones = zones or [None] * len(shapes)
        seen = Counter[str | None]()
        hosts = []
        for number, (shape, zone) in enumerate(zip(shapes, zones, strict=True), 1):
            seen[zone] += 1
            master = number <= self.masters if not self.witness else seen[zone] <= self.masters_of_a_zone
            hosts.append(self._host(shape, host_name(number, self.size), zone, master))
        witness = Host(host_name(self.size, self.size), None, *WITNESS, True, networks=self.networks)
        return (*hosts, witness) if self.witness else tuple(hosts)

    @property
    def masters_of_a_zone(self) -> int:
        """Beside a witness."""
        return (self.masters - 1) // len(self.zones)

    def _host(self, shape: Shape, name: str, zone: str | None, master: bool) -> Host:
        return Host(
            name,
            zone,
            shape.cpu,
            shape.memory_mib,
            shape.reserve_mib,
            master,
            shape.exclusive_cpus,
            shape.nics,
            shape.volumes,
            shape.cpu_model,
            shape.networks or self.networks,
        )


def host_name(number: int, hosts: int) -> str:
    """``host-3`` of 6, ``host-03`` of 16: names sort as numbers do."""
    return f"host-{number:0{len(str(hosts))}}"


class Poisson(msgspec.Struct, frozen=True, tag_field="dist", tag="poisson"):
    """Batches of so many VMs, at independent moments; the rate counts batches."""

    batches_per_second: float
    batch: int = 1


class Forever(msgspec.Struct, frozen=True, tag_field="dist", tag="forever"):
    pass


class Fixed(msgspec.Struct, frozen=True, tag_field="dist", tag="fixed"):
    seconds: float


class Exponential(msgspec.Struct, frozen=True, tag_field="dist", tag="exponential"):
    mean_seconds: float


class Lognormal(msgspec.Struct, frozen=True, tag_field="dist", tag="lognormal"):
    median_seconds: float
    sigma: float


Life: TypeAlias = Forever | Fixed | Exponential | Lognormal


class Fleet(msgspec.Struct, frozen=True, tag_field="kind", tag="fleet"):
    """Equal VMs ``web-1`` … ``web-40``. Without ``arrive`` they exist and run at time 0."""

    fleet: str
    count: int
    vcpu: int
    memory_mib: int
    disk_bytes: int
    ha: bool
    priority: Literal["high", "medium", "low"]
    life: Life
    arrive: Poisson | None = None
    pinned: bool = False
    cpu_model: str = "any"
    networks: tuple[str, ...] = ()  # one per NIC; (): one, in the first of the topology
    groups: tuple[str, ...] = ()


class Generator(msgspec.Struct, frozen=True, tag_field="kind", tag="generator"):
    """A made-up workload like that of a public cloud: so many VMs arriving over ``span_seconds``."""

    generator: Literal["azure"]
    fleet: str
    vms: int
    span_seconds: float | None = None


class TraceFile(msgspec.Struct, frozen=True, tag_field="kind", tag="trace"):
    """A recorded workload; ``scale`` is the share of its batches that is kept. The path is ready to open."""

    trace: str
    fleet: str
    scale: float


Workload: TypeAlias = Fleet | Generator | TraceFile


class Target(msgspec.Struct, frozen=True):
    """Either names, or a choice among all of one zone (hosts), one fleet (VMs), or all there are.

    ``value`` is a count for ``fixed`` and 0 … 100 for ``fixed-percent``.
    """

    names: tuple[str, ...] = ()
    zone: str | None = None
    fleet: str | None = None
    mode: Mode = "all"
    value: float | None = None

    def choose(self, candidates: tuple[str, ...], source: Source) -> tuple[str, ...]:
        """Who is hit, of the candidates of that zone or fleet that exist at that moment, in their order.

        Takes as many as there are if there are too few; a percentage above zero takes at least one.
        """
        if self.names:
            return tuple(name for name in candidates if name in self.names)
        return sample(source, candidates, min(self._wanted(len(candidates)), len(candidates)))

    def _wanted(self, candidates: int) -> int:
        if self.mode == "all":
            return candidates
        value = 1.0 if self.value is None else self.value
        if self.mode == "fixed-percent":
            return max(int(candidates * value / 100 + 0.5), 1 if value > 0 else 0)
        return int(value)


class Event(msgspec.Struct, frozen=True):
    """One entry of the timeline. ``parameters`` has every one its kind declares, but those without a value."""

    at: float
    kind: Literal["fault", "action"]
    name: str
    target: Target | None = None
    lasts: float | None = None
    parameters: dict[str, Value] = {}


class Group(msgspec.Struct, frozen=True):
    """A placement group that is there from the start; the fleets say who is in it."""

    name: str
    rule: Rule
    hosts: tuple[str, ...] = ()
    zone: str = ""
    enabled: bool = True


class Expectation(msgspec.Struct, frozen=True):
    """What must be true at that moment, or at the end, of a VM, of each of a fleet, of a host (the only one of ``hosts``),
    or of an alarm; everything that is given must hold."""

    vm: str = ""
    fleet: str = ""
    alarm: str = ""
    raised: bool = True
    at: float | None = None
    hosts: tuple[str, ...] = ()
    state: str = ""  # of a VM: what its domains do; of a host: what the store says
    starts: int | None = None  # how often a VM was started since time 0
    vms: int | None = None  # how many a host has, whether or not they stand still
    zone: str = ""
    apart: bool | None = None
    together: bool | None = None
    unpinned: bool | None = None
    refused: str = ""  # the filter that a refusal names


class Threshold(msgspec.Struct, frozen=True):
    """Passes if ``metric op value``; the value is in the metric's unit. ``expr`` is how it was written."""

    expr: str
    metric: str
    op: Literal["<", "<=", ">", ">=", "==", "!="]
    value: float
    severity: Literal["fail", "warn"]


class Scenario(msgspec.Struct, frozen=True):
    """``arms``: the invariants whose premise this scenario must make true at least once. Events are in time order."""

    metadata: Metadata
    mode: Literal["cluster", "capacity"]
    seed: int
    duration: float
    topology: Topology
    workload: tuple[Workload, ...] = ()
    timeline: tuple[Event, ...] = ()
    arms: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    batch: Literal["spread", "compact"] = "spread"  # how a capacity replay places those who arrive
    groups: tuple[Group, ...] = ()
    expect: tuple[Expectation, ...] = ()
    profile: str = "seed"  # of high availability: how soon a host gives up and is judged
    settings: Settings = DEFAULTS  # that hold for the whole cluster
    repeat: int = 1  # how many seeds, from its own on
    matrix: dict[
        str, tuple[str, ...]
    ] = {}  # place in the file's spec -> what stands there, as text, one after the other
