"""Live migration. At every instant exactly one host has the right to run the VM, and it changes hands in one commit.

Order: copy the memory until both copies stand still → the store gives the next epoch to the target → the storage gives it the
volumes → the target runs. Before the commit the source may go on; after it only the target may, however long it takes.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import Step, Work
from ave.operations import MigrateVMs
from ave.placement.scores import Purpose
from ave.ports.store import Check, Conflict
from ave.ports.together import Ports
from ave.scheduler.steps import PLACE, Placing, place_step
from ave.vms.steps import read, record, sort_by_state, stamp

FORWARD_SECONDS = 1.0


def split(request: MigrateVMs, found: Found) -> Split:
    able, refused = sort_by_state(found.of(VM), request.vms, "migrate", VMState.RUNNING)
    if not able:
        return Split(results=refused)
    names = tuple(vm.id for vm in able)
    steps = {PLACE: place_step(Placing(vms=names, purpose=Purpose.LIVE, host=request.host, leave=True))}
    for vm in able:
        steps[f"migrate/{vm.id}"] = Step(
            function="vm.migrate",
            resource=vm.id,
            host=vm.host,
            fact=vm.id,
            arguments={"epoch": vm.epoch},
            needs=(PLACE,),
        )
    return Split(steps=steps, results=refused)


async def migrate(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    if vm.epoch == task.arguments["epoch"] + 1:  # an earlier attempt got past the point of no return
        await _go_forward(ports, task, vm)
        return
    target = vm.reserved
    if vm.host != ports.host or vm.state is not VMState.RUNNING:
        raise Refused(f"{vm.id} does not run on {ports.host}")
    if not target or target == ports.host:
        raise Refused(f"{vm.id} has no other host to go to")
    there = await ports.store.get(Host, target)
    if there is None or there.state is not HostState.ONLINE:
        raise Refused(f"{target} does not accept VMs now")
    now = stamp(task, vm.epoch)  # the copy will be of the next epoch
    if task.attempt > 1:
        await ports.hypervisor.abort_migration(vm.id, target, now)  # what an earlier attempt left half done
    await ports.hypervisor.migrate(vm, target, now)
    try:
        moved = await _hand_over(ports, task, vm, there)
    except (Conflict, Unavailable) as trouble:
        await ports.hypervisor.abort_migration(vm.id, target, now)
        raise Refused(f"{vm.id} stays on {ports.host}: {trouble}") from trouble
    await _go_forward(ports, task, moved)


async def _hand_over(ports: Ports, task: Work, vm: VM, there: Host) -> VM:
    """The commit that makes the target the owner. A lost answer is read back until it is known."""
    moved = msgspec.structs.replace(vm, host=there.id, host_epoch=there.epoch, epoch=vm.epoch + 1, reserved="")
    try:
        return await record(ports, task, moved, Check(Host, there.id, {"version": there.version}))
    except UnknownOutcome:
        while True:
            try:
                now = await read(ports, task)
            except Unavailable:
                await ports.runtime.sleep(FORWARD_SECONDS)
                continue
            if now.epoch > vm.epoch:
                return now
            raise Unavailable("the hand-over was not committed") from None


async def _go_forward(ports: Ports, task: Work, vm: VM) -> None:
    """There is no way back: try until the target has the volumes and runs, or somebody fences it."""
    while True:
        try:
            for volume in vm.volumes:
                await ports.block.attach(volume, vm.host, stamp(task, vm.epoch))
            await ports.hypervisor.finish_migration(vm.id, vm.host, stamp(task, vm.epoch))
            return
        except Unavailable:
            await ports.runtime.sleep(FORWARD_SECONDS)


MIGRATE = Verb(
    operation="vm.migrate",
    resources=lambda request: each(VM, request.vms),
    split=split,
    tasks={"vm.migrate": TaskKind(function=migrate)},
)
