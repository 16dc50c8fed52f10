"""Delete volumes that belong to no VM. What a VM has is detached from it first, or deleted with it."""

from __future__ import annotations

import msgspec

from ave.errors import Refused
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.states import move
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, Step, Work
from ave.operations import NameVolumes
from ave.ports.hypervisor import Stamp
from ave.ports.store import Delete, Replace
from ave.ports.together import Ports
from ave.storage.luns import commit_without
from ave.storage.steps import TRIES_THROUGH_AN_OUTAGE, locked, stamp


def split(request: NameVolumes, found: Found) -> Split:
    there = found.of(Volume)
    steps: dict[str, Step] = {}
    results: dict[str, Result] = {}
    for name in request.volumes:
        if name not in there:
            continue  # left out because its lock is held
        volume = there[name]
        if volume is None:
            results[name] = Result(False, f"there is no volume {name}")
        elif volume.vm:
            results[name] = Result(False, f"volume {name} belongs to VM {volume.vm}: detach it, or delete the VM")
        else:
            steps[f"delete/{name}"] = Step(function="volume.delete", resource=name)
    return Split(steps=steps, results=results)


async def delete(ports: Ports, task: Work) -> None:
    volume = await ports.store.get(Volume, task.resource)
    if volume is None or volume.vm:
        return  # an earlier attempt got this far; one of that name may have been made since, with a VM
    if volume.state is not VolumeState.DELETING:
        going = move(volume, VolumeState.DELETING, "its user deletes it")
        volume = (await ports.store.commit(Replace(going), locked(task)))[0]
    await ports.block.delete(volume.id, await _detached(ports, task, volume))
    await commit_without(ports, (volume.id,), Delete(volume), locked(task))


async def _detached(ports: Ports, task: Work, volume: Volume) -> Stamp:
    """It is no VM's, and yet it may be attached: where an edit was lost with its host."""
    try:
        owner, epoch = await ports.block.owner(volume.id)
    except Refused:
        return stamp(task)  # an earlier attempt has deleted its LUN
    now = msgspec.structs.replace(stamp(task), epoch=epoch)
    if owner:
        await ports.block.detach(volume.id, Stamp(epoch=epoch))
    return now


DELETE = Verb(
    operation="volume.delete",
    resources=lambda request: each(Volume, request.volumes),
    split=split,
    tasks={"volume.delete": TaskKind(function=delete, seconds=120.0, tries=TRIES_THROUGH_AN_OUTAGE)},
)
