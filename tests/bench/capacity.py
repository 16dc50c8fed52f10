"""P11: a capacity replay against the barest loop that could do the same.

The workload is made up after Azure's, or the trace whose path is in ``AVE_TRACE``.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import simpy

from ave.model.host import Host, HostState
from ave.placement.view import View
from sim.azure import generate
from sim.capacity import replay
from sim.traces import Workload, expand, read
from tests.bench.row import Row

PAIRS = 5
VMS = 259_159
HOSTS, CPUS, MEMORY_MIB = 1_000, 64, 112 * 1024
GOAL = 6.0


def run() -> list[Row]:
    workload = _workload()
    ratios, ours, theirs, decisions = [], [], [], []
    for _ in range(PAIRS):
        start = process_time()
        bare(workload)
        middle = process_time()
        utilisation = replay(cluster(), workload, until=workload.arrive[-1])
        theirs.append(middle - start)
        ours.append(process_time() - middle)
        ratios.append(ours[-1] / theirs[-1])
        decisions.append(utilisation.decisions)
    if len(set(decisions)) > 1:
        raise AssertionError(f"the same replay decided differently: {decisions}")
    what = f"replay of {len(workload):,} VMs on {HOSTS:,} hosts"
    return [
        Row("P11", f"{what}, against a bare SimPy and NumPy loop", median(ratios), "×", GOAL, "less"),
        Row("P11", what, median(ours), "s", None, "less"),
        Row("P11", f"{what}, the bare loop", median(theirs), "s", None, "less"),
    ]


def cluster() -> View:
    view = View()
    for n in range(HOSTS):
        view.put_host(Host(id=f"host-{n:04}", state=HostState.ONLINE, cpus=CPUS, memory_mib=MEMORY_MIB))
    return view


def bare(workload: Workload) -> int:
    """Arrivals and departures as SimPy processes, the least loaded host by memory, and nothing else. VMs placed."""
    env = simpy.Environment()
    used = np.zeros(HOSTS, np.int64)
    placed = 0

    def live(host: int, memory_mib: int, life: float) -> Generator[simpy.Event, Any, None]:
        yield env.timeout(life)
        used[host] -= memory_mib

    def arrivals() -> Generator[simpy.Event, Any, None]:
        nonlocal placed
        for _, arrive, _, _, memory_mib, life in workload.rows():
            if arrive > env.now:
                yield env.timeout(arrive - env.now)
            host = int(((used + memory_mib) / MEMORY_MIB).argmin())
            if used[host] + memory_mib <= MEMORY_MIB:
                used[host] += memory_mib
                placed += 1
                if life is not None:
                    env.process(live(host, memory_mib, life))

    env.process(arrivals())
    env.run(until=workload.arrive[-1])
    return placed


def _workload() -> Workload:
    trace = os.environ.get("AVE_TRACE")
    return expand(read(Path(trace)), seed=1) if trace else generate(VMS, seed=1)
