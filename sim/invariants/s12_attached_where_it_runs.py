from __future__ import annotations

from collections.abc import Iterator

from ave.model.vm import VM, VMState
from ave.model.volume import Volume
from sim.invariants.lasting import Lasting, Wrong

THERE = (VMState.STARTING, VMState.RUNNING, VMState.SUSPENDED)


class AttachedWhereItRuns(Lasting):
    """What a Job is at work on is its own. A VM of which nobody knows whether it runs may keep what it had.

    A volume that no VM has is not looked at: where an edit was lost with its host it stays attached until it is deleted, or
    attached elsewhere under a newer epoch, which fences that host.
    """

    id = "S12"
    phrase = "in peace a volume of a VM is attached to the host where the VM is, and to nobody if the VM is off"

    def wrong(self) -> Iterator[Wrong]:
        stage = self._stage
        docs: dict[str, Volume] = stage.store.ledger.shelves_by_name["volume"].docs
        volumes = stage.storage.volumes
        for name in self.part("volumes", lambda: volumes):
            stored = volumes.get(name)
            if stored is None:
                continue
            volume = docs.get(name)
            vm = stage.vm(volume.vm) if volume is not None else None
            if vm is None or self.locked(Volume, name) or self.locked(VM, vm.id):
                continue
            self._looked_at += 1
            if vm.state is VMState.UNKNOWN and stored.owner in ("", vm.host):
                continue
            has_it = name in vm.media and vm.state in THERE
            if stored.owner != (vm.host if has_it else "") or (has_it and stored.epoch != vm.epoch):
                is_attached = f"attached to {stored.owner} (epoch {stored.epoch})" if stored.owner else "not attached"
                where = f"{vm.id} is {vm.state} on {vm.host or 'no host'} (epoch {vm.epoch})"
                yield name, f"{name} is {is_attached}, while {where}", (name, vm.id)
