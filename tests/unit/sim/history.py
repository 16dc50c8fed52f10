"""Histories made by hand: what an invariant of Jobs is told, without a control plane that could behave."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import sim.oracle
from ave.model.cluster import Handler
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import LEAD, Plan, Step, Work, WorkState
from ave.ports.hypervisor import Stamp
from ave.ports.store import Delete, Insert, Replace
from drivers.sim.facts import Disturbed, Effect, Wrote
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.oracle import Oracle
from sim.scenario.model import Shape, Topology
from sim.violation import Violation

HOSTS = ("host-1", "host-2", "host-3")
ZONES = {"host-1": "east", "host-2": "west", "host-3": "west"}
W = WorkState


def of(invariant: type) -> pytest.MarkDecorator:
    """The invariant under whose eyes the test's ``history`` is."""
    return pytest.mark.parametrize("history", [invariant], indirect=True, ids=[invariant.__name__])


class History:
    """A world in which nothing happens but what the test says, under the eyes of one invariant. Close it."""

    def __init__(self, invariant: Any) -> None:
        self.cluster = SimCluster(Topology((Shape(3, 8, 65_536, 0, exclusive_cpus=4),), 3, {}, ()), seed=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sim.oracle, "TABLE", (invariant,))
            self.oracle = Oracle(self.cluster)
        self._ledger = self.cluster.store.ledger
        for host in HOSTS:
            self.cluster.machines[host].powered = True
            self.launch(host)

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()

    @property
    def armed(self) -> int:
        return self.oracle.invariants[0].armed

    def launch(self, host: str, start: int = 1) -> None:
        """A start of the host's worker."""
        self.cluster.machines[host].running["node"] = SimRuntime(self.cluster.world, host)
        self.put(Handler(id=host, uuid=f"{host}-{start}"))

    def lose(self, host: str) -> None:
        self.cluster.machines[host].powered = False

    def put(self, *docs: Any) -> None:
        """One commit; a document that is known already is replaced."""
        writes: list[Any] = []
        for doc in docs:
            known = self._ledger.get(type(doc), doc.id)
            again = None if known is None else Replace(msgspec.structs.replace(doc, version=known.version))
            writes.append(again or Insert(doc))
        self._ledger.commit(writes, self.cluster.world.now)

    def drop(self, *docs: Any) -> None:
        self._ledger.commit([Delete(self._ledger.get(type(doc), doc.id)) for doc in docs], self.cluster.world.now)

    def saw(self, fact: Any) -> None:
        self.cluster.witness(fact)

    def effect(self, resource: str, job: str, task: str = "a", attempt: int = 1, what: str = "start") -> None:
        self.saw(Effect(resource, Stamp(job=job, task=f"{job}/{task}", attempt=attempt, token=1, epoch=1), what))

    def disturb(self) -> None:
        self.saw(Disturbed("something"))

    def wait(self, seconds: float) -> None:
        """The world goes on, a second at a time, and guests write."""
        end = self.cluster.world.now + seconds
        while self.cluster.world.now < end:
            self.cluster.world.advance(min(end, self.cluster.world.now + 1.0))
            self.saw(Wrote("host-1", ()))

    def end(self) -> None:
        self.oracle.end()

    def broken(self, *keys: str) -> Broken:
        return Broken(self.oracle.invariants[0].id, keys)


class Broken:
    """The body must break the invariant, with a violation that names these things."""

    def __init__(self, invariant: str, keys: tuple[str, ...]) -> None:
        self._invariant, self._keys = invariant, keys

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> bool:
        assert isinstance(error, Violation), f"{self._invariant} was not broken"
        assert error.invariant == self._invariant
        assert set(self._keys) <= set(error.keys), error.keys
        return True


def job(id: str, state: WorkState, *steps: str, **fields: Any) -> Work:
    """A Job; with steps (whose tasks exist) or ``tokens`` it has a plan."""
    tokens = fields.pop("tokens", {})
    planned = steps or tokens or state is W.WAITING
    plan = Plan(steps={s: Step(function="do") for s in steps}, submitted=steps, tokens=tokens) if planned else None
    return Work(**{"id": id, "job": id, "function": LEAD, "lane": "host-1", "state": state, "plan": plan, **fields})


def task(job: str, step: str, state: WorkState, attempt: int = 0, host: str = "host-1", **fields: Any) -> Work:
    """A task of that Job; while it runs, the first start of its lane's worker has it, unless the test names another."""
    made = {"function": "do", "lane": host, "handler": f"{host}-1" if state is W.RUNNING else "", **fields}
    return Work(id=f"{job}/{step}", job=job, parent=job, step=step, state=state, attempt=attempt, **made)


def host(id: str, **fields: Any) -> Host:
    made = {"state": HostState.ONLINE, "cpus": 8, "memory_mib": 8192, "zone": ZONES[id], "networks": ("vm",)}
    return Host(**{"id": id, "exclusive_cpus": 4, **made, **fields})


def vm(id: str, on: str = "", reserved: str = "", **fields: Any) -> VM:
    state = VMState.RUNNING if on else VMState.STOPPED
    made = {"state": state, "vcpus": 2, "memory_mib": 4096, "networks": ("vm",), "host": on, "reserved": reserved}
    return VM(**{"id": id, **made, **fields})
