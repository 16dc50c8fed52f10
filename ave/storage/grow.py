"""Grow volumes, attached or not. The storage never shrinks one, so growing twice is growing once.

Whether the guest of a VM that runs sees it is a step of its own, on that VM's host. It takes no right: whatever else is done
with the VM meanwhile goes on, and a guest that is started later sees how large its disk is.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused
from ave.jobs import quota
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Fact, Result, Step, Work
from ave.operations import GrowVolumes
from ave.ports.hypervisor import Stamp
from ave.ports.store import Replace
from ave.ports.together import Ports
from ave.storage.steps import locked, read, require_size, stamp


def split(request: GrowVolumes, found: Found) -> Split:
    there = found.of(Volume)
    steps: dict[str, Step] = {}
    results: dict[str, Result] = {}
    for name, size_gib in request.sizes_gib.items():
        require_size(name, size_gib)
        if name not in there:
            continue  # left out because its lock is held
        volume = there[name]
        if refusal := _refusal(name, volume, size_gib):
            results[name] = Result(False, refusal)
        else:
            grow, arguments = f"grow/{name}", {"size_gib": size_gib}
            steps[grow] = Step(function="volume.grow", resource=name, arguments=arguments, undo="volume.stay")
            if volume is not None and volume.vm:
                steps[f"show/{name}"] = Step(function="volume.show", resource=name, fact=name, needs=(grow,))
    return Split(steps=steps, results=results)


def _refusal(name: str, volume: Volume | None, size_gib: int) -> str:
    if volume is None:
        return f"there is no volume {name}"
    if volume.state is not VolumeState.READY:
        return f"volume {name} is {volume.state}: grow needs it {VolumeState.READY}"
    if size_gib <= volume.size_gib:
        return f"volume {name} has {volume.size_gib} GiB: it can only grow, and not to {size_gib}"
    return ""


async def grow(ports: Ports, task: Work) -> dict[str, Fact]:
    """That it grows comes first, since that counts for its tenant; then the LUN: what the document promises is there. Its VM
    may be deleted, and it with the VM, at any moment. Answers where its VM runs."""
    size_gib = int(task.arguments["size_gib"])
    volume = await read(ports, task)
    if volume.state is not VolumeState.READY:
        raise Refused(f"volume {volume.id} is {volume.state}: grow needs it {VolumeState.READY}")
    if volume.size_gib < size_gib:
        if volume.growing_gib != size_gib:
            begun = msgspec.structs.replace(volume, growing_gib=size_gib)
            volume = (await quota.commit(ports, volume, Replace(begun), locked(task)))[0]
        await ports.block.grow(volume.id, size_gib, stamp(task))
        grown = msgspec.structs.replace(volume, size_gib=size_gib, growing_gib=0)
        await ports.store.commit(Replace(grown), locked(task))
    vm = await _runs_with(ports, volume)
    return {volume.id: Fact(host=vm.host if vm else ports.host)}


async def stay(ports: Ports, task: Work) -> None:
    """It could not be made larger, and counts no more as if it were. Its LUN may have grown: nobody was told."""
    volume = await ports.store.get(Volume, task.resource)
    if volume is not None and volume.growing_gib:
        await ports.store.commit(Replace(msgspec.structs.replace(volume, growing_gib=0)), locked(task))


async def show(ports: Ports, task: Work) -> dict[str, Fact]:
    """The volume is as large as its document says; its guest sees that now, or whoever asked is told why not."""
    volume = await read(ports, task)
    vm = await _runs_with(ports, volume)
    if vm is None:
        return {}
    why = f"it moved to {vm.host} meanwhile"
    if vm.host == ports.host:
        try:
            await ports.hypervisor.resize(vm.id, volume.id, volume.size_gib, Stamp(epoch=vm.epoch))
            return {}
        except Refused as refusal:
            why = str(refusal)
    note = f"{vm.id} may not see yet that volume {volume.id} has {volume.size_gib} GiB ({why}): restart it if so"
    return {volume.id: Fact(note=note)}


async def _runs_with(ports: Ports, volume: Volume) -> VM | None:
    """The VM that has a domain with this disk."""
    vm = await ports.store.get(VM, volume.vm) if volume.vm else None
    has = vm is not None and vm.state in (VMState.RUNNING, VMState.SUSPENDED) and volume.id in vm.volumes
    return vm if has else None


GROW = Verb(
    operation="volume.grow",
    resources=lambda request: each(Volume, request.sizes_gib),
    split=split,
    tasks={
        "volume.grow": TaskKind(function=grow, seconds=120.0),
        "volume.stay": TaskKind(function=stay, seconds=60.0),
        "volume.show": TaskKind(function=show, seconds=60.0),
    },
)
