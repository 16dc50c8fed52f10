from __future__ import annotations

from collections.abc import Iterator

from ave.model.cluster import lock_name
from ave.model.vm import VM, VMState
from ave.model.volume import Volume
from sim.invariants.lasting import Lasting, Wrong

THERE = (VMState.STARTING, VMState.RUNNING, VMState.SUSPENDED)


class AttachedWhereItRuns(Lasting):
    """What a Job is at work on is its own. A VM of which nobody knows whether it runs may keep what it had."""

    id = "S12"
    phrase = "in peace a volume is attached to the host where its VM is, and to nobody if the VM is off"

    def wrong(self) -> Iterator[Wrong]:
        stage = self._stage
        docs = stage.store.ledger.shelves_by_name["volume"].docs
        for name, stored in stage.storage.volumes.items():
            volume: Volume | None = docs.get(name)
            vm = stage.vm(volume.vm) if volume is not None else None
            if stage.lock_holder(lock_name(Volume, name)) or (vm and stage.lock_holder(lock_name(VM, vm.id))):
                continue
            self._looked_at += 1
            right = (vm.host, vm.epoch) if vm is not None and name in vm.media and vm.state in THERE else ("", 0)
            if vm is not None and vm.state is VMState.UNKNOWN and stored.owner in ("", vm.host):
                continue
            if stored.owner != right[0] or (stored.owner and stored.epoch != right[1]):
                is_attached = f"attached to {stored.owner} (epoch {stored.epoch})" if stored.owner else "not attached"
                where = f"{vm.id} is {vm.state} on {vm.host or 'no host'} (epoch {vm.epoch})" if vm else "no VM has it"
                yield name, f"{name} is {is_attached}, while {where}", (name, vm.id if vm else name)
