"""Which of a host's CPUs a pinned VM has for itself. The host on which it runs chooses; placement only counts them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ave.errors import Unavailable
from ave.model.vm import VM


def wanted(vm: VM) -> int:
    """How many; one that was rescued to where too few were free does without."""
    return vm.vcpus if vm.pinned and not vm.unpinned else 0


def divided(cpus: Sequence[int], exclusive: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(those of pinned VMs alone, those of everybody else): the last ones are exclusive, and the first one never is."""
    many = max(0, min(exclusive, len(cpus) - 1))
    first = len(cpus) - many
    return tuple(cpus[first:]), tuple(cpus[:first])


def chosen(many: int, exclusive: Iterable[int], taken: Collection[int]) -> tuple[int, ...]:
    """So many that nobody has, the first ones; none if there are not enough."""
    free = [cpu for cpu in exclusive if cpu not in taken]
    return tuple(free[:many]) if len(free) >= many else ()


def require(vm: VM, host: str, cpus: Collection[int]) -> None:
    if len(cpus) < wanted(vm):
        raise Unavailable(f"{vm.id} wants {wanted(vm)} CPUs of {host} for itself, and not so many of them are free")
