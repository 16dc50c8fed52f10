from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.host import HostState
from ave.model.vm import VM, VMState
from drivers.sim.facts import Started
from sim.invariants.shape import Stage, Violation

THERE = (VMState.RUNNING, VMState.SUSPENDED)
GONE = (VMState.STOPPED, VMState.UNKNOWN)
DEAD = (HostState.FENCED, HostState.RECOVERED)


class SilenceIsNoAbsence:
    """Armed by every VM that is said to be gone from a host that is not judged dead, because somebody looked there."""

    id = "D9"
    phrase = "no VM is said to be gone from a living host, or started anew, while its domain is there: silence proves nothing"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._there: dict[str, VM] = {}  # VMs as they were last said to be on a host

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm, Started: self.started}

    def vm(self, change: tuple[str, VM | None]) -> None:
        id, vm = change
        before = self._there.pop(id, None)
        if vm is not None and vm.state in THERE:
            self._there[id] = vm
        elif before is not None and vm is not None and vm.state in GONE and not self._dead(before):
            self.armed += 1
            if self._has(before):
                what = f"{id} was said to be {vm.state} while {before.host} has its domain (epoch {before.epoch})"
                raise Violation(self.id, what, (id, before.host))

    def started(self, fact: Started) -> None:
        """Of a VM that a living host has under the same epoch."""
        before = self._there.get(fact.vm)
        if before is None or fact.incoming or fact.host == before.host or fact.epoch > before.epoch:
            return
        if self._has(before) and not self._dead(before):
            what = f"{fact.vm} was started on {fact.host} while {before.host} has its domain"
            raise Violation(self.id, what, (fact.vm, before.host))

    def _dead(self, vm: VM) -> bool:
        """Is its host judged dead, or come back since with nothing of it?"""
        host = self._stage.host(vm.host)
        return host is None or host.state in DEAD or host.epoch > vm.host_epoch

    def _has(self, vm: VM) -> bool:
        machine = self._stage.machines[vm.host]
        guest = machine.guests.get(vm.id)
        return machine.powered and guest is not None and guest.epoch == vm.epoch
