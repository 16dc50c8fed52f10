"""A replica set of three members, and a client of it on each of five hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ave.ports.store import Kind
from drivers.sim import physics
from drivers.sim.network import Network, Plane
from drivers.sim.replica_set import ReplicaSet
from drivers.sim.runtime import SimRuntime, World
from drivers.sim.store import SimStore
from tests.contracts.store_machine import KINDS

MEMBERS = ("a", "b", "c")
HOSTS = (*MEMBERS, "d", "e")  # two hosts have no member of the store
MANAGEMENT = (Plane.MANAGEMENT,)
DEADLINE = physics.SELECT_SECONDS + physics.ANSWER_SECONDS + 1
ELECTED = physics.ELECTION_SECONDS[1] + 0.1
SOON = 0.1


class Cluster:
    def __init__(self, world: World, kinds: Sequence[Kind] = KINDS, client: type[SimStore] = SimStore) -> None:
        self.world = world
        self.network = Network(HOSTS)
        self.replica_set = ReplicaSet(world, self.network, MEMBERS, kinds)
        self.docs = self.replica_set.ledger.shelves[kinds[0].type].docs
        self.runtimes = {host: SimRuntime(world, host) for host in HOSTS}
        self.stores = {host: client(self.replica_set, self.runtimes[host], host) for host in HOSTS}

    def at_the_next_commit(self, action: Callable[[], Any]) -> None:
        """Let something happen between an effect and its answer."""
        self.replica_set.ledger.listeners.append(lambda commit: action())

    def in_flight(self, action: Callable[[], Any]) -> None:
        """Let something happen before a request that is sent now can arrive."""
        self.after(physics.HOP_SECONDS / 4, action)

    def in_the_journal(self, action: Callable[[], Any]) -> None:
        """Let something happen when a write that is sent now has arrived, and no majority has it yet."""
        self.after(physics.HOP_SECONDS * 1.5 + physics.JOURNAL_SECONDS / 2, action)

    def after(self, seconds: float, action: Callable[[], Any]) -> None:
        self.world.timeout(seconds).callbacks.append(lambda _: action())

    def pass_time(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)
