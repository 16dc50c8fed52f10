from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.vm import VM
from drivers.sim.facts import Started
from sim.invariants.hard_rules import others_on
from sim.invariants.shape import Stage, Violation


class PinsNotShared:
    """Armed when a pinned VM is placed on, or starts on, a host where another one is pinned already or meant to be."""

    id = "P3"
    phrase = "a CPU that a pinned VM has for itself is no other VM's; a rescued VM may have to do without"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._reserved: dict[str, str] = {}

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm, Started: self.started}

    def vm(self, change: tuple[str, VM | None]) -> None:
        """The store's view: what was promised."""
        id, vm = change
        before = self._reserved.pop(id, "")
        if vm is None or not vm.pinned or not vm.reserved:
            return
        self._reserved[id] = vm.reserved
        if vm.reserved != before and (wanted := _wanted(vm, vm.reserved)):
            others = sum(_wanted(other, vm.reserved) for other in others_on(self._stage, vm.reserved, id))
            self._judge(id, vm.reserved, wanted, others)

    def started(self, fact: Started) -> None:
        """The world's view: what domains really have."""
        guests = self._stage.machines[fact.host].guests
        wanted = guests[fact.vm].exclusive_cpus
        if wanted:
            others = sum(guest.exclusive_cpus for guest in guests.values() if guest.vm != fact.vm)
            self._judge(fact.vm, fact.host, wanted, others)

    def _judge(self, vm: str, host: str, wanted: int, others: int) -> None:
        self.armed += others > 0
        there = self._stage.machines[host].facts.exclusive_cpus
        if wanted + others > there:
            what = f"{vm} has {wanted} CPUs of {host} for itself and others have {others}, but there are only {there}"
            raise Violation(self.id, what, (vm, host))


def _wanted(vm: VM, host: str) -> int:
    """Who moves while it runs is pinned again where it arrives. Who is rescued has nothing any more where it was lost: whether
    it has CPUs for itself says of where it goes."""
    if vm.state == "unknown" and vm.reserved not in ("", host):
        return 0
    arrives = vm.reserved == host and vm.state == "running" and vm.host != host
    return vm.vcpus if vm.pinned and (arrives or not vm.unpinned) else 0
