"""P11: a capacity replay against the barest loop that could do the same. P6: how few hosts a packed workload needs.

The least number of hosts for P6 is the peak of the workload's memory by that of a host, as if VMs were a fluid. vCPUs are no
limit, as for the scheduler. How many hosts stay empty is the mean over the whole replay, which begins with none in use.

The workload is made up after Azure's, or the trace whose path is in ``AVE_TRACE``.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from itertools import accumulate
from math import ceil
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any

import numpy as np
import simpy

from ave.model.host import Host, HostState
from ave.placement.view import View
from sim.azure import generate
from sim.capacity import Utilisation, replay
from sim.traces import Workload, expand, read
from tests.bench.row import Row

PAIRS = 5
VMS = 259_159
HOSTS, CPUS, MEMORY_MIB = 1_000, 64, 112 * 1024
GOAL = 4.0
PACKED_VMS = 100_000
REFUSED_GOAL, EMPTY_GOAL = 15.0, 41.0


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
        *packed(workload),
    ]


def packed(workload: Workload) -> list[Row]:
    first = Workload(*[getattr(workload, name)[:PACKED_VMS] for name in Workload.__struct_fields__])
    least = ceil(peak_mib(first) / MEMORY_MIB)
    rows = []
    for times, goal in ((1.00, REFUSED_GOAL), (1.02, 0.0)):
        refused = _packed(first, ceil(times * least)).refused
        rows.append(
            Row("P6", f"{len(first):,} VMs packed on {times:.2f} × {least} hosts", refused, "refused", goal, "less")
        )
    roomy = _packed(first, ceil(1.2 * least))
    empty = 100 * mean(roomy.series.empty_hosts) / roomy.hosts
    what = f"the same on 1.20 × {least} hosts, empty ones"
    # How many there can be is the workload's doing: the goal is that of the recording.
    return [*rows, Row("P6", what, empty, "%", EMPTY_GOAL, "more", due="AVE_TRACE" in os.environ)]


def peak_mib(workload: Workload) -> int:
    """The most memory there is at once, if nobody is refused."""
    end, changes = workload.arrive[-1], []
    for _, arrive, _, _, memory_mib, life in workload.rows():
        changes.append((arrive, 1, memory_mib))
        if life is not None and arrive + life <= end:
            changes.append((arrive + life, 0, -memory_mib))
    return max(accumulate(change for *_, change in sorted(changes)))


def _packed(workload: Workload, hosts: int) -> Utilisation:
    return replay(cluster(hosts), workload, until=workload.arrive[-1], pack=True)


def cluster(hosts: int = HOSTS) -> View:
    view = View()
    for n in range(hosts):
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
