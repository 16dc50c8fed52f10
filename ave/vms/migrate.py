"""Migration: of a running VM with its memory, of a stopped one only where it is to run next.

At every instant exactly one host has the right to run the VM, and it changes hands in one commit. Order of a live migration:
the storage lets the target open the volumes → copy the memory until both copies stand still → the store gives the next epoch to
the target → the storage gives it the volumes → the target runs. Before the commit the source may go on; after it only the
target may, however long it takes.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.verb import Found, Split, Verb, each
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import Result, Step, Work
from ave.operations import MigrateVMs
from ave.placement.purpose import Purpose
from ave.ports.hypervisor import DomainState, Stamp
from ave.ports.store import Check, Conflict
from ave.ports.together import Ports
from ave.scheduler.steps import PLACE, Placing, place_step
from ave.vms.patience import tasks
from ave.vms.steps import domain_of, read, record, require_lock, sort_by_state, stamp

FORWARD_SECONDS = 1.0
PLACE_STOPPED = "place/stopped"


def split(request: MigrateVMs, found: Found) -> Split:
    able, results = sort_by_state(found.of(VM), request.vms, "migrate", VMState.RUNNING, VMState.STOPPED)
    for vm in able:
        if vm.host and vm.host == request.host:
            results[vm.id] = Result(False, f"{vm.id} is on {vm.host} already: name another host, or none")
        elif vm.state is VMState.RUNNING and vm.reserved:
            # Whoever held room for it there has ended, and could not look.
            what = f"something of {vm.id} may still be on {vm.reserved}: try again once that host has looked, within a minute"
            results[vm.id] = Result(False, what)
    able = [vm for vm in able if vm.id not in results]
    running = [vm for vm in able if vm.state is VMState.RUNNING]
    stopped = [vm for vm in able if vm.state is VMState.STOPPED]
    steps: dict[str, Step] = {}
    if running:
        steps[PLACE] = _place(running, Purpose.LIVE, request.host)
        steps |= {f"migrate/{vm.id}": _step(vm, PLACE, "vm.migrate", vm.host, "vm.abort-migration") for vm in running}
    if stopped:
        steps[PLACE_STOPPED] = _place(stopped, Purpose.START, request.host)
        steps |= {f"assign/{vm.id}": _step(vm, PLACE_STOPPED, "vm.assign", "", "") for vm in stopped}
    return Split(steps=steps, results=results)


def _place(vms: list[VM], purpose: Purpose, host: str) -> Step:
    return place_step(Placing(vms=tuple(vm.id for vm in vms), purpose=purpose, host=host, leave=True))


def _step(vm: VM, need: str, function: str, host: str, undo: str) -> Step:
    arguments = {"epoch": vm.epoch}
    return Step(function=function, resource=vm.id, host=host, fact=vm.id, arguments=arguments, needs=(need,), undo=undo)


async def migrate(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    if _handed_over(vm, task):  # an earlier attempt got past the point of no return
        await _go_forward(ports, task, vm)
        return
    target = vm.reserved
    if vm.host != ports.host or vm.state is not VMState.RUNNING:
        raise Refused(f"{vm.id} does not run on {ports.host}")
    if not target or target == ports.host:
        raise Refused(f"{vm.id} has no other host to go to")
    there = await _accepting(ports, target)
    now = stamp(task, vm.epoch)  # the copy will be of the next epoch
    domain = await domain_of(ports, vm.id)
    if task.attempt > 1 or (domain is not None and domain.state is DomainState.PAUSED):
        await ports.hypervisor.abort_migration(vm.id, target, now)  # what an earlier attempt left half done
    for volume in vm.media:
        await ports.block.admit(volume, target, now)
    await ports.hypervisor.migrate(msgspec.structs.replace(vm, host_epoch=there.epoch), target, now)
    try:
        moved = await _hand_over(ports, task, vm, there)
    except (Conflict, Unavailable) as trouble:
        await ports.hypervisor.abort_migration(vm.id, target, now)
        raise Refused(f"{vm.id} stays on {ports.host}: {trouble}") from trouble
    await _go_forward(ports, task, moved)


async def abort_migration(ports: Ports, task: Work) -> None:
    """End a migration that failed or was stopped: forward if it was handed over, else the VM runs on where it was."""
    vm = await read(ports, task)
    if not _handed_over(vm, task):
        try:
            await _outrun(ports, task, vm)
        except Conflict:
            vm = await read(ports, task)
    if _handed_over(vm, task):
        await _go_forward(ports, task, vm)
    elif vm.host == ports.host and vm.state is VMState.RUNNING:
        await ports.hypervisor.abort_migration(vm.id, vm.reserved or ports.host, stamp(task, vm.epoch))
        try:
            for volume in vm.media:  # the target may not even open them any more
                await ports.block.attach(volume, ports.host, stamp(task, vm.epoch))
        except (Unavailable, UnknownOutcome) as trouble:
            # Whoever gets them next takes that away as well. Until then nobody must wait for this host, least of all a rescue.
            ports.runtime.log("volumes stay open to the target", vm=vm.id, host=vm.reserved, why=str(trouble))


def _handed_over(vm: VM, task: Work) -> bool:
    return vm.epoch > int(task.arguments["epoch"])


async def _accepting(ports: Ports, target: str) -> Host:
    there = await ports.store.get(Host, target)
    if there is None or there.state is not HostState.ONLINE:
        raise Refused(f"{target} does not accept VMs now: it is {there.state if there else 'unknown'}")
    return there


async def _hand_over(ports: Ports, task: Work, vm: VM, there: Host) -> VM:
    """The commit that makes the target the owner. A lost answer is read back until it is known: that it is not there yet is
    no proof, for it may be on its way."""
    try:
        return await record(ports, task, _moved(vm, there), Check(Host, there.id, {"version": there.version}))
    except UnknownOutcome:
        while True:
            try:
                now = await read(ports, task)
                if now.epoch > vm.epoch:
                    return now
                await _outrun(ports, task, now)
            except Conflict:
                continue
            except (Unavailable, UnknownOutcome):
                await ports.runtime.sleep(FORWARD_SECONDS)
                continue
            raise Unavailable("the hand-over was not committed") from None


async def _outrun(ports: Ports, task: Work, vm: VM) -> None:
    """The VM as it is, but newer: a hand-over under way finds it moved, and is lost. Conflict if it was faster."""
    await record(ports, task, vm)


def _moved(vm: VM, there: Host) -> VM:
    """A VM that had to do without CPUs of its own has them again: there was room for them, or it would not have been placed."""
    here = {"host": there.id, "host_epoch": there.epoch}
    return msgspec.structs.replace(vm, **here, epoch=vm.epoch + 1, had=(), reserved="", unpinned=False)


async def _go_forward(ports: Ports, task: Work, vm: VM) -> None:
    """There is no way back: try until the target has the volumes and runs, or the Job is over: then it helps itself."""
    tried = False
    while True:
        try:
            if tried:
                await require_lock(ports, task)
            tried = True
            for volume in vm.media:
                await ports.block.attach(volume, vm.host, stamp(task, vm.epoch))
            await ports.hypervisor.finish_migration(vm.id, vm.host, stamp(task, vm.epoch))
            return
        except Unavailable:
            await ports.runtime.sleep(FORWARD_SECONDS)


async def assign(ports: Ports, task: Work) -> None:
    """A stopped VM belongs to this host from now on: it takes an epoch, so that each has had one owner."""
    vm = await read(ports, task)
    if _handed_over(vm, task):
        return
    if vm.state is not VMState.STOPPED or vm.reserved != ports.host:
        raise Refused(f"{vm.id} is {vm.state} by now, and meant for {vm.reserved or 'no host'}")
    there = await _accepting(ports, ports.host)
    if (
        left := await domain_of(ports, vm.id)
    ) is not None:  # of a migration that was given up: it has the epoch to come
        await ports.hypervisor.destroy(vm.id, Stamp(epoch=left.epoch))
    await record(ports, task, _moved(vm, there), Check(Host, there.id, {"version": there.version}))


MIGRATE = Verb(
    operation="vm.migrate",
    resources=lambda request: each(VM, request.vms),
    split=split,
    tasks=tasks(migrate=migrate, abort_migration=abort_migration, assign=assign),
)
