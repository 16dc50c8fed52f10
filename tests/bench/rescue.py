"""P15: hosts of a thousand are lost with fifty VMs each: what that costs who leads, and when the VMs start again.

The leader's CPU time is that of all its host's node does from the loss until the last rescue is submitted, its looks at a
thousand healthy hosts among it. The window in which it must be done is the verdict's.
"""

from __future__ import annotations

from collections.abc import Coroutine
from time import process_time
from typing import Any

from ave.ha.timing import PROFILES
from drivers.sim.facts import Started
from drivers.sim.machine import Machine
from drivers.sim.runtime import SimRuntime
from sim.cluster import SimCluster
from sim.metrics import percentile
from tests.bench.large import TOPOLOGY, switched_on
from tests.bench.row import Row

WINDOW = PROFILES["seed"].verdict
WATCHED = 2 * WINDOW  # how long a run is watched
START_SECONDS = 105.0
GOALS = ((1, 1.0), (10, 3.0))  # hosts lost, percent of the window


class Timed:
    """A coroutine that is timed: what a task asks of one, and the CPU time that it takes."""

    def __init__(self, coro: Coroutine[Any, Any, Any], cluster: LedCluster) -> None:
        self._coro, self._cluster = coro, cluster
        self.close = coro.close

    def send(self, value: Any) -> Any:
        began = process_time()
        try:
            return self._coro.send(value)
        finally:
            self._cluster.spent += process_time() - began

    def throw(self, error: BaseException) -> Any:
        return self._coro.throw(error)


class LedCluster(SimCluster):
    """The CPU time of its leader's node is taken."""

    def __init__(self) -> None:
        self.spent = 0.0
        super().__init__(TOPOLOGY, seed=1)
        self.submitted: list[tuple[float, float]] = []  # when a rescue was, and what had been spent by then
        self.started: list[tuple[str, float]] = []
        self.world.tell = self._told
        self.listeners.append(self._saw)

    def __enter__(self) -> LedCluster:
        return self

    def _node(self, machine: Machine, runtime: SimRuntime) -> None:
        if machine.name == self.storage.leader:
            plain = runtime.spawn
            runtime.spawn = lambda coro, *, name: plain(Timed(coro, self), name=name)  # type: ignore[method-assign, arg-type]
        super()._node(machine, runtime)

    def _told(self, process: str, event: str, fields: dict[str, Any]) -> None:
        if event == "rescue submitted":
            self.submitted.append((self.world.now, self.spent))

    def _saw(self, fact: Any) -> None:
        if isinstance(fact, Started):
            self.started.append((fact.vm, self.world.now))


def run() -> list[Row]:
    return [row for hosts, percent in GOALS for row in _lost(hosts, percent)]


def _lost(hosts: int, percent: float) -> list[Row]:
    with LedCluster() as cluster:
        switched_on(cluster)
        lost = list(cluster.machines)[-hosts:]
        vms = dict.fromkeys(vm for host in lost for vm in cluster.machines[host].guests)
        since, before = cluster.world.now, cluster.spent
        cluster.started.clear()
        for host in lost:
            cluster.machines[host].power_off()
        cluster.world.advance(since + WATCHED)
        began = {vm: at - since for vm, at in reversed(cluster.started) if vm in vms}
        assert len(began) == len(vms), f"{len(vms) - len(began)} of {len(vms)} VMs were not started"
        what = f"{hosts} of 1,000 hosts lost, {len(vms)} VMs"
        return [
            Row(
                "P15",
                f"{what}: leader's work",
                100 * (cluster.submitted[-1][1] - before) / WINDOW,
                "%",
                percent,
                "less",
            ),
            Row("P15", f"{what}: VM runs, p99", percentile(list(began.values()), 0.99), "s", START_SECONDS, "less"),
        ]
