"""Leases that are counted and leases that are renewed beat by beat tell one story, whatever befalls the hosts."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from ave.ha.timing import PROFILES, RENEW_SECONDS, TICK_SECONDS
from ave.model.host import Host
from ave.ports.block import Grant
from ave.ports.store import Commit
from drivers.sim.block import SimBlock
from drivers.sim.facts import Deposed, Elected, Gone, Joined, Paused, Resumed, Revoked, Started
from drivers.sim.network import Network, Plane
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.storage import Storage
from sim.cluster import GIB, SimCluster
from sim.scenario.model import Fleet, Forever, Shape, Topology

TROUBLES = 5  # of one story
BEGIN, PERIOD, SETTLED = 30.0, 160.0, 400.0
SEED = PROFILES["seed"]
HOSTS = tuple(f"host-{number}" for number in range(1, 7))
MASTERS = 3
NODE = "node"
# Pausing follows the host's own clock; a verdict, and what follows from it, the monitor's look, which may come just before
# or just after a renewal, and another tick later it acts.
TOLERANCE = 2 * TICK_SECONDS + 0.1
FACTS = (Paused, Resumed, Revoked, Joined, Gone, Started, Deposed, Elected)

Entry = tuple[str, float]  # what happened, when


class Cluster(SimCluster):
    def __init__(self, *, lazy: bool, seed: int) -> None:
        topology = Topology(shapes=(Shape(len(HOSTS), 16, 200 * 1024, 0),), masters=MASTERS, zones={}, networks=("vm",))
        super().__init__(topology, seed=seed, lazy=lazy)
        self.told: list[Entry] = []
        self.listeners.append(self._saw)
        self.store.ledger.listeners.append(self._committed)
        self.power_on([Fleet("web", 6, 1, 1024, GIB, True, "medium", Forever())])

    def __enter__(self) -> Cluster:
        return self

    def _saw(self, fact: Any) -> None:
        if isinstance(fact, FACTS):
            who = getattr(fact, "vm", "") or getattr(fact, "host", "") or getattr(fact, "leader", "")
            self.told.append((f"{type(fact).__name__} {who} {getattr(fact, 'epoch', '')}", self.world.now))

    def _committed(self, commit: Commit) -> None:
        for _, id, doc in commit.changes:
            if isinstance(doc, Host):
                self.told.append((f"{id} {doc.state} {doc.epoch}", self.world.now))


def cut(*planes: Plane) -> Callable[[Cluster, str, float], Callable[[], None]]:
    def begin(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
        cluster.network.cut((host,), planes)
        return lambda: cluster.network.heal((host,), planes)

    return begin


def stall(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
    cluster.machines[host].stall()
    return cluster.machines[host].unstall


def halt(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
    """The node hangs; its guard does not."""
    node = cluster.machines[host].running[NODE]
    node.halt()
    return node.resume


def crash(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
    cluster.machines[host].power_off()
    return cluster.machines[host].power_on


def kill(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
    cluster.machines[host].kill(NODE)
    return lambda: None


def drift(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
    cluster.machines[host].clock.drift(0.999 + 0.002 * draw)
    return lambda: cluster.machines[host].clock.drift(1.0)


def step(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
    cluster.machines[host].clock.step(100.0 * draw)
    return lambda: None


def step_down(cluster: Cluster, host: str, draw: float) -> Callable[[], None]:
    cluster.storage.step_down()
    return lambda: None


DEEDS = (cut(Plane.STORAGE), cut(Plane.STORAGE, Plane.MANAGEMENT), stall, halt, crash, kill, drift, step, step_down)


def story(seed: int, *, lazy: bool) -> tuple[list[Entry], int]:
    """What is told of a few troubles drawn from the seed, and how many events it took."""
    source = Random(f"troubles/{seed}")
    with Cluster(lazy=lazy, seed=seed) as cluster:
        for number in range(TROUBLES):
            at = BEGIN + number * PERIOD + source.uniform(0.0, 2 * RENEW_SECONDS)
            deed, host = source.choice(DEEDS), source.choice(HOSTS)
            lasts, draw = source.uniform(1.0, SEED.verdict + 30.0), source.random()
            cluster.world.advance(at)
            end = deed(cluster, host, draw)
            cluster.world.advance(at + lasts)
            end()
        cluster.world.advance(BEGIN + TROUBLES * PERIOD + SETTLED)
        return sorted(cluster.told), cluster.world.steps


@pytest.mark.parametrize("seed", range(12))
def test_lazy_and_beat_by_beat_tell_the_same(seed):
    (lazy, few), (beats, many) = story(seed, lazy=True), story(seed, lazy=False)
    assert [what for what, _ in lazy] == [what for what, _ in beats]
    for (what, one), (_, other) in zip(lazy, beats, strict=True):
        assert abs(one - other) < TOLERANCE, what
    assert few < many, "nothing was lazy"


def test_counters_holds_and_true_times_are_those_of_beats_whenever_somebody_looks():
    with Cluster(lazy=True, seed=1) as one, Cluster(lazy=False, seed=1) as other:
        source = Random(1)
        for _ in range(100):
            now = one.world.now + source.expovariate(0.2)
            for cluster in (one, other):
                cluster.world.advance(now)
            for host in HOSTS:
                lease, beaten = one.storage.leases[host], other.storage.leases[host]
                if abs(now - beaten.renewed_at) > 0.01:  # not just now
                    assert lease.counter == beaten.counter
                    assert lease.renewed_at == pytest.approx(beaten.renewed_at, abs=0.01)
                    held, hold = one.machines[host].held_until, other.machines[host].held_until
                    assert held == pytest.approx(hold, abs=0.01)
        renewals = sum(lease.counter for lease in other.storage.leases.values())
        assert renewals > 500
        assert other.world.steps - one.world.steps > 2.5 * renewals, (
            "a renewal is three events, and next to none was made"
        )


def test_a_node_that_is_killed_in_a_lull_holds_until_its_last_renewal_ends():
    with Cluster(lazy=True, seed=1) as cluster:
        cluster.world.advance(300.0)
        machine, lease = cluster.machines["host-5"], cluster.storage.leases["host-5"]
        assert lease.lull is not None
        machine.running.pop(NODE).kill()
        renewed, held = lease.renewed_at, machine.held_until
        assert 0 <= 300.0 - renewed <= 1.2 * RENEW_SECONDS
        assert held == pytest.approx(machine.clock.now() - (300.0 - renewed) + SEED.give_up, abs=0.001)
        cluster.world.advance(400.0)
        assert (lease.renewed_at, machine.held_until) == (renewed, held)


@pytest.mark.parametrize("end", ["kill", "halt", "drift", "cut"])
def test_what_ends_a_lull_finds_everything_counted_though_nobody_had_looked(end):
    with World(seed=1) as world:
        network = Network(HOSTS)
        storage = Storage(world, network, HOSTS[:MASTERS], lambda fact: None)
        storage.grant("host-1", "boot")
        runtime, sent = SimRuntime(world, "host-1"), []

        def renewed(moment: float) -> bool:
            sent.append(moment)
            return True

        grant = Grant(storage.leader or "", storage.term)
        keeping = SimBlock(storage, runtime, "host-1").keep("host-1", "boot", grant, renewed, every=RENEW_SECONDS)
        runtime.spawn(keeping, name="keep")
        world.advance(300.0)
        assert not sent, "nobody looked, so nothing was counted"
        ways = {
            "kill": runtime.kill,
            "halt": runtime.halt,
            "drift": lambda: runtime.clock.drift(1.001),
            "cut": lambda: network.cut(("host-1",), (Plane.STORAGE,)),
        }
        ways[end]()
        lease = storage.leases["host-1"]
        assert lease.lull is None
        assert 300.0 / (1.1 * RENEW_SECONDS) - 1 < lease.counter < 300.0 / (0.9 * RENEW_SECONDS) + 1
        assert 0.0 < 300.0 - lease.renewed_at < 1.1 * RENEW_SECONDS
        assert sent == [pytest.approx(runtime.now() - (300.0 - lease.renewed_at), abs=0.001)]
