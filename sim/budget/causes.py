"""What befalls a host, how often and for how long: the assumptions of the budget. Edit the tables, and measure again."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ave.ha.timing import Timing
from sim.chance import Curve, Source, choice, uniform
from sim.scenario.model import Event, Target, host_name

HOSTS, MASTERS = 6, 3
LEADER = host_name(1, HOSTS)  # of the storage, and with it of the VM Monitor, until somebody deposes it
OTHERS = tuple(host_name(number, HOSTS) for number in range(2, HOSTS + 1))
WORKERS = OTHERS[MASTERS - 1 :]  # beside a lost master, one of them can be lost and the quorum remains
FIRST_SECONDS = (60.0, 90.0)  # when the first thing happens: anywhere between two looks, renewals and commits

VMS = 10  # whose processes die in one run

Strike = Callable[[Source, Timing], tuple[Event, ...]]


class Failure(msgspec.Struct, frozen=True):
    """What does not pass by itself. ``per_year``: how often it befalls a host; or a service, or a VM, if it says so."""

    name: str
    what: str
    per_year: float
    source: str
    strike: Strike


class Blip(msgspec.Struct, frozen=True):
    """What would have passed by itself."""

    name: str
    fault: str
    per_host_year: float
    lengths: Curve  # seconds
    source: str


def event(fault: str, at: float, host: str = "", lasts: float | None = None) -> Event:
    """Of a fault without parameters."""
    return Event(at=at, kind="fault", name=fault, target=Target(names=(host,)) if host else None, lasts=lasts)


def _host(fault: str, lasts: float | None = None, hosts: tuple[str, ...] = OTHERS) -> Strike:
    """It befalls a host that does not lead."""

    def strike(source: Source, timing: Timing) -> tuple[Event, ...]:
        at = uniform(source, *FIRST_SECONDS)
        return (event(fault, at, choice(source, hosts), lasts),)

    return strike


def _service(fault: str) -> Strike:
    return lambda source, timing: (event(fault, uniform(source, *FIRST_SECONDS)),)


def _vms(source: Source, timing: Timing) -> tuple[Event, ...]:
    at = uniform(source, *FIRST_SECONDS)
    return (Event(at=at, kind="fault", name="vm-crash", target=Target(mode="fixed", value=VMS)),)


def _leader(source: Source, timing: Timing) -> tuple[Event, ...]:
    return (event("host-crash", uniform(source, *FIRST_SECONDS), LEADER),)


def _with_failover(source: Source, timing: Timing) -> tuple[Event, ...]:
    """The store fails over while the verdict is awaited, or when the rescue has begun."""
    (lost,) = _host("host-crash")(source, timing)
    return (lost, event("store-failover", lost.at + uniform(source, 0.0, timing.verdict + 5.0)))


def _with_leader(source: Source, timing: Timing) -> tuple[Event, ...]:
    """The one who watches is lost before its verdict."""
    (lost,) = _host("host-crash", hosts=WORKERS)(source, timing)
    return (lost, event("host-crash", lost.at + uniform(source, 0.0, timing.verdict), LEADER))


POWER_LOSS, LEADER_LOSS = "power loss", "leader loss"  # together: any host loses power

FAILURES = (
    Failure(
        POWER_LOSS,
        "a host that does not lead loses power, and stays off",
        0.083,
        "guess: 0.1, and five of six hosts do not lead; 8 % of servers had a hardware fault in a year "
        "(Vishwanath and Nagappan, SoCC 2010)",
        _host("host-crash"),
    ),
    Failure(
        "reboot",
        "a host resets itself, and boots for 40 to 90 s",
        0.5,
        "guess",
        _host("host-crash", lasts=0.001),
    ),
    Failure("isolation", "a host reaches nobody on any network", 0.1, "guess", _host("partition")),
    Failure("storage loss", "a host does not reach the storage", 0.1, "guess", _host("storage-loss")),
    Failure("host stall", "everything on a host stands still", 0.1, "guess", _host("host-stall")),
    Failure(
        LEADER_LOSS,
        "the host that leads the storage, and so watches the others, loses power",
        0.017,
        "guess: 0.1, and one of six hosts leads",
        _leader,
    ),
    Failure(
        "power loss, store fails over",
        "a host loses power, and the store fails over before its VMs run again",
        0.01,
        "guess",
        _with_failover,
    ),
    Failure(
        "power loss, then leader loss",
        "a host loses power, and before the verdict so does the one that leads; the VMs of both",
        0.01,
        "guess",
        _with_leader,
    ),
    Failure("VM process dies", "kill -9 of a VM's process, on a host that is well", 0.05, "guess: per VM", _vms),
    Failure("store failover", "the store's primary steps down; all VMs", 1.0, "guess", _service("store-failover")),
    Failure("storage failover", "the storage's meta leader dies; all VMs", 1.0, "guess", _service("storage-failover")),
    Failure(
        "management loss",
        "a host reaches the storage, and nothing else; all VMs",
        0.5,
        "guess",
        _host("management-loss"),
    ),
)

BLIPS = (
    Blip("link flaps", "partition", 2.0, Curve((0.0, 0.5, 0.9, 1.0), (1.0, 5.0, 20.0, 40.0)), "guess"),
    Blip(
        "spanning tree converges",
        "partition",
        0.5,
        Curve((0.0, 1.0), (30.0, 50.0)),
        "rate: guess; length: two forward delays of 15 s, and up to 20 s of message age before them (IEEE 802.1D)",
    ),
    Blip(
        "bond waits for its partner",
        "partition",
        0.2,
        Curve((0.0, 1.0), (60.0, 90.0)),
        "rate: guess; length: three slow periods of 30 s, the first under way (IEEE 802.1AX)",
    ),
    Blip("switch restarts", "partition", 0.2, Curve((0.0, 0.5, 0.9, 1.0), (60.0, 120.0, 240.0, 600.0)), "guess"),
    Blip(
        "storage path fails over", "storage-loss", 0.5, Curve((0.0, 0.5, 0.9, 1.0), (5.0, 30.0, 80.0, 150.0)), "guess"
    ),
    Blip("host stalls", "host-stall", 1.0, Curve((0.0, 0.7, 0.95, 1.0), (1.0, 15.0, 60.0, 180.0)), "guess"),
)
assert len(BLIPS) <= HOSTS, "each befalls a host of its own"
