"""Shut down and power off: the same, but for who is asked. What a user turns off stays off: it is no longer rescued."""

from __future__ import annotations

from ave.errors import Refused
from ave.jobs.verb import Found, Split, Verb, each
from ave.model.vm import VM, VMState
from ave.model.work import Step, Work
from ave.operations import NameVMs, ShutdownVMs
from ave.ports.store import Change
from ave.ports.together import Ports
from ave.scheduler.steps import SETTLE
from ave.vms.patience import SHUTDOWN_SECONDS_MAX, tasks
from ave.vms.settle import settle
from ave.vms.start import require_dead
from ave.vms.steps import read, require_here, sort_by_state, stamp, stopped

ON = (VMState.RUNNING, VMState.SUSPENDED)


def split_shutdown(request: ShutdownVMs, found: Found) -> Split:
    require_seconds(request.seconds)
    able, refused = sort_by_state(found.of(VM), request.vms, "shut down", VMState.RUNNING)
    arguments = {"seconds": request.seconds}
    steps = {
        f"shutdown/{vm.id}": Step(
            function="vm.shutdown", resource=vm.id, host=vm.host, arguments=arguments, undo=SETTLE, owed=True
        )
        for vm in able
    }
    return Split(steps=steps, results=refused, writes=tuple(Change(VM, vm.id, {}, {"on": False}) for vm in able))


def split_poweroff(request: NameVMs, found: Found) -> Split:
    able, refused = sort_by_state(found.of(VM), request.vms, "poweroff", *ON, VMState.STARTING, VMState.UNKNOWN)
    steps = {f"poweroff/{vm.id}": off_step(vm) for vm in able}
    return Split(steps=steps, results=refused, writes=tuple(Change(VM, vm.id, {}, {"on": False}) for vm in able))


def require_seconds(seconds: float) -> None:
    if not 1.0 <= seconds <= SHUTDOWN_SECONDS_MAX:
        raise Refused(f"the guests' time is {seconds:g} s: it must be 1 to {SHUTDOWN_SECONDS_MAX:g} s")


def off_step(vm: VM) -> Step:
    """On its host; but what its host is judged to run no more may be settled anywhere. Until either is so it waits: that it
    is wanted off holds already, so nobody rescues it, and no volume of it is given to anybody while it may still run."""
    host = "" if vm.state is VMState.UNKNOWN else vm.host
    return Step(function="vm.poweroff", resource=vm.id, host=host, heritable=True, undo=SETTLE)


async def shutdown(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    require_here(ports, vm)
    await ports.hypervisor.shutdown(vm.id, stamp(task, vm.epoch), float(task.arguments["seconds"]))
    await stopped(ports, task, vm, "its guest shut down")


async def poweroff(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    if vm.host == ports.host:
        await ports.hypervisor.destroy(vm.id, stamp(task, vm.epoch))
    elif vm.state is not VMState.STOPPED:
        await require_dead(ports, vm)
    await stopped(ports, task, vm, "forced off")


SHUTDOWN = Verb(
    operation="vm.shutdown",
    resources=lambda request: each(VM, request.vms),
    split=split_shutdown,
    tasks=tasks(shutdown=shutdown, settle=settle),
)
POWEROFF = Verb(
    operation="vm.poweroff",
    resources=lambda request: each(VM, request.vms),
    split=split_poweroff,
    tasks=tasks(poweroff=poweroff, settle=settle),
)
