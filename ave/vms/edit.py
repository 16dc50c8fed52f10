"""Edit: what a VM is called and is worth at any time, its devices also while it runs, its vCPUs and memory while it is off.

Per VM it is all or nothing. What only the document knows is changed in the commit that begins the Job. Devices are a task:
first the storage and the domain are made as they shall be, then the document says so, with its volumes, in one commit.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from ave.jobs.verb import Found, Resource, Split, Verb, each
from ave.model.network import Network
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, Step
from ave.operations import EditVM, EditVMs
from ave.ports.store import Change, Replace, Write
from ave.vms.describe import DISKS_MAX, edited, require_name, require_within, still_active, unconnectable
from ave.vms.devices import edit, unedit
from ave.vms.patience import tasks

V = VMState
SETTLED = (V.STOPPED, V.RUNNING, V.SUSPENDED, V.UNKNOWN)  # in which its document may be changed at all
PLUGGABLE = (V.STOPPED, V.RUNNING)


def split(request: EditVMs, found: Found) -> Split:
    steps: dict[str, Step] = {}
    writes: list[Write] = []
    results: dict[str, Result] = {}
    vms = found.of(VM)
    for wish in request.vms:
        _require_possible(wish)
        if wish.id not in vms:
            continue  # its lock is held: already accounted for
        vm = vms[wish.id]
        if vm is None or (why := _refusal(wish, vm, found)):
            results[wish.id] = Result(False, why if vm is not None else f"there is no VM {wish.id}")
            continue
        after = edited(vm, wish)
        writes += still_active([n for n in after.networks if n not in vm.networks], found)
        if after.media != vm.media or (vm.state is V.RUNNING and after.networks != vm.networks):
            steps[f"edit/{vm.id}"] = _step(vm, wish)
            if vm.state is V.RUNNING:
                writes.append(Change(VM, vm.id, {}, {"refit": True}))
        else:
            results[vm.id] = Result(True)
            if after != vm:
                writes.append(Replace(after))
    return Split(steps=steps, writes=tuple(writes), results=results)


def _step(vm: VM, wish: EditVM) -> Step:
    """Where it runs; of a stopped one any host can do it."""
    host = vm.host if vm.state is V.RUNNING else ""
    arguments = {"wish": msgspec.to_builtins(wish)}
    return Step(function="vm.edit", resource=vm.id, host=host, arguments=arguments, undo="vm.unedit")


def _require_possible(wish: EditVM) -> None:
    """What no VM may be is refused whatever the VM is."""
    require_name(wish.id, wish.name)
    require_within(wish.id, "vcpus", wish.vcpus)
    require_within(wish.id, "memory_mib", wish.memory_mib)


def _refusal(wish: EditVM, vm: VM, found: Found) -> str:
    """Why this VM cannot be made so, or ""."""
    return next(_refusals(wish, vm, found), "")


def _refusals(wish: EditVM, vm: VM, found: Found) -> Iterator[str]:
    after = edited(vm, wish)
    if vm.state not in SETTLED:
        yield f"{vm.id} is {vm.state}: edit needs it {' or '.join(SETTLED)}"
    if (after.vcpus, after.memory_mib) != (vm.vcpus, vm.memory_mib) and vm.state is not V.STOPPED:
        yield f"{vm.id} is {vm.state}: its vCPUs and memory can be changed while it is stopped; shut it down first"
    if after.pinned is not vm.pinned and vm.state is not V.STOPPED:
        yield f"{vm.id} is {vm.state}: it can be pinned or unpinned while it is stopped; shut it down first"
    plugs = (after.media, after.networks) != (vm.media, vm.networks) or wish.detach
    if plugs and vm.state not in PLUGGABLE:
        yield f"{vm.id} is {vm.state}: its devices can be changed while it is {' or '.join(PLUGGABLE)}"
    for name in wish.detach:
        if name not in vm.volumes:
            yield f"{vm.id} has no volume {name} that could be detached"
    for name in (*wish.attach, *((wish.cdrom,) if wish.cdrom else ())):
        if name not in vm.media:
            yield from _unattachable(vm, name, found)
    if len(dict.fromkeys(after.media)) != len(after.media):
        yield f"{vm.id} cannot have {after.cdrom} both as a disk and in its CD-ROM drive"
    if len(after.volumes) > max(DISKS_MAX, len(vm.volumes)):
        yield f"{vm.id} would have {len(after.volumes)} disks: it may have {DISKS_MAX}"
    if why := unconnectable(vm.id, [n for n in after.networks if n not in vm.networks], found):
        yield why


def _unattachable(vm: VM, name: str, found: Found) -> Iterator[str]:
    volumes = found.of(Volume)
    volume = volumes.get(name)
    if name not in volumes:
        yield f"volume {name}, which {vm.id} shall get, is locked by another Job"
    elif volume is None:
        yield f"there is no volume {name} for {vm.id}"
    elif volume.state is not VolumeState.READY:
        yield f"volume {name} is {volume.state}: to be attached to {vm.id} it must be {VolumeState.READY}"
    elif volume.vm not in ("", vm.id):
        yield f"volume {name} belongs to VM {volume.vm}: detach it there first"


def _resources(request: EditVMs) -> tuple[Resource, ...]:
    """The VMs, and every volume that one of them gets or gives away by name."""
    volumes = [name for wish in request.vms for name in (*wish.attach, *wish.detach, wish.cdrom)]
    return (
        *each(VM, (wish.id for wish in request.vms)),
        *each(Volume, (name for name in volumes if name is not UNSET and name)),
    )


def _networks(request: EditVMs) -> tuple[Resource, ...]:
    lists = (wish.networks for wish in request.vms if wish.networks is not UNSET)
    return each(Network, dict.fromkeys(name for networks in lists for name in networks))


EDIT = Verb(
    operation="vm.edit",
    resources=_resources,
    split=split,
    tasks=tasks(edit=edit, unedit=unedit),
    also=_networks,
)
