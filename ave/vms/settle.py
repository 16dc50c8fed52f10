"""Settle: the document says what is really on the VM's host, and nothing half done goes on.

It undoes tasks that failed, came to no end, or were stopped. Reconciliation decides by the same rule.
"""

from __future__ import annotations

import msgspec

from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Work
from ave.ports.hypervisor import Domain, DomainState, End, Ended
from ave.ports.together import Ports
from ave.vms.steps import domain_of, ended_of, not_running, read, record, stamp, stopped

WISHES = (
    "vm.create",
    "vm.start",
    "vm.shutdown",
)  # they change whether the VM is wanted on; who cancels takes that back


def as_found(vm: VM, domain: Domain | None, ended: Ended | None = None) -> VM:
    """The VM by what its host has of it, and how it ended there; the very same if its document is right already."""
    if domain is not None and domain.epoch != vm.epoch:
        return vm  # a copy that has no right: removed for itself, and no proof of anything
    match vm.state:
        case VMState.STARTING if domain is None:
            return not_running(vm, "its start was given up")
        case VMState.STARTING:
            return move(vm, VMState.RUNNING, "found running", reserved="")
        case VMState.RUNNING | VMState.SUSPENDED if domain is None and _shut_down(vm, ended):
            return move(vm, VMState.STOPPED, "shut down from inside the guest", on=False, reserved="")
        case VMState.RUNNING | VMState.SUSPENDED if domain is None:
            return not_running(vm, f"nothing of it is on {vm.host}")
        case VMState.RUNNING if domain is not None and domain.state is DomainState.SUSPENDED:
            return move(vm, VMState.SUSPENDED, "found suspended", on=False)
        case VMState.SUSPENDED if domain is not None and domain.state is DomainState.RUNNING:
            return move(vm, VMState.RUNNING, "found running", on=True)
    return vm


def _shut_down(vm: VM, ended: Ended | None) -> bool:
    """Its user wanted that, by the very guest. What ended otherwise, or nobody knows how, is still wanted."""
    return ended is not None and ended.epoch == vm.epoch and ended.end is End.SHUTDOWN


async def settle(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    if vm.host != ports.host:
        return  # nothing of it was begun here, or it has gone on elsewhere
    domain = await domain_of(ports, vm.id)
    here = domain is not None and domain.epoch == vm.epoch
    on = vm.on
    if task.operation in WISHES and await _cancelled(ports, task):
        on = here and domain is not None and domain.state is not DomainState.SUSPENDED
    wanted = msgspec.structs.replace(vm, on=on)
    if vm.state is VMState.STARTING and not here:  # so that no late attempt can still start it
        await ports.hypervisor.destroy(vm.id, stamp(task, vm.epoch))
        await stopped(ports, task, wanted, "its start was given up")
        return
    found = as_found(wanted, domain, await ended_of(ports, vm.id))
    if found != vm:
        await record(ports, task, found)


async def _cancelled(ports: Ports, task: Work) -> bool:
    job = await ports.store.get(Work, task.job)
    return job is not None and job.stop
