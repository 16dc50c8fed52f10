"""P4, P5: batches that do not fit, against one plain pass of spreading them, and against the best that a solver finds.

A tight batch has almost as much memory as there is: some plan places all of it. Of an overfull batch none does, and the more
memory a plan places, the fewer VMs: there the number of VMs is judged (docs/decisions/0016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from random import Random
from statistics import median
from time import process_time_ns

import msgspec
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

from ave.errors import NoFit
from ave.model.host import Host, HostState
from ave.model.vm import VM
from ave.placement.batch import place_batch
from ave.placement.place import place
from ave.placement.purpose import Purpose
from ave.placement.view import View
from tests.bench.placement import Cluster
from tests.bench.row import Row
from tests.reference.placement import plain

PAIRS = 9
PLAIN_GOAL, BEST_GOAL = 15.0, 0.98
SHAPES = (
    ((1, 768),) * 3 + ((1, 1792),) * 60 + ((2, 3584),) * 19 + ((4, 7168),) * 10 + ((8, 14336),) * 9 + ((8, 57344),) * 2
)
CASES = 3
SOLVER_SECONDS = 20.0


def run() -> list[Row]:
    rows = _speed()
    for hosts in (10, 50):
        rows += _tight(hosts) + _overfull(hosts)
    return rows


def _speed() -> list[Row]:
    """P4. One that fits nowhere makes it try both plans."""
    cluster = Cluster(1_000)
    vms = [cluster.request(n) for n in range(999)]
    vms.append(VM(id="giant", vcpus=8, memory_mib=4 * 1024**2))
    ratios, ours = [], []
    for _ in range(PAIRS):
        start = process_time_ns()
        _plain_spread(cluster, vms)
        middle = process_time_ns()
        place_batch(cluster.view, vms, Purpose.START)
        ours.append((process_time_ns() - middle) / 1e6)
        ratios.append((middle - start) / 1e6 / ours[-1])
    what = "batch of 1,000 on 1,000 hosts, both plans"
    return [
        Row("P4", f"{what}, against one plain spread", median(ratios), "×", PLAIN_GOAL, "more"),
        Row("P4", what, median(ours), "ms", None, "less"),
    ]


def _plain_spread(cluster: Cluster, vms: list[VM]) -> None:
    at = {host.id: total for host, _, total in cluster.plain}
    done = []
    for vm in vms:
        try:
            choice = plain(cluster.plain, vm, Purpose.START, cluster.allocated)
        except NoFit:
            continue
        at[choice.host].add(vm, runs=True, holds=True)
        done.append((at[choice.host], vm))
    for total, vm in done:
        total.vm_count -= 1
        total.all_vcpus -= vm.vcpus
        total.all_mib -= vm.memory_mib
        total.held_mib -= vm.memory_mib
        total.running_vcpus -= vm.vcpus
        total.running_mib -= vm.memory_mib


# The best there is


def _tight(hosts: int) -> list[Row]:
    shares, over_others = [], []
    for n in range(CASES):
        free, vms = _case(f"{hosts}/{n}", hosts, 0.98)
        seen = _view(free)
        ours = _memory(place_batch(seen, vms, Purpose.START).placed, vms)
        largest_first = sorted(vms, key=lambda vm: -vm.memory_mib)
        spread = _memory(_spread(free, largest_first), vms)
        compact = _memory(place_batch(seen, vms, Purpose.START, pack=True).placed, vms)
        shares.append(ours / _optimum(free, vms, memory=True))
        over_others.append(ours / max(spread, compact))
    what = f"tight batch on {hosts} hosts, memory placed"
    return [
        Row("P5", f"{what}, of the optimum", min(shares), "", BEST_GOAL, "more"),
        Row("P5", f"{what}, of spread largest first or compact", min(over_others), "", 1.0, "more"),
    ]


def _overfull(hosts: int) -> list[Row]:
    counts, shares, starved = [], [], []
    for n in range(CASES):
        free, vms = _case(f"{hosts}/{n}", hosts, 1.3)
        placed = place_batch(_view(free), vms, Purpose.START).placed
        counts.append(len(placed) / _optimum(free, vms, memory=False))
        shares.append(_memory(placed, vms) / _optimum(free, vms, memory=True))
        starved.append(len(_spread(free, sorted(vms, key=lambda vm: -vm.memory_mib))) / len(placed))
    what = f"overfull batch on {hosts} hosts"
    return [
        Row("P5", f"{what}, VMs placed, of the optimum", min(counts), "", BEST_GOAL, "more"),
        Row("P5", f"{what}, memory placed, of the optimum of memory", min(shares), "", None, "more"),
        Row("P5", f"{what}, VMs that largest first places, of ours", max(starved), "", None, "less"),
    ]


def _case(seed: str, hosts: int, load: float) -> tuple[list[int], list[VM]]:
    random = Random(f"tight/{seed}")
    free = [random.choice((32, 64, 112, 128)) * 1024 for _ in range(hosts)]
    vms: list[VM] = []
    while sum(vm.memory_mib for vm in vms) < load * sum(free):
        vcpus, memory_mib = random.choice(SHAPES)
        vms.append(VM(id=f"vm-{len(vms)}", vcpus=vcpus, memory_mib=memory_mib))
    return free, vms[:-1]


def _view(free: list[int]) -> View:
    seen = View()
    for n, memory_mib in enumerate(free):
        seen.put_host(Host(id=f"host-{n}", state=HostState.ONLINE, cpus=64, memory_mib=memory_mib, reserve_mib=0))
    return seen


def _spread(free: list[int], vms: list[VM]) -> dict[str, str]:
    seen, placed = _view(free), {}
    for vm in vms:
        try:
            placed[vm.id] = place(seen, vm, Purpose.START).host
        except NoFit:
            continue
        seen.put_vm(msgspec.structs.replace(vm, reserved=placed[vm.id]))
    return placed


def _memory(placed: Container[str], vms: list[VM]) -> int:
    return sum(vm.memory_mib for vm in vms if vm.id in placed)


def _optimum(free: list[int], vms: list[VM], *, memory: bool) -> float:
    """The most MiB, or VMs, that any plan places: so many of each size on each host. At least what the solver proves."""
    sizes = Counter(vm.memory_mib for vm in vms)
    worth = np.repeat([float(size) if memory else 1.0 for size in sizes], len(free))
    sums = lil_matrix((len(sizes) + len(free), len(sizes) * len(free)))
    for row, size in enumerate(sizes):
        for host in range(len(free)):
            column = row * len(free) + host
            sums[row, column], sums[len(sizes) + host, column] = 1.0, float(size)
    most = LinearConstraint(sums.tocsr(), -np.inf, [*map(float, sizes.values()), *map(float, free)])
    options = {"time_limit": SOLVER_SECONDS, "mip_rel_gap": 1e-3}
    whole = np.ones(len(worth))
    found = milp(-worth, constraints=most, integrality=whole, bounds=Bounds(0, np.inf), options=options)
    assert found.x is not None, found.message
    return float(-found.fun)
