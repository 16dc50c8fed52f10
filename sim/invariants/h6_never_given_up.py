from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import Lock
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from sim.invariants.hard_rules import fits
from sim.invariants.shape import Stage, Violation

UNTRIED_SECONDS = 160.0  # the longest pause between two tries is 100 s; others' rescues may come first
LOOK_SECONDS = 10.0
LOST = (HostState.FENCED, HostState.RECOVERED)


class NeverGivenUp:
    """Armed by every wanted VM that runs nowhere. A try is a Job that holds the VM."""

    id = "H6"
    phrase = "a wanted VM that runs nowhere is tried again and again, and is not left so while a host could take it"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._ran: dict[str, None] = {}  # VMs that ran since they were last wanted off
        self._tried_at: dict[str, float] = {}  # wanted VM that runs nowhere -> when that began, or was last tried
        self._due = 0.0

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {"vm": self.vm, "lock": self.lock, "tick": self.tick, "end": self.end}

    def vm(self, change: tuple[str, VM | None]) -> None:
        id, vm = change
        if vm is None or not (vm.on and vm.ha):
            self._ran.pop(id, None)
            self._tried_at.pop(id, None)
        elif vm.state is VMState.RUNNING:
            self._ran[id] = None
            self._tried_at.pop(id, None)
        elif id in self._ran and vm.state in (VMState.UNKNOWN, VMState.STOPPED) and id not in self._tried_at:
            self._tried_at[id] = self._stage.now()
            self.armed += 1

    def lock(self, change: tuple[str, Lock | None]) -> None:
        """Taken or freed: a try begins or ends."""
        vm = change[0].removeprefix("vm/")
        if vm in self._tried_at:
            self._tried_at[vm] = self._stage.now()

    def tick(self, now: float) -> None:
        if now < self._due:
            return
        self._due = now + LOOK_SECONDS
        for id, tried_at in self._tried_at.items():
            if self._stage.calm.peace(tried_at) <= UNTRIED_SECONDS or self._stage.lock_holder(f"vm/{id}"):
                continue
            vm = self._stage.vm(id)
            if vm is not None and self._lost(vm) and (host := self._taker(vm)):
                what = f"{id} is {vm.state}, untried for {now - tried_at:.0f} s, though {host} could take it"
                raise Violation(self.id, what, (id, host))

    def end(self, _: object) -> None:
        self._due = 0.0
        self.tick(self._stage.now())

    def _lost(self, vm: VM) -> bool:
        host = self._stage.host(vm.host)
        return host is None or host.state in LOST or host.epoch > vm.host_epoch

    def _taker(self, vm: VM) -> str:
        hosts: list[Host] = self._stage.store.ledger.find(Host, {}, (), 0, None)
        able = (host.id for host in hosts if self._stage.worker(host.id) and fits(self._stage, vm, host, rescue=True))
        return next(able, "")
