"""Start: the scheduler finds a host, and that host takes the right to run the VM before it runs it.

The right is the VM's next epoch: given in the store by compare-and-set, enforced by the storage, carried by the domain.
Whoever holds an older epoch can neither write nor be started again. Rescue uses the very same function.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Work
from ave.operations import StartVMs
from ave.placement.scores import Purpose
from ave.ports.hypervisor import Domain, DomainState, Stamp
from ave.ports.store import Change, Check
from ave.ports.together import Ports
from ave.scheduler.steps import PLACE, START, Placing, place_step, start_step
from ave.vms.steps import read, record, sort_by_state, stamp, stopped


def split(request: StartVMs, found: Found) -> Split:
    able, refused = sort_by_state(found.of(VM), request.vms, "start", VMState.STOPPED)
    if not able:
        return Split(results=refused)
    names = tuple(vm.id for vm in able)
    steps = {PLACE: place_step(Placing(vms=names, purpose=Purpose.START, host=request.host))}
    steps |= {f"start/{name}": start_step(name) for name in names}
    writes = tuple(Change(VM, name, {}, {"on": True}) for name in names)
    return Split(steps=steps, results=refused, writes=writes)


async def start(ports: Ports, task: Work) -> None:
    """Run the VM here. Safe to repeat: what is already so is left so, what is half so is finished."""
    vm = await read(ports, task)
    domain = await _domain(ports, vm.id)
    if vm.state is VMState.RUNNING and vm.host == ports.host:
        return
    if (
        not _granted(vm, ports.host)
        or domain is None
        or domain.epoch != vm.epoch
        or domain.state is DomainState.INCOMING
    ):
        if domain is not None:
            await ports.hypervisor.destroy(vm.id, Stamp(epoch=domain.epoch))
        vm = await _grant(ports, task, vm)
    try:
        for volume in vm.volumes:
            await ports.block.attach(volume, ports.host, stamp(task, vm.epoch))
        await ports.hypervisor.start(vm, stamp(task, vm.epoch))
    except Refused as refusal:
        await ports.hypervisor.destroy(vm.id, stamp(task, vm.epoch))
        await stopped(ports, task, vm, str(refusal))
        raise
    await record(ports, task, move(vm, VMState.RUNNING, f"started on {ports.host}", reserved=""))


async def _grant(ports: Ports, task: Work, vm: VM) -> VM:
    """Take the VM's next epoch for this host, if the host may have it and nobody else can be running the VM."""
    here = await ports.store.get(Host, ports.host)
    if here is None or here.state is not HostState.ONLINE:
        raise Refused(f"{ports.host} does not accept VMs now: it is {here.state if here else 'unknown'}")
    if vm.reserved != ports.host:
        raise Refused(f"{vm.id} is not meant for {ports.host}: its place was given up meanwhile")
    if vm.state is not VMState.STOPPED and not (vm.host == ports.host and vm.host_epoch == here.epoch):
        await require_dead(ports, vm)
    granted = msgspec.structs.replace(vm, host=ports.host, host_epoch=here.epoch, epoch=vm.epoch + 1)
    if vm.state is not VMState.STARTING:
        granted = move(granted, VMState.STARTING, f"{ports.host} may run it, epoch {granted.epoch}")
    here_still = Check(Host, here.id, {"version": here.version})
    return await record(ports, task, granted, here_still)


async def require_dead(ports: Ports, vm: VM) -> None:
    """Refuse unless it is proved that the VM's last host runs it no more. What is proved here never becomes untrue:
    a fenced host may come back only with a new epoch, and only after nothing of its old one runs."""
    last = await ports.store.get(Host, vm.host)
    if last is None or last.epoch > vm.host_epoch or last.state in (HostState.FENCED, HostState.RECOVERED):
        return
    raise Refused(f"{vm.id} may still run on {vm.host}, which is {last.state}")


def _granted(vm: VM, host: str) -> bool:
    return vm.state is VMState.STARTING and vm.host == host


async def _domain(ports: Ports, vm: str) -> Domain | None:
    return next((domain for domain in await ports.hypervisor.list() if domain.vm == vm), None)


START_VERB = Verb(
    operation="vm.start",
    resources=lambda request: each(VM, request.vms),
    split=split,
    tasks={START: TaskKind(function=start)},
)
