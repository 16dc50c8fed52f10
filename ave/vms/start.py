"""Start: the scheduler finds a host, and that host takes the right to run the VM before it runs it.

The right is the VM's next epoch: given in the store by compare-and-set, enforced by the storage, carried by the domain.
Whoever holds an older epoch can neither write nor be started again. Rescue uses the very same function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from ave.errors import Refused
from ave.jobs.verb import Found, Split, Verb, each
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Step, Work
from ave.operations import StartVMs
from ave.placement.purpose import Purpose
from ave.ports.hypervisor import DomainState, Stamp
from ave.ports.store import Change, Check
from ave.ports.together import Ports
from ave.scheduler.steps import PLACE, Placing, place_step, start_step
from ave.vms.leftovers import make_room
from ave.vms.patience import tasks
from ave.vms.settle import settle
from ave.vms.steps import read, record, sort_by_state, stamp, stopped

Grant = Callable[[Ports, Work, VM], Awaitable[VM]]  # gives the VM's next epoch to this host, or is Refused


def split(request: StartVMs, found: Found) -> Split:
    able, refused = sort_by_state(found.of(VM), request.vms, "start", VMState.STOPPED)
    if not able:
        return Split(results=refused)
    names = tuple(vm.id for vm in able)
    steps = {PLACE: place_step(Placing(vms=names, purpose=Purpose.START, host=request.host))}
    steps |= {f"start/{name}": starting(name, PLACE) for name in names}
    writes = tuple(Change(VM, name, {}, {"on": True}) for name in names)
    return Split(steps=steps, results=refused, writes=writes)


def starting(vm: str, *needs: str) -> Step:
    """The step that starts it where the place step finds room; what it waits for is up to its Job."""
    return msgspec.structs.replace(start_step(vm), needs=needs)


async def start(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    if vm.state is not VMState.RUNNING or vm.host != ports.host:
        await bring_up(ports, task, vm, _grant)


async def bring_up(ports: Ports, task: Work, vm: VM, grant: Grant) -> None:
    """Run the VM here. Safe to repeat: what is half so is finished, and without a domain of its epoch it takes the next."""
    domains = await ports.hypervisor.list()
    domain = next((domain for domain in domains if domain.vm == vm.id), None)
    ours = vm.state is VMState.STARTING and vm.host == ports.host
    if not ours or domain is None or domain.epoch != vm.epoch or domain.state is DomainState.INCOMING:
        if domain is not None:
            await ports.hypervisor.destroy(vm.id, Stamp(epoch=domain.epoch))
        await make_room(ports, vm, domains)
        vm = await grant(ports, task, vm)
    try:
        for volume in vm.media:
            await ports.block.attach(volume, ports.host, stamp(task, vm.epoch))
        await ports.hypervisor.start(vm, stamp(task, vm.epoch))
    except Refused as refusal:
        await ports.hypervisor.destroy(vm.id, stamp(task, vm.epoch))
        await stopped(ports, task, vm, str(refusal))
        raise
    await record(ports, task, move(vm, VMState.RUNNING, f"started on {ports.host}", reserved=""))


def granted(vm: VM, here: Host) -> VM:
    """The VM with its next epoch, which is this host's."""
    next = msgspec.structs.replace(vm, host=here.id, host_epoch=here.epoch, epoch=vm.epoch + 1, had=(), refit=False)
    if vm.state is VMState.STARTING:
        return next
    return move(next, VMState.STARTING, f"{here.id} may run it, epoch {next.epoch}")


async def _grant(ports: Ports, task: Work, vm: VM) -> VM:
    """Take the VM's next epoch for this host, if the host may have it and nobody else can be running the VM."""
    here = await ports.store.get(Host, ports.host)
    if here is None or here.state is not HostState.ONLINE:
        raise Refused(f"{ports.host} does not accept VMs now: it is {here.state if here else 'unknown'}")
    if vm.reserved != ports.host:
        raise Refused(f"{vm.id} is not meant for {ports.host}: its place was given up meanwhile")
    if vm.state is not VMState.STOPPED and not (vm.host == ports.host and vm.host_epoch == here.epoch):
        await require_dead(ports, vm)
    return await record(ports, task, granted(vm, here), Check(Host, here.id, {"version": here.version}))


async def require_dead(ports: Ports, vm: VM) -> None:
    last = await ports.store.get(Host, vm.host)
    if last is not None and not dead(last, vm):
        raise Refused(f"{vm.id} may still run on {vm.host}, which is {last.state}")


def dead(last: Host, vm: VM) -> bool:
    """Is it proved that its last host runs the VM no more? What is proved here never becomes untrue: a fenced host may
    come back only with a new epoch, and only after nothing of its old one runs."""
    return last.epoch > vm.host_epoch or last.state in (HostState.FENCED, HostState.RECOVERED)


START_VERB = Verb(
    operation="vm.start",
    resources=lambda request: each(VM, request.vms),
    split=split,
    tasks=tasks(start=start, settle=settle),
)
