"""What the verbs share: reading a VM under its Job's lock, the stamp of an effect, and refusals by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ave.errors import Refused, Stale, Unavailable
from ave.model.cluster import Lock, lock_name
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Result, Work
from ave.ports.hypervisor import Domain, Ended, Stamp
from ave.ports.store import Check, Replace, Write
from ave.ports.together import Ports


def lock_of(vm: str) -> str:
    return lock_name(VM, vm)


def stamp(task: Work, epoch: int) -> Stamp:
    """On this task's behalf, under its Job's lock and the VM's epoch."""
    lock = lock_of(task.resource)
    token = task.tokens[lock]
    return Stamp(job=task.job, task=task.id, attempt=task.attempt, lock=lock, token=token, epoch=epoch)


def locked(task: Work) -> Check:
    """The condition of every write for the task's VM: its Job still holds the lock it began with."""
    return Check(Lock, lock_of(task.resource), {"job": task.job})


async def require_lock(ports: Ports, task: Work) -> None:
    """Stale once the Job has ended: a worker that was away tries again in vain, and does nothing that nobody awaits."""
    lock = await ports.store.get(Lock, lock_of(task.resource))
    if lock is None or lock.job != task.job:
        raise Stale(task.id)


async def read(ports: Ports, task: Work) -> VM:
    """The task's VM, while its Job owns it."""
    vm = await ports.store.get(VM, task.resource)
    if vm is None:
        raise Refused(f"there is no VM {task.resource}")
    await require_lock(ports, task)
    return vm


async def domain_of(ports: Ports, vm: str) -> Domain | None:
    """What of the VM is on this host."""
    return next((domain for domain in await ports.hypervisor.list() if domain.vm == vm), None)


async def ended_of(ports: Ports, vm: str) -> Ended | None:
    """How the VM ended on this host, if it did so by itself."""
    return next((ended for ended in await ports.hypervisor.ended() if ended.vm == vm), None)


def require_here(ports: Ports, vm: VM) -> None:
    if vm.host != ports.host:
        raise Refused(f"{vm.id} is on {vm.host}, not on {ports.host}")


async def record(ports: Ports, task: Work, vm: VM, *also: Write) -> VM:
    """Write the VM under the Job's lock; Conflict if it moved."""
    return (await ports.store.commit(Replace(vm), locked(task), *also))[0]  # type: ignore[no-any-return]


async def stopped(ports: Ports, task: Work, vm: VM, why: str) -> VM:
    """Its domain is gone for certain: it runs nowhere, and nobody may write to its volumes."""
    try:
        for volume in vm.media:
            await ports.block.detach(volume, stamp(task, vm.epoch))
    except Unavailable:
        pass  # that it runs nowhere is true all the same; what stays attached is fenced by the next attach
    return vm if vm.state is VMState.STOPPED else await record(ports, task, not_running(vm, why))


async def give_back(ports: Ports, task: Work, volume: str) -> None:
    """The task's VM writes to it no more and others may have it. Under the very epoch under which it is attached, so that
    the next VM's need not be newer than any that this one had without it."""
    owner, epoch = await ports.block.owner(volume)
    if owner:
        await ports.block.detach(volume, stamp(task, epoch))


def not_running(vm: VM, why: str) -> VM:
    """The VM, of which it is certain that it runs nowhere. One that is wanted on is the VM Monitor's to bring back: of no
    host's epoch, it counts as left behind by its host, and is rescued for as long as it is wanted."""
    if vm.on and vm.ha:
        return move(vm, VMState.UNKNOWN, why, host_epoch=0, reserved="")
    return move(vm, VMState.STOPPED, why, reserved="")


def sort_by_state(
    found: Mapping[str, Any], names: Iterable[str], verb: str, *legal: VMState
) -> tuple[list[VM], dict[str, Result]]:
    """The VMs this verb may act on, and a refusal by name for each of the others."""
    able: list[VM] = []
    refused: dict[str, Result] = {}
    for name in names:
        if name not in found:
            continue  # left out because its lock is held: already accounted for
        vm: VM | None = found[name]
        if vm is None:
            refused[name] = Result(False, f"there is no VM {name}")
        elif vm.state not in legal:
            refused[name] = Result(False, f"{name} is {vm.state}: {verb} needs it {' or '.join(legal)}")
        else:
            able.append(vm)
    return able, refused
