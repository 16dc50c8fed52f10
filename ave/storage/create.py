"""Create volumes in a batch. One that cannot be made leaves neither a LUN nor a document."""

from __future__ import annotations

import msgspec

from ave.errors import Refused
from ave.jobs import quota
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.states import move
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, Step, Work
from ave.operations import CreateVolumes, NewVolume
from ave.ports.store import Check, Conflict, Delete, Insert, Replace
from ave.ports.together import Ports
from ave.storage.luns import commit_without, reserve
from ave.storage.steps import TRIES_THROUGH_AN_OUTAGE, locked, require_name, require_policy, require_size, stamp


def split(request: CreateVolumes, found: Found) -> Split:
    """Each document comes with its task, so that a Job cancelled before its tasks began leaves nothing."""
    there = found.of(Volume)
    steps: dict[str, Step] = {}
    results: dict[str, Result] = {}
    for new in request.volumes:
        require_name(new.id)
        require_size(new.id, new.size_gib)
        require_policy(new.id, new.policy)
        if (known := there.get(new.id)) is not None:
            results[new.id] = _taken(known)
        elif new.id in there:
            arguments = msgspec.to_builtins(new)
            steps[f"create/{new.id}"] = Step(
                function="volume.create", resource=new.id, arguments=arguments, undo="volume.discard"
            )
    return Split(steps=steps, results=results)


def _taken(known: Volume) -> Result:
    whose = f", of VM {known.vm}" if known.vm else ""
    return Result(False, f"there already is a volume {known.id}{whose}: choose another name")


async def create(ports: Ports, task: Work) -> None:
    """The document first: a LUN without one would be found by nobody."""
    new = msgspec.convert(task.arguments, NewVolume, strict=False)
    volume = await ports.store.get(Volume, new.id)
    if volume is None:
        made = Volume(id=new.id, size_gib=new.size_gib, policy=new.policy, tenant=task.tenant)
        volume = (await quota.commit(ports, None, Insert(made), locked(task)))[0]
    if volume.vm or volume.state is VolumeState.DELETING:
        raise Refused(_taken(volume).why)  # it was made meanwhile, with a VM
    if volume.state is VolumeState.CREATING:
        unmoved = Check(Volume, volume.id, {"version": volume.version})
        slots = await reserve(ports, {volume.id: volume.policy}, unmoved, locked(task))
        await ports.block.create(volume.id, volume.size_gib, stamp(task), slots.get(volume.id))
        try:
            await ports.store.commit(Replace(move(volume, VolumeState.READY, "its LUN was made")), locked(task))
        except Conflict:
            if await ports.store.get(Volume, volume.id) is None:
                await ports.block.delete(volume.id, stamp(task))  # given up while we stood still: nobody knows of it
            raise


async def discard(ports: Ports, task: Work) -> None:
    """The document last: as long as there may be a LUN, there is one that names it."""
    volume = await ports.store.get(Volume, task.resource)
    if volume is None or volume.vm:
        return  # nothing was begun, all is undone, or it is another one, which was made with a VM
    if volume.state is not VolumeState.DELETING:
        gone = move(volume, VolumeState.DELETING, "its making was given up")
        volume = (await ports.store.commit(Replace(gone), locked(task)))[0]
    await ports.block.delete(volume.id, stamp(task))
    await commit_without(ports, (volume.id,), Delete(volume), locked(task))


CREATE = Verb(
    operation="volume.create",
    resources=lambda request: each(Volume, (new.id for new in request.volumes)),
    split=split,
    tasks={
        "volume.create": TaskKind(function=create, seconds=120.0, stoppable=True),
        "volume.discard": TaskKind(function=discard, seconds=120.0, tries=TRIES_THROUGH_AN_OUTAGE),
    },
)
