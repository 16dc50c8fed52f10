from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.vm import VM
from drivers.sim.facts import Disturbed, Elected, Powered, Resumed, Started
from sim.invariants.shape import Stage, Violation

BASE_SECONDS = 15.0  # beyond the profile's verdict
BATCH = 50  # VMs for which that is promised; one second more for each further one


class RescuedInTime:
    """Armed by every wanted VM that a lost host ran. The clock starts again when something else happens to the world."""

    id = "H1"
    phrase = "a wanted VM of a lost host runs again in time, if there is room for it"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._lost: dict[str, str] = {}  # VM -> host
        self._since = 0.0  # the last disturbance
        self._meddling = 0  # lasting faults under way that harm no host: while there are, nothing is promised

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            Powered: self.powered,
            Disturbed: self.disturbed,
            Elected: self.again,
            "vm": self.wanted,
            Started: self.up,
            Resumed: self.up,
            "end": self.end,
        }

    def powered(self, fact: Powered) -> None:
        self._check()
        self._since = self._stage.now()
        if not fact.on:
            self._lose(fact.host)

    def disturbed(self, fact: Disturbed) -> None:
        self._check()
        self._since = self._stage.now()
        if fact.lasting and not fact.harms:
            self._meddling += -1 if fact.over else 1
        if not fact.over:
            for host in fact.harms:
                self._lose(host)

    def again(self, _: object) -> None:
        self._check()
        self._since = self._stage.now()

    def up(self, fact: Started | Resumed) -> None:
        host = self._lost.get(fact.vm)
        if host is not None and (host != fact.host or isinstance(fact, Resumed)):
            self._check()
            self._lost.pop(fact.vm, None)  # the check may have found that nobody wants it any more

    def wanted(self, change: tuple[str, VM | None]) -> None:
        """Who turns a VM off, or deletes it, is promised nothing any more."""
        id, vm = change
        if id in self._lost and (vm is None or not vm.on):
            del self._lost[id]

    def end(self, _: object) -> None:
        self._check()

    def _lose(self, host: str) -> None:
        for name in self._stage.machines[host].guests:
            vm = self._stage.vm(name)
            if vm is not None and vm.ha and vm.on and vm.host == host and name not in self._lost:
                self._lost[name] = host
                self.armed += 1

    def _check(self) -> None:
        limit = self._stage.timing.verdict + BASE_SECONDS + max(0, len(self._lost) - BATCH)
        if self._meddling or self._stage.now() - self._since <= limit:
            return
        for name, host in list(self._lost.items()):
            vm = self._stage.vm(name)
            if vm is None or not vm.on:
                del self._lost[name]
            elif self._exists(name):
                del self._lost[name]  # running, or paused where it always was and not judged dead: the host came back
            elif self._room(vm.memory_mib):
                late = self._stage.now() - self._since
                raise Violation(
                    self.id, f"{name} of {host} does not run {late:.0f} s after the last fault", (name, host)
                )

    def _exists(self, name: str) -> bool:
        return any(machine.powered and name in machine.guests for machine in self._stage.machines.values())

    def _room(self, mib: int) -> bool:
        """Could any machine that is up hold it? Promised room counts as free here, so doubt is in the VM's favour."""
        for machine in self._stage.machines.values():
            used = sum(guest.memory_mib for guest in machine.guests.values())
            able = machine.powered and self._stage.storage.reached_by(machine.name)
            if able and used + mib <= machine.facts.memory_mib - machine.facts.reserve_mib:
                return True
        return False
