"""Create VMs in a batch: volumes and places are made side by side, then each VM starts on its own.

A VM for which there is no place is created all the same, and stays stopped: its result says why. One whose volumes cannot be
made leaves nothing. The volumes' documents come with their LUNs, so that a name that is taken is found out by name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ave.errors import Refused, Stale
from ave.jobs.verb import Found, Split, Verb, each
from ave.model.group import Group
from ave.model.host import Host
from ave.model.network import Network
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.volume import StoragePolicy, Volume, VolumeState
from ave.model.work import Result, Step, Work
from ave.operations import CreateVMs, NewVM
from ave.placement.contradictions import listed
from ave.placement.purpose import Purpose
from ave.ports.store import Check, Conflict, Insert, Replace, Write
from ave.ports.together import Ports
from ave.scheduler.steps import PLACE, Placing, place_step
from ave.storage.luns import commit_with, reserve
from ave.vms.delete import delete
from ave.vms.describe import DISKS_MAX, require_id, require_name, require_within, still_active, unconnectable
from ave.vms.membership import joining, require_distinct, unjoinable, unkeepable
from ave.vms.patience import tasks
from ave.vms.settle import settle
from ave.vms.start import start, starting
from ave.vms.steps import locked, read, stamp

GROUP_OF = 50  # VMs; a larger batch goes on in resource groups of so many, each with a plan of its own
DISCARD = "vm.discard"


def split(request: CreateVMs, found: Found) -> Split:
    results: dict[str, Result] = {}
    new: dict[str, NewVM] = {}
    there = found.of(VM)
    for one in request.vms:
        require_possible(one)
        if one.id not in there:
            continue  # its lock is held: already accounted for
        if (known := there[one.id]) is not None:
            results[one.id] = Result(False, _exists(known))
        elif why := unconnectable(one.id, one.networks, found) or unjoinable(one, found):
            results[one.id] = Result(False, why)
        else:
            new[one.id] = one
    if why := unkeepable(new.values(), found):
        bound = [one.id for one in new.values() if one.groups]
        results |= dict.fromkeys(bound, Result(False, f"{listed(bound)} cannot be created in their groups: {why}"))
        new = {id: one for id, one in new.items() if id not in results}
    writes = [*(Insert(_document(one, request.start)) for one in new.values()), *joining(new.values(), found)]
    networks = dict.fromkeys(network for one in new.values() for network in one.networks)
    whole = _in_groups(new, request.start) if len(new) > GROUP_OF else _together(new, request.start)
    return msgspec.structs.replace(whole, writes=(*still_active(networks, found), *writes), results=results)


def _together(new: dict[str, NewVM], on: bool) -> Split:
    steps: dict[str, Step] = {PLACE: _place(new)} if new and on else {}
    for one in new.values():
        steps |= _steps(one, on, PLACE)
    return Split(steps=steps)


def _in_groups(new: dict[str, NewVM], on: bool) -> Split:
    """One place for all comes first, since they are placed together; should it fail, no group begins."""
    each = list(new.values())
    groups: dict[str, dict[str, Step]] = {}
    for first in range(0, len(each), GROUP_OF):
        steps = [_steps(one, on) for one in each[first : first + GROUP_OF]]
        groups[str(first // GROUP_OF + 1)] = {name: step for of_one in steps for name, step in of_one.items()}
    if not on:
        return Split(groups=groups)
    return Split(steps={PLACE: _place(new)}, groups=groups, groups_need=(PLACE,))


def _place(new: dict[str, NewVM]) -> Step:
    return place_step(Placing(vms=tuple(new), purpose=Purpose.START))


def _steps(new: NewVM, on: bool, *needs: str) -> dict[str, Step]:
    volumes = f"volumes/{new.id}"
    sizes = {"sizes_gib": list(new.disks_gib)}
    steps = {volumes: Step(function="vm.make-volumes", resource=new.id, arguments=sizes, undo=DISCARD, owed=True)}
    if on:
        steps[f"start/{new.id}"] = starting(new.id, *needs, volumes)
    return steps


def require_possible(new: NewVM) -> None:
    """Raises Refused, which names what cannot be."""
    require_id(new.id)
    require_name(new.id, new.name)
    require_within(new.id, "vcpus", new.vcpus)
    require_within(new.id, "memory_mib", new.memory_mib)
    for i, size in enumerate(new.disks_gib):
        require_within(new.id, f"disks_gib[{i}]", size)
    require_distinct(new)
    if len(new.disks_gib) > DISKS_MAX:
        raise Refused(f"VM {new.id}: it has {len(new.disks_gib)} disks, it may have {DISKS_MAX}")


def _exists(known: VM) -> str:
    if known.state is VMState.CREATING:  # and no Job holds it
        return f"a VM {known.id} was left half made by a Job that was cancelled: delete it first"
    return f"there already is a VM {known.id}"


def _document(new: NewVM, on: bool) -> VM:
    return VM(
        id=new.id,
        name=new.name,
        vcpus=new.vcpus,
        memory_mib=new.memory_mib,
        volumes=tuple(f"{new.id}-disk-{i}" for i in range(1, len(new.disks_gib) + 1)),
        making_gib=sum(new.disks_gib),
        networks=new.networks,
        cpu_model=new.cpu_model,
        pinned=new.pinned,
        ha=new.ha,
        priority=new.priority,
        labels=new.labels,
        on=on,
    )


async def make_volumes(ports: Ports, task: Work) -> None:
    """Every volume of the VM exists and is ready when this returns; the VM then exists too, stopped."""
    vm = await read(ports, task)
    if vm.state is not VMState.CREATING:
        return  # an earlier attempt got this far
    writes: list[Write] = []
    made: list[str] = []
    unmade = Check(VM, vm.id, {"state": VMState.CREATING})
    slots = await reserve(ports, dict.fromkeys(vm.volumes, StoragePolicy()), unmade, locked(task))
    try:
        for name, size in zip(vm.volumes, task.arguments["sizes_gib"], strict=True):
            if (known := await ports.store.get(Volume, name)) is not None:
                whose = f"of VM {known.vm}" if known.vm else "of no VM"
                raise Refused(f"{vm.id} needs a volume {name}, and there already is one, {whose}")
            await ports.block.create(name, size, stamp(task, vm.epoch), slots.get(name))
            made.append(name)
            ready = move(
                Volume(id=name, size_gib=size, vm=vm.id, tenant=vm.tenant), VolumeState.READY, "its LUN was made"
            )
            writes.append(Insert(ready))
        vm = await read(ports, task)  # the scheduler may have reserved a place for it meanwhile
        writes.append(Replace(move(vm, VMState.STOPPED, "its volumes were made", making_gib=0)))
        await commit_with(ports, slots, *writes, locked(task))
    except (Refused, Stale, Conflict):
        if (
            made and await ports.store.get(VM, vm.id) is None
        ):  # given up while we stood still: nobody else knows of these
            for name in made:
                await ports.block.delete(name, stamp(task, vm.epoch))
        raise


async def discard(ports: Ports, task: Work) -> None:
    """Leave nothing of a VM that could not be made."""
    vm = await ports.store.get(VM, task.resource)
    if vm is not None and vm.state in (VMState.CREATING, VMState.DELETING):
        await delete(ports, task)


def _whole(request: CreateVMs) -> tuple[type[Any], ...]:
    """The groups always: one may still have a VM of such a name that is no more."""
    return (Group, Host) if any(new.groups for new in request.vms) else (Group,)


CREATE = Verb(
    operation="vm.create",
    resources=lambda request: each(VM, (new.id for new in request.vms)),
    split=split,
    tasks=tasks(make_volumes=make_volumes, discard=discard, start=start, settle=settle),
    also=lambda request: each(Network, dict.fromkeys(n for new in request.vms for n in new.networks)),
    names=lambda request: each(Group, dict.fromkeys(group for new in request.vms for group in new.groups)),
    whole=_whole,
)
