"""Two zones and a witness, on a whole simulated cluster: who leads, and what becomes of a zone that is cut from the other."""

from typing import Any

import pytest

from ave.ha.timing import PROFILES
from ave.model.cluster import Role
from ave.model.group import Rule
from ave.model.host import HostState
from drivers.sim.facts import Gone, Paused, Resumed, Revoked, Started
from drivers.sim.network import Plane
from sim.cluster import GIB
from sim.faults.network import between
from sim.scenario.model import Fleet, Forever, Group, Shape, Topology
from tests.unit.hosts.lab import ALL, GIB_IN_MIB, Lab

SEED = PROFILES["seed"]
EAST, WEST, WITNESS = ("host-1", "host-2", "host-3"), ("host-4", "host-5", "host-6"), "host-7"
TOPOLOGY = Topology(
    shapes=(Shape(6, 16, 32 * GIB_IN_MIB, 0),),
    masters=5,
    zones={"east": 3, "west": 3},
    networks=("vm",),
    primary="east",
    witness=True,
)


class Cloud(Lab):
    """``near-…`` are in the primary zone, ``far-…`` in the other, from the start."""

    def __init__(self, *, seed: int = 1) -> None:
        near, far = (
            Fleet(name, 6, 1, GIB_IN_MIB, GIB, True, "medium", Forever(), groups=groups)
            for name, groups in (("near", ()), ("far", ("away",)))
        )
        away = Group(name="away", rule=Rule.PREFER_ZONE, zone="west")
        super().__init__(topology=TOPOLOGY, more=(near, far), groups=(away,), seed=seed)
        self.facts: list[Any] = []
        self.listeners.append(self.facts.append)

    def __enter__(self) -> "Cloud":
        return self

    def all_of(self, *kinds: type[Any]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kinds)]

    def in_zone(self, hosts: tuple[str, ...]) -> list[str]:
        return sorted(vm for host in hosts for vm in self.on(host))


def test_each_zone_has_two_votes_and_the_witness_has_one_and_runs_no_vm():
    shapes = TOPOLOGY.hosts()
    assert [shape.name for shape in shapes if shape.master] == ["host-1", "host-2", "host-4", "host-5", WITNESS]
    assert [shape.zone for shape in shapes] == ["east"] * 3 + ["west"] * 3 + [None]
    with Cloud() as cloud:
        witness = cloud.host(WITNESS)
        assert (witness.state, witness.memory_mib - witness.reserve_mib) == (HostState.ONLINE, 0)
        cloud.network.cut(EAST, ALL)
        cloud.settle(SEED.verdict + 30.0)
        assert cloud.on(WITNESS) == []
        assert len(cloud.in_zone(WEST)) == 12


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_primary_zone_leads_whenever_it_can(seed):
    with Cloud(seed=seed) as cloud:
        for host in EAST:
            cloud.machines[host].power_off()
        cloud.advance(60.0)
        assert cloud.storage.leader not in (None, *EAST)
        for host in EAST:
            cloud.machines[host].restart(0.0)
        cloud.advance(200.0)
        assert cloud.storage.leader in EAST
        assert cloud.store.primary in EAST
        assert cloud.doc(Role, "monitor").holder == cloud.storage.leader
        cloud.settle()


def test_when_the_line_between_the_zones_is_cut_the_primary_goes_on_and_takes_the_vms_of_the_other():
    """F42: the witness reaches both, so each zone could have a quorum with it; the one where the leaders are has it."""
    with Cloud() as cloud:
        line = between(EAST, WEST, *ALL)
        cloud.network.bar(line)
        cloud.advance(SEED.verdict + 15.0)
        assert len(cloud.in_zone(EAST)) == 12
        assert {fact.host for fact in cloud.all_of(Revoked)} == set(WEST)
        assert {fact.host for fact in cloud.all_of(Paused)} == set(WEST)
        cloud.network.lift(line)
        cloud.settle(60.0)
        assert len(cloud.in_zone(EAST)) == 12, "nothing moves back by itself"
        assert [cloud.host(host).state for host in WEST] == [HostState.ONLINE] * 3


def test_when_all_lines_are_cut_nobody_has_a_quorum_and_everybody_waits():
    """F43."""
    with Cloud() as cloud:
        near, far = cloud.in_zone(EAST), cloud.in_zone(WEST)
        cloud.network.cut(EAST, ALL)
        cloud.network.cut(WEST, ALL)
        cloud.advance(SEED.give_up + 3.0)
        assert cloud.in_zone((*EAST, *WEST)) == []
        cloud.advance(600.0)
        cloud.network.heal((*EAST, *WEST), ALL)
        cloud.advance(25.0)  # an election, and 10 s
        assert (cloud.in_zone(EAST), cloud.in_zone(WEST)) == (near, far)
        cloud.settle()
        assert cloud.all_of(Gone, Started, Revoked) == []
        assert len(cloud.all_of(Resumed)) == 12


def test_the_loss_of_the_secondary_zone_moves_no_vm_of_the_primary_one():
    """F41."""
    with Cloud() as cloud:
        near = {vm: cloud.vm(vm).host for vm in cloud.in_zone(EAST)}
        for host in WEST:
            cloud.machines[host].power_off()
        cloud.advance(SEED.verdict + 15.0)
        assert {vm: cloud.vm(vm).host for vm in near} == near
        assert [fact for fact in cloud.all_of(Gone, Paused) if fact.vm in near] == []
        assert len(cloud.in_zone(EAST)) == 12
        cloud.settle()


def test_the_loss_of_the_witness_is_no_loss():
    with Cloud() as cloud:
        cloud.machines[WITNESS].power_off()
        cloud.settle(SEED.verdict + 60.0)
        assert cloud.all_of(Gone, Paused, Started) == []
        assert cloud.host(WITNESS).state is HostState.RECOVERED


def test_a_witness_without_a_network_of_the_storage_is_no_loss_either():
    with Cloud() as cloud:
        cloud.network.cut((WITNESS,), (Plane.STORAGE,))
        cloud.settle(SEED.verdict + 60.0)
        assert cloud.all_of(Gone, Paused, Started) == []
