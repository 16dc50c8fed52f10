"""Delete: off first, then the volumes, then the VM itself; every step may be repeated. What lies in its CD-ROM drive stays."""

from __future__ import annotations

import msgspec

from ave.jobs.verb import Found, Split, Verb, each
from ave.model.group import Group
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Step, Work
from ave.operations import NameVMs
from ave.ports.store import Change, Delete, Replace, Write
from ave.ports.together import Ports
from ave.storage.luns import commit_without
from ave.vms.membership import leave, leaving
from ave.vms.patience import tasks
from ave.vms.power import off_step, poweroff
from ave.vms.settle import settle
from ave.vms.steps import give_back, locked, record, require_lock, sort_by_state, stamp


def split(request: NameVMs, found: Found) -> Split:
    able, refused = sort_by_state(found.of(VM), request.vms, "delete", *VMState)
    steps: dict[str, Step] = {}
    for vm in able:
        off = f"poweroff/{vm.id}"
        if vm.holds_memory:
            steps[off] = off_step(vm)
        steps[f"delete/{vm.id}"] = Step(function="vm.delete", resource=vm.id, needs=(off,) if vm.holds_memory else ())
    unwanted = [Change(VM, vm.id, {}, {"on": False}) for vm in able]
    return Split(steps=steps, results=refused, writes=(*unwanted, *leaving((vm.id for vm in able), found)))


async def delete(ports: Ports, task: Work) -> None:
    vm = await ports.store.get(VM, task.resource)
    if vm is None:
        return  # an earlier attempt got this far
    await require_lock(ports, task)
    if vm.state is not VMState.DELETING:
        vm = await record(ports, task, move(vm, VMState.DELETING, "its user deletes it"))
    await leave(ports, vm.id)
    writes: list[Write] = []
    gone: list[str] = []
    for name in vm.volumes:
        volume = await ports.store.get(Volume, name)
        if volume is not None and volume.vm != vm.id:
            continue  # it was to have one of this name, and did not get it
        await ports.block.detach(name, stamp(task, vm.epoch))
        await ports.block.delete(name, stamp(task, vm.epoch))
        gone.append(name)
        if volume is not None:
            move(volume, VolumeState.DELETING, "its VM is deleted")
            writes.append(Delete(volume))
    if vm.cdrom:
        await give_back(ports, task, vm.cdrom)
        medium = await ports.store.get(Volume, vm.cdrom)
        if medium is not None and medium.vm == vm.id:
            writes.append(Replace(msgspec.structs.replace(medium, vm="")))
    await commit_without(ports, gone, *writes, Delete(vm), locked(task))


DELETE = Verb(
    operation="vm.delete",
    resources=lambda request: each(VM, request.vms),
    split=split,
    whole=lambda request: (Group,),
    tasks=tasks(delete=delete, poweroff=poweroff, settle=settle),
)
