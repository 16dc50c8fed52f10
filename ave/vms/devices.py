"""The devices of a VM become others, also while it runs: attached under its epoch, plugged in, and then recorded.

At every step the document names volumes that the VM may have, so whoever starts it after a crash starts it rightly. What it
gained is not its own before it is recorded, and what it lost is only then free for others.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ave.errors import Refused
from ave.jobs import quota
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Work
from ave.operations import EditVM
from ave.ports.hypervisor import Stamp
from ave.ports.store import Conflict, Replace, Write
from ave.ports.together import Ports
from ave.vms.describe import edited
from ave.vms.steps import give_back, locked, read, record, require_here, stamp


async def edit(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    after = edited(vm, _wish(task))
    if after == vm:
        return  # an earlier attempt recorded it, and did so last
    gained, lost = _difference(after, vm), _difference(vm, after)
    volumes = await _volumes(ports, vm, gained, lost)
    if vm.state is VMState.RUNNING:
        require_here(ports, vm)
        await _require_networks(ports, after)
        for name in gained:
            await _attach(ports, task, vm, name)
        await ports.hypervisor.plug(after, stamp(task, vm.epoch))
    elif vm.state is VMState.STOPPED:
        after = await _outlive(ports, after, gained)
    else:
        raise Refused(f"{vm.id} is {vm.state} by now: its devices can be changed while it is stopped or running")
    for name in lost:
        await give_back(ports, task, name)
    # Beside its devices a stopped VM may also get more vCPUs and memory.
    now = replace(after, had=_had(vm, lost), refit=False)
    await quota.commit(ports, vm, Replace(now), locked(task), *volumes)


async def unedit(ports: Ports, task: Work) -> None:
    """The devices are again those that the document names, unless it names the new ones already."""
    vm = await read(ports, task)
    gained = _difference(edited(vm, _wish(task)), vm)
    try:
        # As it is, but newer: an edit that still goes on finds it moved, and is lost.
        vm = await record(ports, task, vm)
    except Conflict:
        vm = await read(ports, task)
    if edited(vm, _wish(task)) == vm or vm.state is not VMState.RUNNING or vm.host != ports.host:
        return
    for name in vm.media:
        await ports.block.attach(name, ports.host, stamp(task, vm.epoch))
    await ports.hypervisor.plug(vm, stamp(task, vm.epoch))
    given_back = [name for name in gained if await ports.block.owner(name) == (ports.host, vm.epoch)]
    for name in given_back:
        await give_back(ports, task, name)
    await record(ports, task, replace(vm, had=_had(vm, given_back), refit=False))


async def refit(ports: Ports, vm: VM) -> None:
    """Nobody ended an edit of this VM, which runs here: make the domain's devices those that the document names."""
    for name in vm.media:
        await ports.block.attach(name, ports.host, Stamp(epoch=vm.epoch))
    await ports.hypervisor.plug(vm, Stamp(epoch=vm.epoch))


def _wish(task: Work) -> EditVM:
    return msgspec.convert(task.arguments["wish"], EditVM, strict=False)


def _difference(one: VM, other: VM) -> list[str]:
    return [volume for volume in one.media if volume not in other.media]


async def _volumes(ports: Ports, vm: VM, gained: Sequence[str], lost: Sequence[str]) -> list[Write]:
    """The writes by which the volumes say whose they are. Refused when one is not, or no longer, to be had."""
    writes: list[Write] = []
    for name in gained:
        volume = await ports.store.get(Volume, name)
        if volume is None or volume.state is not VolumeState.READY or volume.vm not in ("", vm.id):
            raise Refused(f"volume {name} is not free any more: {vm.id} cannot have it")
        writes.append(Replace(replace(volume, vm=vm.id)))
    for name in lost:
        volume = await ports.store.get(Volume, name)
        if volume is not None and volume.vm == vm.id:
            writes.append(Replace(replace(volume, vm="")))
    return writes


async def _require_networks(ports: Ports, vm: VM) -> None:
    here = await ports.store.get(Host, ports.host)
    missing = [network for network in vm.networks if here is None or network not in here.networks]
    if missing:
        raise Refused(
            f"{ports.host} lacks network {missing[0]}: migrate {vm.id} to a host that has it, or shut it down"
        )


async def _attach(ports: Ports, task: Work, vm: VM, name: str) -> None:
    """Give the volume to the running VM. The storage keeps the epoch under which it was attached last, by whichever VM,
    and fences what is older; an epoch of the same number is this VM's own only if it is known to be."""
    owner, epoch = await ports.block.owner(name)
    again = epoch == vm.epoch and (owner == ports.host or (not owner and name in vm.had))
    if epoch >= vm.epoch and not again:
        raise Refused(
            f"volume {name} was attached under epoch {epoch}, and {vm.id} runs under {vm.epoch}: shut it down first"
        )
    if owner and not again:  # it is nobody's, and yet attached: where an edit was lost with its host
        await ports.block.detach(name, Stamp(epoch=epoch))
    await ports.block.attach(name, ports.host, stamp(task, vm.epoch))


def _had(vm: VM, given: Sequence[str]) -> tuple[str, ...]:
    return (*vm.had, *(name for name in given if name not in vm.had))


async def _outlive(ports: Ports, vm: VM, gained: Sequence[str]) -> VM:
    """The stopped VM with an epoch that is newer than all under which its new volumes were attached."""
    epoch = vm.epoch
    for name in gained:
        _, used = await ports.block.owner(name)
        if used:
            epoch = max(epoch, used + 1)
    return replace(vm, epoch=epoch)
