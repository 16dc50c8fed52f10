"""A cluster to try faults on, judged by every invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.ha.timing import PROFILES
from ave.model.host import Host, HostState
from ave.operations import MigrateVMs
from ave.ports.hypervisor import DomainState
from drivers.sim.block import SimBlock
from drivers.sim.hypervisor import SimHypervisor
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime
from sim import faults
from sim.cluster import GIB, SimCluster
from sim.faults import FAULTS
from sim.oracle import Oracle
from sim.scenario.model import Fleet, Forever, Shape, Topology
from sim.user import User

MANAGEMENT, STORAGE = Plane.MANAGEMENT, Plane.STORAGE
LEASE = PROFILES["seed"].give_up
HOST = "host-5"  # no master


class World(SimCluster):
    """Six hosts in three zones, with three VMs each."""

    def __init__(self) -> None:
        zones = {"a": 2, "b": 2, "c": 2}
        super().__init__(Topology(shapes=(Shape(6, 16, 65536, 0),), masters=3, zones=zones, networks=("vm",)), seed=5)
        self.facts: list[tuple[float, Any]] = []
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.oracle = Oracle(self)
        self.user = User(self, self.oracle.stage.acknowledged)
        self.listeners.append(lambda fact: self.facts.append((self.world.now, fact)))
        self.world.tell = lambda *said: self.told.append(said)
        self.power_on([Fleet("web", 18, 1, 1024, GIB, True, "medium", Forever())])
        self.advance(20.0)

    def __enter__(self) -> World:
        return self

    def advance(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def begin(self, name: str, *names: str, **given: Any) -> Callable[[], None]:
        """Returns what ends it."""
        full = {p.name: p.default for p in FAULTS[name].kind.parameters if p.default is not None} | given
        return faults.begin(self, name, names, full, lasting=FAULTS[name].kind.lasting)

    def during(self, seconds: float, *kinds: type) -> list[Any]:
        """What the world tells meanwhile."""
        before = len(self.facts)
        self.advance(seconds)
        return [fact for _, fact in self.facts[before:] if isinstance(fact, kinds)]

    def here(self, host: str) -> list[str]:
        return list(self.machines[host].guests)

    def states(self, host: str) -> list[DomainState]:
        return list(dict.fromkeys(guest.state for guest in self.machines[host].guests.values()))

    def state(self, host: str) -> HostState:
        return self.store.ledger.get(Host, host).state

    def ask(self, call: Any, within: float = 60.0) -> Any:
        """The answer of a port to somebody on a host, or what it raises."""
        got: list[Any] = []

        async def asked() -> None:
            try:
                got.append(await call)
            except (Unavailable, UnknownOutcome, Refused) as error:
                got.append(error)

        end = self.world.now + within
        SimRuntime(self.world, "asker").spawn(asked(), name="ask")
        while not got and self.world.now < end:
            self.world.step()
        return got[0] if got else None

    def block(self, host: str) -> SimBlock:
        return SimBlock(self.storage, SimRuntime(self.world, f"{host}/test"), host)

    def hypervisor(self, host: str) -> SimHypervisor:
        return SimHypervisor(self.machines[host], SimRuntime(self.world, f"{host}/test"), self.machines)

    def migrate(self, vm: str) -> None:
        self.user.spawn("vm.migrate", MigrateVMs(vms=(vm,)))
