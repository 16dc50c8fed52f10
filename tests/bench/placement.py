"""P1: one placement decision, the whole chain of rules, against the plain loop one would write first."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from statistics import median
from time import process_time_ns

from ave.errors import NoFit
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.placement.batch import place_batch
from ave.placement.place import place
from ave.placement.purpose import Purpose
from ave.placement.view import View
from tests.bench.row import Row
from tests.reference.placement import Sums, allocated_vcpus, plain

PAIRS = 7
SIZES = (1_000, 5_000, 10_000)
GOALS = {1_000: 10.0}
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
        vms = []
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
            vms.append(vm)
        self.allocated = allocated_vcpus(vms)

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
        if size == SIZES[0]:
            rows += _batch(cluster)
    return rows


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
        Row("P1", f"{what}, against a plain loop", median(ratios), "×", GOALS.get(size), "more"),
        Row("P1", f"{what}, p50", median(ours), "µs", None, "less"),
        Row("P1", f"{what}, p99 / p50", median(tails), "×", None, "less"),
    ]


def _times(decide: Callable[[VM], object], requests: list[VM]) -> list[float]:
    """Microseconds of CPU time of each decision, sorted. What else the machine does at the time is not in them."""
    times = []
    for vm in requests:
        start = process_time_ns()
        decide(vm)
        times.append((process_time_ns() - start) / 1_000)
    return sorted(times)


def _batch(cluster: Cluster) -> list[Row]:
    """P4: both plans of a batch that does not fit, against one plain pass of spreading it."""
    vms = [cluster.request(n) for n in range(999)]
    # One that fits nowhere makes it try both plans.
    vms.append(VM(id="giant", vcpus=8, memory_mib=4 * 1024**2))
    ratios, ours = [], []
    for _ in range(5):
        start = process_time_ns()
        _plain_spread(cluster, vms)
        middle = process_time_ns()
        place_batch(cluster.view, vms, Purpose.START)
        ours.append((process_time_ns() - middle) / 1e6)
        ratios.append((middle - start) / 1e6 / ours[-1])
    what = "batch of 1,000 on 1,000 hosts, both plans"
    return [
        Row("P4", f"{what}, against one plain spread", median(ratios), "×", None, "more"),
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
