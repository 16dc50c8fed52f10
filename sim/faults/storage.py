"""Disks of hosts, and the storage: its meta service, its targets, its volumes, and the hosts' ways to them."""

from __future__ import annotations

from typing import TypeVar

from ave.ha.timing import RENEW_SECONDS
from drivers.sim.facts import Disturbed
from drivers.sim.runtime import SimRuntime
from drivers.sim.storage import Flaw
from sim.cluster import SimCluster
from sim.faults.fault import Begin, Fault, Given, cluster_wide, lasting, volumes
from sim.scenario.catalogue import FaultKind, Parameter

V = TypeVar("V")
RENEWED_SECONDS = RENEW_SECONDS + 1.0  # by then a hold is written anew, if the lease can be renewed
_FACTOR = Parameter("factor", "ratio", 10.0, 1.0, 10_000.0, "times slower")


def _factor(given: Given) -> float:
    return float(given["factor"])


def _yes(given: Given) -> bool:
    return True


def _set_slow(cluster: SimCluster, host: str, factor: float | None) -> None:
    cluster.machines[host].disk_factor = factor or 1.0
    _note(cluster.store.slow, host, factor)


def _set_way(cluster: SimCluster, host: str, factor: float | None) -> None:
    _note(cluster.storage.slow, host, factor)


def _set_flaw(cluster: SimCluster, volume: str, flaw: Flaw | None) -> None:
    _note(cluster.storage.flaws, volume, flaw)


def _note(notes: dict[str, V], name: str, value: V | None) -> None:
    if value is None:
        notes.pop(name, None)
    else:
        notes[name] = value


def _set_read_only(cluster: SimCluster, host: str, read_only: bool | None) -> None:
    cluster.machines[host].read_only = bool(read_only)


def _set_no_room(cluster: SimCluster, host: str, full: bool | None) -> None:
    cluster.machines[host].full = bool(full)


def _tear_hold(cluster: SimCluster, hosts: tuple[str, ...], given: Given) -> None:
    runtime = SimRuntime(cluster.world, f"torn hold of {','.join(hosts)}")
    for host in hosts:
        cluster.machines[host].tear_hold()

    async def be_over() -> None:
        await runtime.sleep(RENEWED_SECONDS)
        cluster.witness(Disturbed("torn-hold", hosts, over=True))

    runtime.spawn(be_over(), name="over")


def _hold_writes(cluster: SimCluster, host: str, held: bool | None) -> None:
    initiator = cluster.machines[host].initiator
    if held:
        initiator.hold()
    else:
        initiator.release()


def _set_quorum(cluster: SimCluster, _: str, lost: bool | None) -> None:
    if lost:
        cluster.storage.lose_quorum()
    else:
        cluster.storage.regain_quorum()


def _set_full(cluster: SimCluster, _: str, full: bool | None) -> None:
    cluster.storage.full = bool(full)


def _flawed(flaw: Flaw) -> Begin:
    # What is never answered fails no more: of both flaws, silence is in force.
    return lasting(
        "flaw", lambda given: flaw, _set_flaw, of=volumes, worst=lambda flaws: max(flaws, key=list(Flaw).index)
    )


ROWS = (
    Fault(
        kind=FaultKind("slow-disk", "the host's disk is so many times slower", "host", (_FACTOR,), True),
        covers=("F21", "F34"),
        begin=lasting("disk", _factor, _set_slow),
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
        begin=lasting("file system", _yes, _set_read_only),
        harms=True,
    ),
    Fault(
        kind=FaultKind(
            "fs-full",
            "the host's own file system is full: what runs there runs on, and nothing is done to its VMs that must be noted "
            "there",
            "host",
            (),
            True,
        ),
        covers=("F29",),
        begin=lasting("room", _yes, _set_no_room),
    ),
    Fault(
        kind=FaultKind(
            "torn-hold",
            "a bit flips in the host's note until when VMs may run: who starts there believes nothing, and pauses "
            "them until the next renewal writes it anew",
            "host",
        ),
        covers=("F60",),
        harms=True,
        begin=_tear_hold,
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
        begin=lasting("way", _factor, _set_way),
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
        begin=_flawed(Flaw.ERROR),
        harms=True,
    ),
    Fault(
        kind=FaultKind("volume-silent", "no write to the volumes of the VM is ever answered", "vm", (), True),
        covers=("F22",),
        begin=_flawed(Flaw.SILENT),
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
        begin=lasting("writes", _yes, _hold_writes),
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
        begin=lasting("quorum", _yes, _set_quorum, of=cluster_wide),
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
        begin=lasting("full storage", _yes, _set_full, of=cluster_wide),
        harms=True,
    ),
)
