"""A host without room for what it notes: for its hold, and for anything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ave.errors import Unavailable
from ave.ha.timing import PROFILES
from ave.ha.verdict import Evidence, Watched, judge
from ave.model.alarm import Alarm
from ave.model.host import Host, HostState
from ave.ports.together import Ports
from drivers.sim.facts import Gone, Paused, Resumed, Started
from drivers.sim.runtime import SimRuntime
from drivers.sim.vigil import SimMachine
from sim.cluster import GIB, SimCluster
from sim.scenario.model import Fleet, Forever, Shape, Topology

SEED = PROFILES["seed"]
HOST = "host-5"  # no master


class Notes(SimMachine):
    """The Machine port of a host whose hold stands where there may be no room, as that of ``drivers.process`` does."""

    def hold_until(self, moment: float, epoch: int) -> None:
        if self._machine.full:
            raise Unavailable("until when VMs may run cannot be noted: No space left on device")
        super().hold_until(moment, epoch)


class Cluster(SimCluster):
    def __init__(self) -> None:
        topology = Topology(shapes=(Shape(5, 16, 64 * 1024, 0),), masters=3, zones={}, networks=("vm",))
        super().__init__(topology, seed=1, lazy=False)
        self.facts: list[Any] = []
        self.listeners.append(self.facts.append)
        self.power_on([Fleet("web", 10, 1, 1024, GIB, True, "medium", Forever())])
        self.advance(20.0)

    def ports(self, host: str, runtime: SimRuntime) -> Ports:
        return msgspec.structs.replace(super().ports(host, runtime), machine=Notes(self.machines[host], runtime))

    def __enter__(self) -> Cluster:
        return self

    def advance(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def during(self, seconds: float) -> list[Any]:
        before = len(self.facts)
        self.advance(seconds)
        return [fact for fact in self.facts[before:] if isinstance(fact, (Paused, Resumed, Gone, Started))]

    def host(self, name: str) -> Host:
        known: Host = self.store.ledger.get(Host, name)
        return known


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


def test_a_hold_for_which_there_is_no_room_for_a_while_stops_nobody_and_the_node_lives(cluster: Cluster) -> None:
    node, counter = cluster.machines[HOST].running["node"], cluster.storage.leases[HOST].counter
    cluster.machines[HOST].full = True
    assert cluster.during(SEED.give_up - 10.0) == []
    cluster.machines[HOST].full = False
    assert cluster.during(SEED.give_up + 30.0) == []
    assert cluster.machines[HOST].running["node"] is node
    assert cluster.storage.leases[HOST].counter > counter + 10
    assert cluster.host(HOST).epoch == 1


def test_a_host_that_boots_without_room_for_its_hold_joins_when_there_is_some(cluster: Cluster) -> None:
    machine = cluster.machines[HOST]
    machine.power_off()
    machine.full = True
    machine.restart(0.0, boots=False)
    cluster.advance(60.0)
    node = machine.running["node"]
    cluster.advance(SEED.verdict + 60.0)
    assert machine.running["node"] is node, "it tries again, and does not die of it"
    assert machine.guests == {}
    assert cluster.host(HOST).state is not HostState.ONLINE
    machine.full = False
    cluster.advance(60.0)
    assert machine.running["node"] is node
    assert cluster.host(HOST).epoch == 2


def test_who_finds_no_room_for_longer_than_a_lease_stops_its_vms_and_they_run_again(cluster: Cluster) -> None:
    machine = cluster.machines[HOST]
    node, vms = machine.running["node"], list(machine.guests)
    machine.full = True
    stopped = cluster.during(SEED.give_up + 2.0)
    assert [(type(fact), fact.vm) for fact in stopped] == [(Paused, vm) for vm in vms]
    cluster.advance(SEED.verdict + 60.0)
    machine.full = False
    cluster.advance(120.0)
    assert machine.running["node"] is node
    assert sorted(vm for each in cluster.machines.values() for vm in each.guests) == sorted(
        f"web-{number}" for number in range(1, 11)
    )


def test_a_host_that_says_that_it_is_full_is_unmanaged_and_no_worse() -> None:
    well = Evidence(lease=Watched(1, 0.0, False, True), lively=True, beats=True)
    full = msgspec.structs.replace(well, full=True)
    for state in (HostState.ONLINE, HostState.SUSPECT):
        host = Host(id="h", state=state, cpus=1, memory_mib=1)
        (verdict,) = judge({"h": host}, {"h": full}, SEED)
        assert (verdict.state, verdict.why) == (HostState.UNMANAGED, "its file system is full")
    unmanaged = Host(id="h", state=HostState.UNMANAGED, cpus=1, memory_mib=1)
    assert judge({"h": unmanaged}, {"h": full}, SEED) == []
    (verdict,) = judge({"h": unmanaged}, {"h": well}, SEED)
    assert verdict.state is HostState.ONLINE


def test_an_alarm_says_so_for_as_long_as_it_is(cluster: Cluster) -> None:
    for full in (True, False, True):
        cluster.machines[HOST].full = full
        cluster.advance(5.0)
        alarm = cluster.store.ledger.get(Alarm, f"full/{HOST}")
        assert (alarm is not None) is full
