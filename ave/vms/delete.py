"""Delete: off first, then the volumes, then the VM itself; every step may be repeated."""

from __future__ import annotations

from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Step, Work
from ave.operations import NameVMs
from ave.ports.store import Change, Delete, Write
from ave.ports.together import Ports
from ave.vms.power import off_step
from ave.vms.steps import locked, read, record, sort_by_state, stamp


def split(request: NameVMs, found: Found) -> Split:
    able, refused = sort_by_state(found.of(VM), request.vms, "delete", *VMState)
    steps: dict[str, Step] = {}
    for vm in able:
        off = f"poweroff/{vm.id}"
        if vm.holds_memory:
            steps[off] = off_step(vm)
        steps[f"delete/{vm.id}"] = Step(function="vm.delete", resource=vm.id, needs=(off,) if vm.holds_memory else ())
    return Split(steps=steps, results=refused, writes=tuple(Change(VM, vm.id, {}, {"on": False}) for vm in able))


async def delete(ports: Ports, task: Work) -> None:
    vm = await ports.store.get(VM, task.resource)
    if vm is None:
        return  # an earlier attempt got this far
    if vm.state is not VMState.DELETING:
        vm = await record(ports, task, move(await read(ports, task), VMState.DELETING, "its user deletes it"))
    writes: list[Write] = []
    for name in vm.volumes:
        await ports.block.delete(name, stamp(task, vm.epoch))
        volume = await ports.store.get(Volume, name)
        if volume is not None:
            move(volume, VolumeState.DELETING, "its VM is deleted")
            writes.append(Delete(volume))
    await ports.store.commit(*writes, Delete(vm), locked(task))


DELETE = Verb(
    operation="vm.delete",
    resources=lambda request: each(VM, request.vms),
    split=split,
    tasks={"vm.delete": TaskKind(function=delete)},
)
