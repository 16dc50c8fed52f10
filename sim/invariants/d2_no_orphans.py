from __future__ import annotations

from collections.abc import Iterator

from ave.model.cluster import Lock
from ave.model.vm import VM
from ave.model.volume import Volume
from ave.model.work import ENDED, Work
from sim.invariants.lasting import Lasting, Wrong


class NoOrphans(Lasting):
    id = "D2"
    phrase = "after ten minutes of peace nothing is left that nobody has: no domain, volume, promised room or lock"
    seconds = 600.0

    def wrong(self) -> Iterator[Wrong]:
        yield from self._domains()
        yield from self._volumes()
        yield from self._promises()
        yield from self._locks()

    def _domains(self) -> Iterator[Wrong]:
        machines = self._stage.machines.values()
        there = self.part("domains", lambda: ((machine, name) for machine in machines for name in machine.guests))
        for machine, name in there:
            if name not in machine.guests:
                continue
            self._looked_at += 1
            vm = self._stage.vm(name)
            if (vm is None or vm.host != machine.name) and not self.locked(VM, name):
                told = f"is on {vm.host}" if vm is not None else "does not exist"
                yield (
                    f"{name} on {machine.name}",
                    f"{machine.name} has a domain of {name}, which {told}",
                    (name, machine.name),
                )

    def _volumes(self) -> Iterator[Wrong]:
        stage = self._stage
        docs: dict[str, Volume] = stage.store.ledger.shelves_by_name["volume"].docs
        stored = stage.storage.volumes
        for name in self.part("volumes", lambda: (*stored, *(name for name in docs if name not in stored))):
            volume = docs.get(name)
            if volume is None and name not in stored:
                continue  # it has gone since
            self._looked_at += 1
            owner = volume.vm if volume is not None else ""
            if self.locked(Volume, name) or (owner and self.locked(VM, owner)):
                continue
            if volume is None and not self._being_made(name):
                yield name, f"the storage has volume {name}, which does not exist", (name,)
            elif volume is not None and name not in stage.storage.volumes:
                yield name, f"volume {name} is {volume.state}, and the storage does not have it", (name,)
            elif owner and stage.vm(owner) is None:
                yield name, f"volume {name} belongs to {owner}, which does not exist", (name, owner)

    def _being_made(self, volume: str) -> bool:
        """Its document comes after it, so only the VM that shall have it knows of it."""
        vm = self._stage.vm(volume.rpartition("-disk-")[0])
        return vm is not None and self.locked(VM, vm.id)

    def _promises(self) -> Iterator[Wrong]:
        docs = self._stage.store.ledger.shelves_by_name["vm"].docs
        for name in self.part("VMs", lambda: docs):
            vm = docs.get(name)
            if vm is not None and vm.reserved:
                self._looked_at += 1
                if not self.locked(VM, vm.id):
                    yield f"{vm.id} to come", f"{vm.reserved} keeps room for {vm.id}, for no Job", (vm.id, vm.reserved)

    def _locks(self) -> Iterator[Wrong]:
        locks: dict[str, Lock] = self._stage.store.ledger.shelves_by_name["lock"].docs
        for id in self.part("locks", lambda: locks):
            lock = locks.get(id)
            if lock is not None and lock.job:
                self._looked_at += 1
                work = self._stage.store.ledger.get(Work, lock.job)
                if work is None or work.state in ENDED:
                    yield id, f"{id} is locked by {lock.job}, which is over", (id, lock.job)
