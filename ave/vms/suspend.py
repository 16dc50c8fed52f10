"""Suspend and resume: a VM stands still because its user wants it so, and keeps its memory on its host.

Neither the lease nor the reconciliation resumes it: its domain itself knows that it is suspended, and not just paused. While
it is suspended it is not wanted on, so nobody starts it elsewhere from the beginning should its host be lost.
"""

from __future__ import annotations

from ave.errors import Refused
from ave.jobs.verb import Found, Split, Verb, each
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Step, Work
from ave.operations import NameVMs
from ave.ports.together import Ports
from ave.scheduler.steps import SETTLE
from ave.vms.patience import tasks
from ave.vms.settle import settle
from ave.vms.steps import read, record, require_here, sort_by_state, stamp


def split_suspend(request: NameVMs, found: Found) -> Split:
    return _split("vm.suspend", request, found, VMState.RUNNING)


def split_resume(request: NameVMs, found: Found) -> Split:
    return _split("vm.resume", request, found, VMState.SUSPENDED)


def _split(function: str, request: NameVMs, found: Found, legal: VMState) -> Split:
    verb = function.removeprefix("vm.")
    able, refused = sort_by_state(found.of(VM), request.vms, verb, legal)
    steps = {f"{verb}/{vm.id}": Step(function=function, resource=vm.id, host=vm.host, undo=SETTLE) for vm in able}
    return Split(steps=steps, results=refused)


async def suspend(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    require_here(ports, vm)
    if vm.state is VMState.SUSPENDED:
        return
    if vm.state is not VMState.RUNNING:
        raise Refused(f"{vm.id} is {vm.state} by now: suspend needs it running")
    await ports.hypervisor.suspend(vm.id, stamp(task, vm.epoch))
    await record(ports, task, move(vm, VMState.SUSPENDED, "its user suspends it", on=False))


async def resume(ports: Ports, task: Work) -> None:
    """Recorded first: if the lease is over just now, who resumes VMs when it is back must find that this one is wanted."""
    vm = await read(ports, task)
    require_here(ports, vm)
    if vm.state is VMState.SUSPENDED:
        vm = await record(ports, task, move(vm, VMState.RUNNING, "its user resumes it", on=True))
    if vm.state is not VMState.RUNNING:
        raise Refused(f"{vm.id} is {vm.state} by now: resume needs it suspended")
    await ports.hypervisor.resume(vm.id, stamp(task, vm.epoch))


SUSPEND = Verb(
    operation="vm.suspend",
    resources=lambda request: each(VM, request.vms),
    split=split_suspend,
    tasks=tasks(suspend=suspend, settle=settle),
)
RESUME = Verb(
    operation="vm.resume",
    resources=lambda request: each(VM, request.vms),
    split=split_resume,
    tasks=tasks(resume=resume, settle=settle),
)
