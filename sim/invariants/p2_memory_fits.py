from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.vm import VM
from drivers.sim.facts import Started
from sim.invariants.shape import Stage, Violation


class MemoryFits:
    """Armed when room is promised on a host that already holds room for another VM still in flight."""

    id = "P2"
    phrase = "the memory of a host's VMs, with what is promised to those on their way, fits its physical memory"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._holds: dict[str, tuple[tuple[str, int, bool], ...]] = {}  # VM -> (host, MiB, on its way?) it counts on
        self._used: dict[str, int] = {}
        self._coming: dict[str, int] = {}  # host -> VMs on their way to it

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm, Started: self.started}

    def vm(self, change: tuple[str, VM | None]) -> None:
        """The store's view: what its documents add up to."""
        id, vm = change
        before, now = self._holds.get(id, ()), _holds(vm)
        if now == before:
            return
        for host, mib, coming in before:
            self._used[host] -= mib
            self._coming[host] -= coming
        for host, mib, coming in now:
            self._used[host] = self._used.get(host, 0) + mib
            self._coming[host] = self._coming.get(host, 0) + coming
        self._holds[id] = now
        for host, _, coming in now:
            self.armed += self._coming[host] > coming
            self._judge(id, host, self._used[host])

    def started(self, fact: Started) -> None:
        """The world's view: what the machine really holds."""
        machine = self._stage.machines[fact.host]
        self._judge(fact.vm, fact.host, sum(guest.memory_mib for guest in machine.guests.values()))

    def _judge(self, vm: str, host: str, used: int) -> None:
        facts = self._stage.machines[host].facts
        room = facts.memory_mib - facts.reserve_mib
        if used > room:
            raise Violation(self.id, f"{host} holds {used} MiB with {vm}, and has {room} MiB for VMs", (vm, host))


def _holds(vm: VM | None) -> tuple[tuple[str, int, bool], ...]:
    if vm is None:
        return ()
    there = vm.holds_memory and bool(vm.host)
    coming = bool(vm.reserved) and not (there and vm.reserved == vm.host)
    return ((vm.host, vm.memory_mib, False),) * there + ((vm.reserved, vm.memory_mib, True),) * coming
