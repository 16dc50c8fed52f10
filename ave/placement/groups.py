"""Placement groups: by how much each host would break a rule of a VM. Must rules turn hosts away, prefer rules rank them.

To add an aspect: its name in ``ave.model.group``, one function here and its line in ``BREAKS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ave.model.group import Aspect, Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ave.model.vm import VM
    from ave.placement.purpose import Purpose
    from ave.placement.unit import Unit
    from ave.placement.view import Ints, Mask, View

_RULE: Final = 1 << 32  # one more broken rule outweighs any number of VMs on the wrong side of another


def kept(unit: Unit, view: View, purpose: Purpose) -> Mask | None:
    """Which hosts keep every must rule of all these VMs; None: they have none that excludes any host."""
    if not view.bonds:
        return None
    mask: Mask | None = None
    for _, group, breaks in rules(unit, view, must=True):
        if torn(group, unit):
            return np.zeros(len(view), np.bool_)
        if breaks is not None:
            mask = breaks == 0 if mask is None else mask & (breaks == 0)
    return mask


def broken(unit: Unit, view: View, purpose: Purpose) -> Ints | None:
    """How much each host breaks the prefer rules: first how many of them, then how many VMs are on the wrong side."""
    if not view.bonds:
        return None
    total: Ints | None = None
    for _, _, breaks in rules(unit, view, must=False):
        if breaks is not None:
            worth = breaks + (breaks > 0) * _RULE
            total = worth if total is None else total + worth
    return total


def has_zone_rule(vm: VM, view: View) -> bool:
    return any(group.rule.aspect is Aspect.ZONE for group in view.bonds.of(vm.id))


def torn(group: Group, unit: Unit) -> bool:
    """VMs that must share a host, and must not."""
    return group.rule.aspect is Aspect.DIFFERENT_HOSTS and sum(one.id in group.vms for one in unit.vms) > 1


def rules(unit: Unit, view: View, *, must: bool) -> Iterator[tuple[VM, Group, Ints | None]]:
    """Each rule of each of these VMs, and by how much each host would break it; None: none would."""
    for vm in unit.vms:
        for group in view.bonds.of(vm.id):
            if group.rule.must is must:
                yield vm, group, BREAKS[group.rule.aspect](group, vm, view)


def _hosts(group: Group, vm: VM, view: View) -> Ints:
    breaks = np.ones(len(view), np.int64)
    breaks[_rows(group, view)] = 0
    return breaks


def _not_hosts(group: Group, vm: VM, view: View) -> Ints:
    breaks = np.zeros(len(view), np.int64)
    breaks[_rows(group, view)] = 1
    return breaks


def _same_host(group: Group, vm: VM, view: View) -> Ints | None:
    """Each of the others counts where it is going to be."""
    goals = [goal for other in group.vms if other != vm.id and (goal := view.seats(other).goal)]
    if not goals:
        return None
    breaks = np.full(len(view), len(goals), np.int64)
    for goal in goals:
        if goal in view.rows:
            breaks[view.rows[goal]] -= 1
    return breaks


def _different_hosts(group: Group, vm: VM, view: View) -> Ints | None:
    """Each of the others counts wherever it is, and where it is going to be."""
    taken = [host for other in group.vms if other != vm.id for host in view.seats(other).hosts if host in view.rows]
    if not taken:
        return None
    breaks = np.zeros(len(view), np.int64)
    for host in taken:
        breaks[view.rows[host]] += 1
    return breaks


def _zone(group: Group, vm: VM, view: View) -> Ints:
    breaks: Ints = (view.zone != view.zone_code(group.zone)).astype(np.int64)
    return breaks


def _rows(group: Group, view: View) -> list[int]:
    return [view.rows[host] for host in group.hosts if host in view.rows]


BREAKS: Final[dict[Aspect, Callable[[Group, VM, View], Ints | None]]] = {
    Aspect.HOSTS: _hosts,
    Aspect.NOT_HOSTS: _not_hosts,
    Aspect.SAME_HOST: _same_host,
    Aspect.DIFFERENT_HOSTS: _different_hosts,
    Aspect.ZONE: _zone,
}
