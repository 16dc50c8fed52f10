"""Grow volumes, attached or not. The storage never shrinks one, so growing twice is growing once."""

from __future__ import annotations

import msgspec

from ave.errors import Refused
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, Step, Work
from ave.operations import GrowVolumes
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
            arguments = {"size_gib": size_gib}
            steps[f"grow/{name}"] = Step(function="volume.grow", resource=name, arguments=arguments)
    return Split(steps=steps, results=results)


def _refusal(name: str, volume: Volume | None, size_gib: int) -> str:
    if volume is None:
        return f"there is no volume {name}"
    if volume.state is not VolumeState.READY:
        return f"volume {name} is {volume.state}: grow needs it {VolumeState.READY}"
    if size_gib <= volume.size_gib:
        return f"volume {name} has {volume.size_gib} GiB: it can only grow, and not to {size_gib}"
    return ""


async def grow(ports: Ports, task: Work) -> None:
    """The LUN first: what the document promises is there. Its VM may be deleted, and it with the VM, at any moment."""
    size_gib = int(task.arguments["size_gib"])
    volume = await read(ports, task)
    if volume.state is not VolumeState.READY:
        raise Refused(f"volume {volume.id} is {volume.state}: grow needs it {VolumeState.READY}")
    if volume.size_gib < size_gib:
        await ports.block.grow(volume.id, size_gib, stamp(task))
        await ports.store.commit(Replace(msgspec.structs.replace(volume, size_gib=size_gib)), locked(task))


GROW = Verb(
    operation="volume.grow",
    resources=lambda request: each(Volume, request.sizes_gib),
    split=split,
    tasks={"volume.grow": TaskKind(function=grow, seconds=120.0)},
)
