from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.vm import VM
from drivers.sim.facts import Disturbed, Elected, Powered, Resumed, Started
from drivers.sim.machine import NODE, Machine
from sim.invariants.hard_rules import room_for_all
from sim.invariants.shape import Stage, Violation

BASE_SECONDS = 15.0  # beyond the profile's verdict
EMPTIED = ("entering-maintenance", "maintenance", "quarantined")  # nothing shall run there now
RETRY_SECONDS = 100.0  # the longest pause between two tries of who found no room
LOOK_SECONDS = 1.0  # between two looks at how much room there is
BATCH = 50  # VMs for which that is promised; one second more for each further one


class RescuedInTime:
    """Armed by every wanted VM that a lost host ran. The clock starts again when something else happens to the world."""

    id = "H1"
    phrase = "the wanted VMs of a lost host run again in time, if there is room for all of them"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage
        self._lost: dict[str, str] = {}  # VM -> host
        self._since = 0.0  # the last disturbance …
        self._many = 0  # … and how many VMs were lost then: of many, the last ones may take longer than the first
        self._scarce_at = 0.0  # when there last was too little room for all that is lost
        self._looked_at = 0.0
        self._meddling = 0  # lasting faults under way that harm no host: while there are, nothing is promised

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {
            Powered: self.powered,
            Disturbed: self.disturbed,
            Elected: self.again,
            "vm": self.wanted,
            Started: self.up,
            Resumed: self.up,
            "tick": self.tick,
            "end": self.end,
        }

    def powered(self, fact: Powered) -> None:
        self._begin_anew()
        if not fact.on:
            self._lose(fact.host)

    def disturbed(self, fact: Disturbed) -> None:
        self._begin_anew()
        if fact.lasting and not fact.harms:
            self._meddling += -1 if fact.over else 1
        if not fact.over:
            for host in fact.harms:
                self._lose(host)

    def again(self, _: object) -> None:
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._check()
        self._since, self._many = self._stage.now(), len(self._lost)

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

    def tick(self, now: float) -> None:
        leader = self._stage.storage.leader
        if self._lost and (leader is None or not self._stage.machines[leader].works(NODE)):
            self._since, self._many = now, len(self._lost)  # nobody judges; the time counts from when somebody does
        if self._lost and now >= self._looked_at + LOOK_SECONDS:
            self._looked_at = now
            if not self._room_for_all():
                self._scarce_at = now
            self._check()  # in time: later its user may be about to restart one that has run all along

    def end(self, _: object) -> None:
        self._check()

    def _lose(self, host: str) -> None:
        for name in self._stage.machines[host].guests:
            vm = self._stage.vm(name)
            if vm is not None and vm.ha and vm.on and vm.host == host and name not in self._lost:
                self._lost[name] = host
                self._many = max(self._many, len(self._lost))
                self.armed += 1

    def _check(self) -> None:
        limit = self._stage.timing.verdict + BASE_SECONDS + max(0, self._many - BATCH)
        since = self._since if self._scarce_at <= self._since else self._scarce_at + RETRY_SECONDS
        if self._meddling or self._stage.now() - since <= limit:
            return
        for name in list(self._lost):
            vm = self._stage.vm(name)
            if vm is None or not vm.on or self._exists(name):
                del self._lost[name]  # not wanted, or still where it was: its host came back before it was judged
        if self._lost and self._room_for_all():
            name, host = next(iter(self._lost.items()))
            late = self._stage.now() - self._since
            raise Violation(self.id, f"{name} of {host} does not run {late:.0f} s after the last fault", (name, host))

    def _exists(self, name: str) -> bool:
        return any(machine.powered and name in machine.guests for machine in self._stage.machines.values())

    def _room_for_all(self) -> bool:
        """Could the machines that are up hold all that is lost? With less room, who waits may wait for its next turn.
        Promised room counts as free here, so doubt is in the VMs' favour."""
        free: dict[str, int] = {}
        for machine in self._stage.machines.values():
            emptied = (host := self._stage.host(machine.name)) is not None and host.state in EMPTIED
            if self._reached(machine) and not emptied:
                used = sum(guest.memory_mib for guest in machine.guests.values())
                free[machine.name] = machine.facts.memory_mib - machine.facts.reserve_mib - used
        lost = [vm for name in self._lost if (vm := self._stage.vm(name)) is not None]
        if not self._alike():
            return room_for_all(self._stage, lost, free)
        left = sorted(free.values(), reverse=True)
        for mib in sorted((vm.memory_mib for vm in lost), reverse=True):
            left.sort(reverse=True)
            if not left or left[0] < mib:
                return False
            left[0] -= mib
        return True

    def _reached(self, machine: Machine) -> bool:
        """By all that it takes to start a VM there. While there is no primary, that is nobody's fault."""
        stage, name = self._stage, machine.name
        served = stage.store.serves(name) or stage.store.reign is None
        whole = not (machine.read_only or machine.full)  # else it says so, and gets no VM
        return machine.powered and whole and stage.storage.reached_by(name) and served

    def _alike(self) -> bool:
        """Does memory alone tell hosts apart?"""
        limits = {
            (f.networks, f.cpu_model, f.nics_max, f.volumes_max, machine.networks_down)
            for machine in self._stage.machines.values()
            for f in [machine.facts]
        }
        return len(limits) == 1 and not self._stage.store.ledger.shelves_by_name["group"].docs
