"""P1, P2, P3: one placement decision, the whole chain of rules.

Against the plain loop one would write first; against reading every column that a decision needs once; and against the plain
reference, host by host, on random clusters with groups, zones, pins and limits. The memory of a view is told beside them.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from random import Random
from statistics import median
from time import process_time_ns

import msgspec

from ave.errors import NoFit
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.placement.explanation import Choice
from ave.placement.place import place
from ave.placement.purpose import Purpose
from ave.placement.view import View
from tests.bench.row import Row
from tests.reference.clusters import some_cluster
from tests.reference.placement import Sums, allocated_vcpus, plain

PAIRS = 7
SIZES = (1_000, 5_000, 10_000)
GOALS = {1_000: 20.0, 5_000: 40.0, 10_000: 40.0}
TAIL_GOAL = 5.0
STREAM_GOAL = 10.0
STREAMED = (
    "state",
    "cpu_model",
    "free_mib",
    "all_share",
    "running_share",
    "running_load",
    "per_cpu",
    "per_mib",
    "_tie",
)
AGREEMENTS = 2_000
VMS_PER_HOST = 50
MIX = ((1, 1_792),) * 12 + ((2, 3_584),) * 4 + ((4, 7_168),) * 2 + ((8, 14_336),) * 2


class Cluster:
    """The same made-up cluster for both: busy, uneven, and with something for each filter to turn away."""

    def __init__(self, size: int) -> None:
        self.random = random = Random(f"placement/{size}")
        self.hosts = [self._host(f"host-{n:05}") for n in range(size)]
        self.view = View()
        self.plain = [(host, frozenset(host.networks), Sums()) for host in self.hosts]
        for host in self.hosts:
            self.view.put_host(host)
        self.vms: list[VM] = []
        for n in range(VMS_PER_HOST * size):
            host, _, total = self.plain[int(random.random() * size)]
            vcpus, memory_mib = MIX[int(random.random() * len(MIX))]
            if total.held_mib + memory_mib > host.memory_mib - host.reserve_mib:
                continue
            runs = random.random() < 0.9
            state = VMState.RUNNING if runs else VMState.STOPPED
            vm = VM(id=f"vm-{n}", state=state, vcpus=vcpus, memory_mib=memory_mib, host=host.id)
            total.add(vm, runs=runs, holds=runs)
            self.view.put_vm(vm)
            self.vms.append(vm)
        self.allocated = allocated_vcpus(self.vms)

    def _host(self, name: str) -> Host:
        chance = self.random.random
        return Host(
            id=name,
            state=HostState.ONLINE if chance() < 0.97 else HostState.MAINTENANCE,
            cpus=(48, 64, 96)[int(chance() * 3)],
            memory_mib=(256, 384, 512)[int(chance() * 3)] * 1024,
            reserve_mib=8_192,
            cpu_model="old" if chance() < 0.1 else "new",
            networks=("front", "back") if chance() < 0.9 else ("front",),
        )

    def request(self, n: int) -> VM:
        vcpus, memory_mib = MIX[int(self.random.random() * len(MIX))]
        return VM(id=f"new-{n}", vcpus=vcpus, memory_mib=memory_mib, networks=("front", "back"), cpu_model="new")


def run() -> list[Row]:
    rows = []
    for size in SIZES:
        cluster = Cluster(size)
        for purpose in Purpose:
            rows += _decisions(cluster, size, purpose)
    return [*rows, *_streaming(cluster), _agreement(), *_memory(cluster)]


def _decisions(cluster: Cluster, size: int, purpose: Purpose) -> list[Row]:
    requests = [cluster.request(n) for n in range(300)]
    ratios, ours, tails = [], [], []
    for _ in range(PAIRS):
        theirs = _times(lambda vm: plain(cluster.plain, vm, purpose, cluster.allocated), requests[: 20_000 // size])
        times = _times(lambda vm: place(cluster.view, vm, purpose), requests)
        ours.append(median(times))
        ratios.append(median(theirs) / median(times))
        tails.append(times[int(0.99 * len(times))] / median(times))
    what = f"one decision ({purpose}) among {size:,} hosts"
    return [
        Row("P1", f"{what}, against a plain loop", median(ratios), "×", GOALS[size], "more"),
        Row("P1", f"{what}, p50", median(ours), "µs", None, "less"),
        Row("P1", f"{what}, p99 / p50", median(tails), "×", TAIL_GOAL, "less"),
    ]


def _times(decide: Callable[[VM], object], requests: list[VM]) -> list[float]:
    """Microseconds of CPU time of each decision, sorted. What else the machine does at the time is not in them."""
    times = []
    for vm in requests:
        start = process_time_ns()
        decide(vm)
        times.append((process_time_ns() - start) / 1_000)
    return sorted(times)


def _streaming(cluster: Cluster) -> list[Row]:
    """P2. One pass reads each column once: its least entry."""
    view, requests = cluster.view, [cluster.request(n) for n in range(300)]
    columns = [getattr(view, name) for name in STREAMED] + view.networks
    rows = []
    for purpose in Purpose:
        ratios = []
        for _ in range(PAIRS):
            passes = _times(lambda _: [column.min() for column in columns], requests)
            times = _times(partial(_decided, view, purpose), requests)
            ratios.append(median(times) / median(passes))
        what = f"one decision ({purpose}) among {len(view):,} hosts, against reading the columns once"
        rows.append(Row("P2", what, median(ratios), "×", STREAM_GOAL, "less"))
    return rows


def _decided(view: View, purpose: Purpose, vm: VM) -> Choice:
    return place(view, vm, purpose)


def _agreement() -> Row:
    """P3: the share of decisions that are those of the reference, refusals too."""
    alike = asked = 0
    for seed in range(AGREEMENTS):
        made = some_cluster(f"bench/{seed}")
        seen = made.view()
        for vm in made.new:
            for purpose in Purpose:
                asked += 1
                ours = _chosen(partial(place, seen, vm, purpose))
                alike += ours == _chosen(partial(made.by_the_plain_rules, vm, purpose))
    return Row("P3", f"the same host as the plain rules, {asked:,} decisions", 100 * alike / asked, "%", 100.0, "more")


def _chosen(decide: Callable[[], Choice]) -> str:
    try:
        return decide().host
    except NoFit:
        return ""


def _memory(cluster: Cluster) -> list[Row]:
    """Bytes that a view of the largest cluster takes, and those of the documents that it was made of."""
    hosts, vms = len(cluster.hosts), len(cluster.vms)
    tracemalloc.start()
    documents = [msgspec.convert(msgspec.to_builtins(vm), VM) for vm in cluster.vms]
    documents_bytes = tracemalloc.get_traced_memory()[0]
    view = View()
    for host in cluster.hosts:
        view.put_host(host)
    for vm in documents:
        view.put_vm(vm)
    view_bytes = tracemalloc.get_traced_memory()[0] - documents_bytes
    tracemalloc.stop()
    what = f"memory of {hosts:,} hosts and {vms:,} VMs"
    return [
        Row("P19", f"{what}, the view", view_bytes / 2**20, "MiB", None, "less"),
        Row("P19", f"{what}, with documents", (view_bytes + documents_bytes) / 2**20, "MiB", None, "less"),
    ]
