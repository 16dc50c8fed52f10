"""The rules of placement once more, in plain Python: ``place`` to check against, ``plain`` to measure against.

``place`` starts from the documents each time, keeps nothing, and compares fractions. ``plain`` is what one would write
first: one loop over hosts whose sums are kept up to date, with float scores, for clusters without groups, zones, pins and
limits. It is the baseline of the benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from ave.errors import NoFit
from ave.model.group import Aspect, Group
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.placement.explanation import Choice
from ave.placement.purpose import Purpose

SEATED = (VMState.STARTING, VMState.RUNNING, VMState.SUSPENDED)
CHAIN = (
    "TargetHostFilter",
    "PlacementGroupMustFilter",
    "HostAvailableFilter",
    "MaintenanceFilter",
    "NetworkFilter",
    "CpuModelFilter",
    "HostAvailableMemoryFilter",
    "CpuPinningFilter",
    "NicCapacityFilter",
    "StorageCapacityFilter",
)
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


def goal(vm: VM) -> str:
    """Where it is going to be."""
    return vm.reserved or (vm.host if vm.state in SEATED else "")


def seats(vm: VM) -> set[str]:
    """Wherever it is, and where it is going to be."""
    return {vm.reserved, vm.host if vm.state in SEATED else ""} - {""}


def against(group: Group, host: Host, vm: VM, others: Iterable[VM]) -> int:
    """How many things on this host would be against the rule."""
    mates = [other for other in others if other.id in group.vms and other.id != vm.id]
    match group.rule.aspect:
        case Aspect.HOSTS:
            return int(host.id not in group.hosts)
        case Aspect.NOT_HOSTS:
            return int(host.id in group.hosts)
        case Aspect.ZONE:
            return int(host.zone != group.zone)
        case Aspect.SAME_HOST:
            return sum(goal(mate) not in ("", host.id) for mate in mates)
        case Aspect.DIFFERENT_HOSTS:
            return sum(host.id in seats(mate) for mate in mates)


def exclusive_cpus(vm: VM) -> int:
    return vm.vcpus if vm.pinned else 0


def held_cpus(host: str, vms: Iterable[VM]) -> int:
    """Of a host, those that VMs have for themselves, and those that are promised to VMs on their way."""
    total = 0
    for vm in vms:
        kept = exclusive_cpus(vm) if not vm.unpinned else 0
        coming = exclusive_cpus(vm) if vm.state is VMState.RUNNING else kept
        if vm.host == host and vm.holds_memory:
            total += kept
        elif vm.reserved == host:
            total += coming if vm.reserved != vm.host else kept
    return total


def turned_away_by(host: Host, total: Sums, vm: VM, purpose: Purpose, others: list[VM], groups: Iterable[Group]) -> str:
    """The first filter that this host fails, or nothing."""
    musts = [group for group in groups if group.enabled and group.rule.must and vm.id in group.vms]
    holding = [other for other in others if (other.holds_memory and other.host == host.id) or other.reserved == host.id]
    if any(against(group, host, vm, others) for group in musts):
        return "PlacementGroupMustFilter"
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
    if vm.pinned and purpose is not Purpose.RESCUE and held_cpus(host.id, others) + vm.vcpus > host.exclusive_cpus:
        return "CpuPinningFilter"
    if vm.networks and host.nics_max and sum(len(o.networks) for o in holding) + len(vm.networks) > host.nics_max:
        return "NicCapacityFilter"
    if vm.media and host.volumes_max and sum(len(o.media) for o in holding) + len(vm.media) > host.volumes_max:
        return "StorageCapacityFilter"
    return ""


def rank(
    host: Host,
    vm: VM,
    purpose: Purpose,
    hosts: list[Host],
    others: list[VM],
    groups: Iterable[Group],
    primary: set[str],
) -> tuple[tuple[str, object], ...]:
    """What is preferred, in order: lower is better."""
    mine = [group for group in groups if group.enabled and vm.id in group.vms]
    breaks = [count for group in mine if not group.rule.must and (count := against(group, host, vm, others))]
    zones = [other.zone for other in hosts if other.id == vm.host] if purpose is Purpose.RESCUE else []
    wanted = set(zones) or primary
    off_zone = bool(primary) and host.zone not in wanted and all(group.rule.aspect is not Aspect.ZONE for group in mine)
    short = vm.pinned and held_cpus(host.id, others) + vm.vcpus > host.exclusive_cpus
    return (
        ("PlacementGroupPriorFilter", (len(breaks), sum(breaks))),
        ("ZoneFilter", off_zone),
        ("CpuPinningPriorFilter", purpose is Purpose.RESCUE and short),
    )


def score(host: Host, total: Sums, vm: VM, purpose: Purpose, allocated: int) -> Fraction:
    if purpose is not Purpose.START:
        cpu = Fraction(total.running_vcpus + vm.vcpus, allocated + vm.vcpus)
        memory = Fraction(total.running_mib + vm.memory_mib, host.memory_mib)
    else:
        cpu = Fraction(total.all_vcpus + vm.vcpus, host.cpus)
        memory = Fraction(total.all_mib + vm.memory_mib, host.memory_mib)
    return (cpu + memory) / 2


def place(
    hosts: Iterable[Host],
    vms: Iterable[VM],
    vm: VM,
    purpose: Purpose,
    only: str = "",
    exclude: tuple[str, ...] = (),
    groups: Iterable[Group] = (),
    primary: Iterable[str] = (),
) -> Choice:
    hosts, groups, primary = list(hosts), list(groups), set(primary)
    others = [other for other in vms if other.id != vm.id]
    allocated = allocated_vcpus(others)
    rejected = dict.fromkeys(CHAIN, 0)
    fitting: list[tuple[tuple[tuple[str, object], ...], Fraction, int, Host]] = []
    for host in hosts:
        total = sums(host.id, others)
        asked = (host.id == only if only else True) and host.id not in exclude
        why = turned_away_by(host, total, vm, purpose, others, groups) if asked else "TargetHostFilter"
        if why:
            rejected[why] += 1
            continue
        ranks = rank(host, vm, purpose, hosts, others, groups, primary)
        fitting.append((ranks, score(host, total, vm, purpose, allocated), total.vm_count, host))
    reasons = {name: number for name, number in rejected.items() if number}
    if not fitting:
        raise NoFit(vm.id, len(hosts), reasons)
    left, passed_over = fitting, {}
    for place in range(3):
        best = min(each[0][place][1] for each in left)  # type: ignore[type-var]
        kept = [each for each in left if each[0][place][1] == best]
        if len(kept) < len(left):
            passed_over[left[0][0][place][0]] = len(left) - len(kept)
        left = kept
    _, value, _, host = min(left, key=lambda each: (*each[1:3], each[3].id))
    short = vm.pinned and held_cpus(host.id, others) + vm.vcpus > host.exclusive_cpus
    unpinned = purpose is Purpose.RESCUE and short
    return Choice(host.id, float(value), len(fitting), reasons, passed_over, unpinned)


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
            if purpose is not Purpose.START:
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
