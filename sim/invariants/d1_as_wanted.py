from __future__ import annotations

from collections.abc import Iterator

from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from drivers.sim.guest import Guest
from drivers.sim.machine import Machine
from sim.invariants.lasting import Lasting, Wrong
from sim.invariants.shape import Stage

HALF_DONE = (VMState.CREATING, VMState.STARTING, VMState.DELETING)
DOMAIN = {VMState.RUNNING: "running", VMState.SUSPENDED: "suspended"}


class AsWanted(Lasting):
    """A VM without a host that lives is the rescue's (H1, H6). What a Job is at work on is its own."""

    id = "D1"
    phrase = "in peace a VM is as the store says: its power state, its host, its vCPUs and memory, its disks and NICs"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._where: dict[str, list[Machine]] = {}  # VM -> hosts that had a domain of it when the round began
        self._where_of: list[str] = []  # the VMs of that round

    def wrong(self) -> Iterator[Wrong]:
        docs = self._stage.store.ledger.shelves_by_name["vm"].docs
        for name in self.part("VMs", lambda: docs):
            vm = docs.get(name)
            if vm is not None and not self.locked(VM, name):
                self._looked_at += 1
                for what in self._unlike(vm, self._domains(vm)):
                    yield f"{vm.id} {what}", f"{vm.id} {what}", (vm.id, vm.host)

    def _domains(self, vm: VM) -> list[tuple[Machine, Guest]]:
        """Of the hosts that had one when the round began, and of its own, those that have one now."""
        if self._part == 0 and self._where_of is not self._things["VMs"]:
            self._where_of, self._where = self._things["VMs"], {}
            for machine in self._stage.machines.values():
                for name in machine.guests:
                    self._where.setdefault(name, []).append(machine)
        machines = self._where.get(vm.id, [])
        own = self._stage.machines.get(vm.host)
        if own is not None and own not in machines:
            machines = [*machines, own]
        return [(machine, guest) for machine in machines if (guest := machine.guests.get(vm.id)) is not None]

    def _unlike(self, vm: VM, found: list[tuple[Machine, Guest]]) -> Iterator[str]:
        if vm.state in HALF_DONE:
            yield f"is {vm.state}, and no Job goes on with it"
        elif vm.state is VMState.STOPPED and found:
            yield f"is stopped, and has a domain on {found[0][0].name}"
        elif vm.state is VMState.UNKNOWN and not vm.on and self._lives(vm.host):
            yield f"is unknown, though {vm.host} is back"
        elif vm.state in DOMAIN and (self._lives(vm.host) or found):
            if [machine.name for machine, _ in found] != [vm.host]:
                places = " and ".join(machine.name for machine, _ in found) or "no host"
                yield f"is {vm.state} on {vm.host}, and its domain is on {places}"
            else:
                yield from _differences(vm, found[0][1])

    def _lives(self, host: str) -> bool:
        known: Host | None = self._stage.host(host)
        return known is not None and known.state is HostState.ONLINE and self._stage.machines[host].powered


def _differences(vm: VM, guest: Guest) -> Iterator[str]:
    if (
        guest.epoch == vm.epoch
        and guest.state == DOMAIN[vm.state]
        and (guest.vcpus, guest.memory_mib) == (vm.vcpus, vm.memory_mib)
        and (guest.media, guest.networks) == (vm.media, vm.networks)
    ):
        return  # next to always, and it is asked often
    for what, wanted, actual in (
        ("state", DOMAIN[vm.state], str(guest.state)),
        ("epoch", vm.epoch, guest.epoch),
        ("vCPUs", vm.vcpus, guest.vcpus),
        ("memory", vm.memory_mib, guest.memory_mib),
        ("volumes", vm.media, guest.media),
        ("networks", vm.networks, guest.networks),
    ):
        if wanted != actual:
            yield f"has {what} {wanted} in the store and {actual} on {vm.host}"
