"""The rules of placement once more, in plain Python: ``place`` to check against, ``plain`` to measure against.

``place`` starts from the documents each time, keeps nothing, and compares fractions. ``plain`` is what one would write
first: one loop over hosts whose sums are kept up to date, with float scores. It is the baseline of the benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from ave.errors import NoFit
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.placement.place import Choice
from ave.placement.scores import Purpose

ALIVE = (HostState.ONLINE, HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE)


@dataclass(slots=True)
class Sums:
    """What the VMs on one host, and those in flight to it, add up to."""

    running_vcpus: int = 0
    running_mib: int = 0
    all_vcpus: int = 0
    all_mib: int = 0
    held_mib: int = 0
    vm_count: int = 0

    def add(self, vm: VM, *, runs: bool, holds: bool) -> None:
        self.vm_count += 1
        self.all_vcpus += vm.vcpus
        self.all_mib += vm.memory_mib
        if holds:
            self.held_mib += vm.memory_mib
        if runs:
            self.running_vcpus += vm.vcpus
            self.running_mib += vm.memory_mib


def sums(host: str, vms: Iterable[VM]) -> Sums:
    total = Sums()
    for vm in vms:
        here = vm.host == host
        if here and vm.holds_memory:
            total.add(vm, runs=vm.state is VMState.RUNNING, holds=True)
        elif vm.reserved == host:
            total.add(vm, runs=True, holds=True)
        elif here:
            total.add(vm, runs=False, holds=False)
    return total


def allocated_vcpus(vms: Iterable[VM]) -> int:
    """A VM in flight from one host to another has its vCPUs allocated on both."""
    return sum(vm.vcpus * len({vm.host, vm.reserved} - {""}) for vm in vms)


def turned_away_by(host: Host, total: Sums, vm: VM) -> str:
    """The first filter that this host fails, or nothing."""
    if host.state not in ALIVE:
        return "HostAvailableFilter"
    if host.state is not HostState.ONLINE:
        return "MaintenanceFilter"
    if not set(vm.networks) <= set(host.networks):
        return "NetworkFilter"
    if "any" not in (vm.cpu_model, host.cpu_model) and vm.cpu_model != host.cpu_model:
        return "CpuModelFilter"
    if total.held_mib + vm.memory_mib > host.memory_mib - host.reserve_mib:
        return "HostAvailableMemoryFilter"
    return ""


def score(host: Host, total: Sums, vm: VM, purpose: Purpose, allocated: int) -> Fraction:
    if purpose is Purpose.LIVE:
        cpu = Fraction(total.running_vcpus + vm.vcpus, allocated + vm.vcpus)
        memory = Fraction(total.running_mib + vm.memory_mib, host.memory_mib)
    else:
        cpu = Fraction(total.all_vcpus + vm.vcpus, host.cpus)
        memory = Fraction(total.all_mib + vm.memory_mib, host.memory_mib)
    return (cpu + memory) / 2


def place(
    hosts: Iterable[Host], vms: Iterable[VM], vm: VM, purpose: Purpose, only: str = "", exclude: tuple[str, ...] = ()
) -> Choice:
    others = [other for other in vms if other.id != vm.id]
    allocated = allocated_vcpus(others)
    rejected = dict.fromkeys(
        (
            "TargetHostFilter",
            "HostAvailableFilter",
            "MaintenanceFilter",
            "NetworkFilter",
            "CpuModelFilter",
            "HostAvailableMemoryFilter",
        ),
        0,
    )
    fitting = []
    count = 0
    for host in hosts:
        count += 1
        total = sums(host.id, others)
        asked = host.id == only if only else True
        why = turned_away_by(host, total, vm) if asked and host.id not in exclude else "TargetHostFilter"
        if why:
            rejected[why] += 1
        else:
            fitting.append((score(host, total, vm, purpose, allocated), total.vm_count, host.id))
    reasons = {name: number for name, number in rejected.items() if number}
    if not fitting:
        raise NoFit(vm.id, count, reasons)
    best, _, name = min(fitting)
    return Choice(name, float(best), len(fitting), reasons)


def plain(hosts: Iterable[tuple[Host, frozenset[str], Sums]], vm: VM, purpose: Purpose, allocated: int) -> Choice:
    """The host with the lowest float score, in one loop; the hosts' networks and sums are at hand."""
    networks = frozenset(vm.networks)
    rejected: dict[str, int] = {}
    fitting, count = 0, 0
    best: tuple[float, int, str] | None = None
    for host, present, total in hosts:
        count += 1
        if host.state not in ALIVE:
            why = "HostAvailableFilter"
        elif host.state is not HostState.ONLINE:
            why = "MaintenanceFilter"
        elif not networks <= present:
            why = "NetworkFilter"
        elif vm.cpu_model not in ("any", host.cpu_model) and host.cpu_model != "any":
            why = "CpuModelFilter"
        elif total.held_mib + vm.memory_mib > host.memory_mib - host.reserve_mib:
            why = "HostAvailableMemoryFilter"
        else:
            fitting += 1
            if purpose is Purpose.LIVE:
                cpu = (total.running_vcpus + vm.vcpus) / (allocated + vm.vcpus)
                memory = (total.running_mib + vm.memory_mib) / host.memory_mib
            else:
                cpu = (total.all_vcpus + vm.vcpus) / host.cpus
                memory = (total.all_mib + vm.memory_mib) / host.memory_mib
            key = ((cpu + memory) / 2, total.vm_count, host.id)
            if best is None or key < best:
                best = key
            continue
        rejected[why] = rejected.get(why, 0) + 1
    if best is None:
        raise NoFit(vm.id, count, rejected)
    return Choice(best[2], best[0], fitting, rejected)
