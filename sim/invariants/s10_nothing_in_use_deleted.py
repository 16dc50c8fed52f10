from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ave.model.cluster import lock_name
from ave.model.vm import VM, VMState
from ave.model.volume import Volume
from drivers.sim.facts import Effect
from sim.invariants.shape import Stage, Violation

VOLUME = "volume/"
GOING = (VMState.CREATING, VMState.DELETING)  # of these its Job may delete a volume


class NothingInUseDeleted:
    """Armed by every volume that is deleted from the storage. In use is what is attached, what a domain may write to, what
    belongs to a VM that is to stay, and what another Job holds."""

    id = "S10"
    phrase = "no volume is deleted that is attached, that a VM is to keep, or that another Job is at work on"

    def __init__(self, stage: Stage) -> None:
        self.armed = 0
        self._stage = stage

    def handlers(self) -> Mapping[type[Any] | str, Callable[[Any], None]]:
        return {Effect: self.effect}

    def effect(self, fact: Effect) -> None:
        if fact.what != "delete" or not fact.resource.startswith(VOLUME):
            return
        self.armed += 1
        name = fact.resource.removeprefix(VOLUME)
        if use := self._use(name, fact.stamp.job):
            raise Violation(self.id, f"{name} was deleted for {fact.stamp.job or 'no Job'} while {use}", (name,))

    def _use(self, name: str, job: str) -> str:
        stage = self._stage
        stored = stage.storage.volumes.get(name)
        if stored is not None and stored.owner:
            return f"attached to {stored.owner}"
        for machine in stage.machines.values():
            lease = stage.storage.leases.get(machine.name)
            if lease is not None and lease.revoked:
                continue  # what stands still there has lost its right for good
            for guest in machine.guests.values():
                if name in guest.media and stored is not None and guest.epoch == stored.epoch:
                    return f"a domain of {guest.vm} on {machine.name} has it"
        volume = stage.store.ledger.get(Volume, name)
        vm = stage.vm(volume.vm) if volume is not None else None
        if vm is not None and vm.state is VMState.DELETING and stage.lock_holder(lock_name(VM, vm.id)) == job:
            return ""  # it goes with its VM, whoever would still change it: that is refused, and nothing of it is left
        if (holder := stage.lock_holder(lock_name(Volume, name))) not in ("", job):
            return f"{holder} is at work on it"
        if vm is None or name not in vm.media:
            return ""
        if (holder := stage.lock_holder(lock_name(VM, vm.id))) not in ("", job):
            return f"{holder} is at work on {vm.id}, which has it"
        return "" if vm.state in GOING else f"{vm.id}, which has it, is {vm.state}"
