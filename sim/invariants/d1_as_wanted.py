from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from ave.model.cluster import lock_name
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from drivers.sim.guest import Guest
from drivers.sim.machine import Machine
from sim.invariants.lasting import Lasting, Wrong

HALF_DONE = (VMState.CREATING, VMState.STARTING, VMState.DELETING)
DOMAIN = {VMState.RUNNING: "running", VMState.SUSPENDED: "suspended"}


class AsWanted(Lasting):
    """A VM without a host that lives is the rescue's (H1, H6). What a Job is at work on is its own."""

    id = "D1"
    phrase = "in peace a VM is as the store says: its power state, its host, its vCPUs and memory, its disks and NICs"

    def wrong(self) -> Iterator[Wrong]:
        stage = self._stage
        domains: dict[str, list[tuple[Machine, Guest]]] = {}
        for machine in stage.machines.values():
            for guest in self.mine(machine.guests.values(), attrgetter("vm")):
                domains.setdefault(guest.vm, []).append((machine, guest))
        for vm in self.mine(stage.store.ledger.shelves_by_name["vm"].docs.values(), attrgetter("id")):
            if not stage.lock_holder(lock_name(VM, vm.id)):
                self._looked_at += 1
                for what in self._unlike(vm, domains.get(vm.id, [])):
                    yield f"{vm.id} {what}", f"{vm.id} {what}", (vm.id, vm.host)

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
