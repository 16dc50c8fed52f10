from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.vm import VM
from sim.invariants.hard_rules import short, unfit
from sim.invariants.shape import Stage, Violation


class PlacedByRule:
    """Armed by every reservation that is committed. Judges by the hosts and groups as they are in that very commit; of
    several VMs that it places together each is judged with all the others in their new places."""

    id = "P1"
    phrase = (
        "a VM is placed only on a host that is online, in reach of its networks, of a fitting CPU, within its limits, "
        "and where no must rule is broken"
    )

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._reserved: dict[str, str] = {}

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm}

    def vm(self, change: tuple[str, VM | None]) -> None:
        id, vm = change
        before = self._reserved.pop(id, "")
        if vm is None or not vm.reserved:
            return
        self._reserved[id] = vm.reserved
        if vm.reserved == before:
            return
        self.armed += 1
        host = self._stage.host(vm.reserved)
        if host is None:
            raise Violation(self.id, f"{id} was placed on {vm.reserved}, which does not exist", (id,))
        wrong = [*unfit(self._stage, vm, host), *short(self._stage, vm, host)]
        if wrong:
            raise Violation(self.id, f"{id} was placed on {host.id}, which {' and '.join(wrong)}", (id, host.id))
