from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import Role
from ave.model.vm import VM
from ave.scheduler.role import SCHEDULER
from sim.invariants.shape import Stage, Violation


class OldTermsDecideNothing:
    """A reservation says under which holding of the role it was decided. Armed by those that are committed after the role
    was taken anew, so that there is somebody who may still believe to hold it."""

    id = "P4"
    phrase = "a place that a scheduler found is not taken any more once another one holds the role"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._seen: dict[str, tuple[str, int]] = {}  # VM -> its reservation, and under which holding that was decided
        self._first = 0

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm, "role": self.role}

    def role(self, change: tuple[str, Role | None]) -> None:
        id, role = change
        if id == SCHEDULER and role is not None:
            self._first = self._first or role.version

    def vm(self, change: tuple[str, VM | None]) -> None:
        id, vm = change
        now = (vm.reserved, vm.reserved_under) if vm is not None else ("", 0)
        if now == self._seen.get(id, ("", 0)):
            return
        self._seen[id] = now
        if not now[0]:
            return
        role = self._stage.store.ledger.get(Role, SCHEDULER)
        newest = role.version if role is not None else 0
        self.armed += newest > self._first
        if now[1] < newest:
            by = f"by then {role.holder} held the role anew" if role is not None else ""
            what = f"{id} was placed on {now[0]} by a decision of holding {now[1]} of the role; {by} ({newest})"
            raise Violation(self.id, what, (id, now[0]))
