"""Create VMs in a batch: volumes and places are made side by side, then each VM starts on its own.

A VM for which there is no place is created all the same, and stays stopped: its result says why.
"""

from __future__ import annotations

from ave.errors import Refused
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, Step, Work
from ave.operations import CreateVMs, NewVM
from ave.placement.scores import Purpose
from ave.ports.store import Insert, Replace, Write
from ave.ports.together import Ports
from ave.scheduler.steps import PLACE, Placing, place_step, start_step
from ave.vms.steps import locked, read, stamp

VCPUS_MAX, MEMORY_MIB_MAX, DISK_GIB_MAX, DISKS_MAX = 1024, 64 * 2**20, 64 * 2**10, 64


def split(request: CreateVMs, found: Found) -> Split:
    steps: dict[str, Step] = {}
    writes: list[Write] = []
    results: dict[str, Result] = {}
    there = found.of(VM)
    for new in request.vms:
        if there.get(new.id) is not None:
            results[new.id] = Result(False, f"there already is a VM {new.id}")
        elif new.id in there:
            writes += _documents(new, request.start)
            steps[f"volumes/{new.id}"] = Step(function="vm.make-volumes", resource=new.id)
    names = tuple(new.id for new in request.vms if f"volumes/{new.id}" in steps)
    if request.start and names:
        steps[PLACE] = place_step(Placing(vms=names, purpose=Purpose.START))
        steps |= {f"start/{name}": start_step(name, f"volumes/{name}") for name in names}
    return Split(steps=steps, writes=tuple(writes), results=results)


def _documents(new: NewVM, on: bool) -> list[Write]:
    _check(new)
    volumes = tuple(f"{new.id}-disk-{i}" for i in range(1, len(new.disks_gib) + 1))
    vm = VM(
        id=new.id,
        vcpus=new.vcpus,
        memory_mib=new.memory_mib,
        volumes=volumes,
        networks=new.networks,
        cpu_model=new.cpu_model,
        ha=new.ha,
        priority=new.priority,
        labels=new.labels,
        on=on,
    )
    sizes = zip(volumes, new.disks_gib, strict=True)
    return [Insert(vm), *(Insert(Volume(id=id, size_gib=size, vm=new.id)) for id, size in sizes)]


def _check(new: NewVM) -> None:
    for what, value, most in (
        ("vcpus", new.vcpus, VCPUS_MAX),
        ("memory_mib", new.memory_mib, MEMORY_MIB_MAX),
        *((f"disks_gib[{i}]", size, DISK_GIB_MAX) for i, size in enumerate(new.disks_gib)),
        ("number of disks", len(new.disks_gib) or 1, DISKS_MAX),
    ):
        if not 1 <= value <= most:
            raise Refused(f"VM {new.id}: {what} is {value}, it must be 1 to {most}")
    if not new.id or len(new.id) > 128 or "/" in new.id or not new.id.isprintable():
        raise Refused(f"VM name {new.id[:40]!r}: 1 to 128 printable characters without '/' are needed")


async def make_volumes(ports: Ports, task: Work) -> None:
    """Every volume of the VM exists and is ready when this returns; the VM then exists too, stopped."""
    vm = await read(ports, task)
    writes: list[Write] = []
    for name in vm.volumes:
        volume = await ports.store.get(Volume, name)
        if volume is None:
            raise Refused(f"there is no volume {name}")
        if volume.state is VolumeState.CREATING:
            await ports.block.create(name, volume.size_gib, stamp(task, vm.epoch))
            writes.append(Replace(move(volume, VolumeState.READY, "its LUN was made")))
    if vm.state is VMState.CREATING:
        vm = await read(ports, task)  # the scheduler may have reserved a place for it meanwhile
        writes.append(Replace(move(vm, VMState.STOPPED, "its volumes were made")))
    if writes:
        await ports.store.commit(*writes, locked(task))


CREATE = Verb(
    operation="vm.create",
    resources=lambda request: each(VM, (new.id for new in request.vms)),
    split=split,
    tasks={"vm.make-volumes": TaskKind(function=make_volumes)},
)
