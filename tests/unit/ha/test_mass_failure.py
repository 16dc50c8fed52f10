"""Many hosts fall silent at once, on whole simulated clusters: a disaster is rescued, a glitch is waited for."""

from typing import Any

import pytest

from ave.ha.holding import ALARM, WHY
from ave.ha.timing import PROFILES
from ave.model.alarm import Alarm
from ave.model.host import HostState
from drivers.sim.facts import Gone, Paused, Resumed, Revoked, Started
from drivers.sim.network import Plane
from sim.faults import begin
from sim.scenario.model import Shape, Topology
from tests.unit.hosts.lab import ALL, Lab

SEED = PROFILES["seed"]
HOSTS, VMS = 8, 16
HALF = ("host-5", "host-6", "host-7", "host-8")  # no master among them


class Cloud(Lab):
    def __init__(self, *, masters: int = 3) -> None:
        topology = Topology(shapes=(Shape(HOSTS, 16, 32 * 1024, 0),), masters=masters, zones={}, networks=("vm",))
        super().__init__(topology=topology, fleets={"web": (VMS, 1, True)})
        self.facts: list[Any] = []
        self.listeners.append(self.facts.append)

    def __enter__(self) -> "Cloud":
        return self

    def all_of(self, *kinds: type[Any]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kinds)]

    def running(self) -> int:
        return sum(len(self.on(host)) for host in self.machines)


@pytest.mark.parametrize("how", ["power", "partition"])
def test_half_of_the_hosts_lost_with_their_power_or_their_networks_are_rescued_in_time(how):
    with Cloud() as cloud:
        if how == "power":
            for host in HALF:
                cloud.machines[host].power_off()
        else:
            cloud.network.cut(HALF, ALL)
        cloud.advance(SEED.verdict + 15.0)
        assert sum(len(cloud.on(host)) for host in cloud.machines if host not in HALF) == VMS
        assert {fact.host for fact in cloud.all_of(Revoked)} == set(HALF)
        cloud.settle()


def test_when_the_store_hears_of_nobody_half_of_the_hosts_without_storage_are_waited_for():
    """The disk of the store is full and a switch of the storage is down: two silences at once that are no host's fault."""
    with Cloud() as cloud:
        there = {host: cloud.on(host) for host in HALF}
        cloud.store.set_full(True)
        cloud.advance(30.0)
        cloud.network.cut(HALF, (Plane.STORAGE,))
        cloud.advance(3 * SEED.verdict)
        assert cloud.all_of(Revoked, Gone, Started) == []
        assert cloud.running() == VMS - sum(map(len, there.values()))
        cloud.network.heal(HALF, (Plane.STORAGE,))
        cloud.advance(10.0)
        assert {host: cloud.on(host) for host in HALF} == there
        cloud.store.set_full(False)
        cloud.settle()
        assert cloud.all_of(Revoked, Gone, Started) == []


def test_a_leader_that_hears_nobody_but_itself_judges_nobody_and_says_so():
    """Its own cable is pulled, and it is the only one that may lead: to it, all others are silent everywhere."""
    with Cloud(masters=1) as cloud:
        there = {host: cloud.on(host) for host in cloud.machines}
        cloud.network.cut(("host-1",), ALL)
        cloud.advance(3 * SEED.verdict)
        alarm = cloud.doc(Alarm, ALARM)
        assert alarm.what.startswith("7 of 8 hosts fell silent together and are not judged for it: host-2, ")
        assert [line for line in cloud.host("host-6").story if WHY in line] == [f"suspect: {WHY}"]
        assert cloud.host("host-6").state is HostState.SUSPECT

        cloud.network.heal(("host-1",), ALL)
        cloud.settle(30.0)
        assert {host: cloud.on(host) for host in cloud.machines} == there
        assert cloud.all_of(Revoked, Gone, Started) == []
        assert cloud.doc(Alarm, ALARM) is None


def test_a_leader_that_takes_over_says_that_a_mass_failure_is_over():
    with Cloud(masters=1) as cloud:
        cloud.network.cut(("host-1",), ALL)
        cloud.advance(SEED.verdict + 10.0)
        assert cloud.doc(Alarm, ALARM) is not None
        begin(cloud, "process-kill", ("host-1",), {"process": "node"}, lasting=False)
        cloud.network.heal(("host-1",), ALL)
        cloud.settle(60.0)
        assert cloud.doc(Alarm, ALARM) is None
        assert cloud.running() == VMS


def test_when_nobody_has_the_storage_all_pause_none_is_killed_nothing_is_started_and_all_resume():
    with Cloud() as cloud:
        there = {host: cloud.on(host) for host in cloud.machines}
        for host in cloud.machines:
            cloud.network.cut((host,), (Plane.STORAGE,))
        cloud.advance(SEED.give_up + 3.0)
        assert cloud.running() == 0
        cloud.advance(300.0)
        cloud.network.heal(tuple(cloud.machines), (Plane.STORAGE,))
        cloud.advance(25.0)  # an election of the storage's meta leader, and 10 s
        assert {host: cloud.on(host) for host in cloud.machines} == there
        cloud.settle()
        assert cloud.all_of(Revoked, Gone, Started) == []
        assert len(cloud.all_of(Paused)) == len(cloud.all_of(Resumed)) == VMS
