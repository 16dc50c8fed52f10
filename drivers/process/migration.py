"""Live migration between two hosts: each step is whole by itself, and may be the last one of who takes it.

No two VMs are locked at once, so what was true of the other host is looked at again. Every method here blocks.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused, Unavailable
from ave.model.vm import VM
from ave.ports.hypervisor import DomainState, Stamp
from drivers.phases import ARRIVED, Phase
from drivers.process import life
from drivers.process.domains import Domains, Here, Record
from drivers.process.home import Off


def migrate(source: Domains, target: Domains, vm: VM, stamp: Stamp) -> None:
    """Both copies stand still when it returns. Guests here have no memory worth a second, so it is sent in none."""
    with source.locked(vm.id):
        here = _running(source, vm.id)
        source.accept(vm.id, stamp, "migrate", here)
    with target.locked(vm.id):
        if target.look(vm.id):
            raise Refused(f"{vm.id} already has a domain on {target.name}")
        next_epoch = msgspec.structs.replace(stamp, epoch=stamp.epoch + 1)
        target.accept(vm.id, next_epoch, "migrate", None)
        copy = target.add(vm, next_epoch, Phase.INCOMING)
    try:
        _switch_over(source, vm.id, here, stamp)
    except BaseException:
        with target.locked(vm.id):
            if (left := target.look(vm.id)) and left.life == copy.life:
                target.remove(vm.id, copy.life)
        raise


def _switch_over(source: Domains, vm: str, here: Here, stamp: Stamp) -> None:
    with source.locked(vm):
        record = _running(source, vm).record
        if record is None or record.life != here.life:
            raise Unavailable(f"{vm} became another on {source.name} during its migration")
        source.accept(vm, stamp, "migrate", here)
        leaving = msgspec.structs.replace(record, phase=Phase.LEAVING)
        try:
            source.write(leaving)  # before it stands still, or nobody would know why it does
            life.stop(record.life)
        except BaseException:
            source.let_run(leaving)
            raise


def finish(source: Domains, target: Domains, vm: str, stamp: Stamp) -> None:
    """The copy here goes first: nothing can let it run again, so whatever comes in between, one at most runs."""
    with target.locked(vm):
        if _copy(target, vm, stamp).phase not in ARRIVED:
            target.require_lease(vm)
    if target.name != source.name:
        with source.locked(vm):
            here = source.look(vm)
            source.accept(vm, stamp, "finish migration", here)
            if here is not None and here.epoch < stamp.epoch:
                source.remove(vm, here.life)
    with target.locked(vm):
        copy = _copy(target, vm, stamp)
        if copy.phase in ARRIVED:
            return
        if not target.let_run(copy):
            target.require_lease(vm)


def abort(source: Domains, target: Domains, vm: str, stamp: Stamp) -> None:
    """The target's copy goes first, for the same reason. Of a target that is off nothing is left."""
    with source.locked(vm):
        here = source.look(vm)
        if here is not None:
            source.accept(vm, stamp, "abort migration", here)
    if target.name != source.name and _is_on(target):
        _remove_copy(target, vm, stamp, here)
    with source.locked(vm):
        here = source.look(vm)
        if here is not None and here.record is not None and here.phase is Phase.LEAVING:
            source.let_run(here.record)


def _remove_copy(target: Domains, vm: str, stamp: Stamp, here: Here | None) -> None:
    with target.locked(vm):
        copy = target.look(vm)
        if copy is None or copy.epoch != stamp.epoch + 1:
            return
        if copy.phase is Phase.INCOMING:
            target.accept(vm, msgspec.structs.replace(stamp, epoch=copy.epoch), "abort migration", copy)
            target.remove(vm, copy.life)
        elif here is not None and here.phase is Phase.LEAVING:
            raise Refused(f"{vm} was given to {target.name} for good: its migration can only be finished")


def _running(source: Domains, vm: str) -> Here:
    here = source.look(vm)
    if here is None or here.record is None or here.state is not DomainState.RUNNING:
        raise Refused(f"{vm} does not run on {source.name}")
    return here


def _copy(target: Domains, vm: str, stamp: Stamp) -> Record:
    copy = target.look(vm)
    if copy is None or copy.record is None or copy.epoch != stamp.epoch:
        raise Refused(f"{vm} has no copy of epoch {stamp.epoch} on {target.name}")
    target.accept(vm, stamp, "finish migration", copy)
    return copy.record


def _is_on(target: Domains) -> bool:
    try:
        target.home.boot()
    except Off:
        return False
    return True
