"""Restart, reset and revive: off, and on again on the same host. They differ in whether the guest is asked, and by whom.

Each is a new incarnation, with the VM's next epoch (docs/decisions/0010): whether it was done already can be told from
outside, so a repeated attempt does not do it twice. The VM is wanted on throughout: should its host be lost in between,
it is rescued like any other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from ave.errors import Refused
from ave.jobs.verb import Found, Split, Verb, each
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.model.work import Result, Step, Work
from ave.operations import NameVMs, ReviveVMs, ShutdownVMs
from ave.ports.store import Change, Check
from ave.ports.together import Ports
from ave.scheduler.steps import SETTLE
from ave.vms.patience import tasks
from ave.vms.power import require_seconds
from ave.vms.settle import settle
from ave.vms.start import bring_up, dead, granted
from ave.vms.steps import read, record, require_here, sort_by_state, stamp


def split_restart(request: ShutdownVMs, found: Found) -> Split:
    require_seconds(request.seconds)
    return _split("vm.restart", request.vms, found, {"seconds": request.seconds})


def split_reset(request: NameVMs, found: Found) -> Split:
    return _split("vm.reset", request.vms, found, {})


def _split(function: str, names: tuple[str, ...], found: Found, arguments: dict[str, float]) -> Split:
    verb = function.removeprefix("vm.")
    able, refused = sort_by_state(found.of(VM), names, verb, VMState.RUNNING)
    steps = {
        f"{verb}/{vm.id}": Step(
            function=function, resource=vm.id, host=vm.host, arguments={**arguments, "epoch": vm.epoch}, undo=SETTLE
        )
        for vm in able
    }
    return Split(steps=steps, results=refused, writes=tuple(Change(VM, vm.id, {}, {"on": True}) for vm in able))


def split_revive(request: ReviveVMs, found: Found) -> Split:
    """As a reset, but only of what is wanted, and of the very incarnation that was silent: it may be another by now."""
    there = found.of(VM)
    due = [name for name, epoch in request.vms.items() if (vm := there.get(name)) and vm.epoch == epoch and _wanted(vm)]
    reset = _split("vm.reset", tuple(due), found, {})
    counted = tuple(Change(VM, name, {}, {"revived": there[name].revived + 1}) for name in due)  # type: ignore[union-attr]
    others = {name: Result(True, "it is another since") for name in there if name not in due}
    return msgspec.structs.replace(reset, writes=counted, results={**reset.results, **others})


def _wanted(vm: VM) -> bool:
    return vm.state is VMState.RUNNING and vm.on and vm.ha


async def restart(ports: Ports, task: Work) -> None:
    async def ask(vm: VM) -> None:
        await ports.hypervisor.shutdown(vm.id, stamp(task, vm.epoch), float(task.arguments["seconds"]))

    await _again(ports, task, ask)


async def reset(ports: Ports, task: Work) -> None:
    async def force(vm: VM) -> None:
        await ports.hypervisor.destroy(vm.id, stamp(task, vm.epoch))

    await _again(ports, task, force)


async def _again(ports: Ports, task: Work, stop: Callable[[VM], Awaitable[None]]) -> None:
    """Under the epoch with which the Job began the VM is still to be stopped; under a later one that was done."""
    vm = await read(ports, task)
    require_here(ports, vm)
    if vm.epoch == task.arguments["epoch"]:
        await _still_here(ports, vm)  # before anything is stopped
        await stop(vm)
    elif vm.state is VMState.RUNNING:
        return
    await bring_up(ports, task, vm, _grant_again)


async def _still_here(ports: Ports, vm: VM) -> Host:
    """This host, if it still has the right under which the VM was started here."""
    here = await ports.store.get(Host, ports.host)
    if here is None or dead(here, vm):
        raise Refused(f"{ports.host} is judged to have lost {vm.id}: it cannot start it again")
    return here


async def _grant_again(ports: Ports, task: Work, vm: VM) -> VM:
    here = await _still_here(ports, vm)
    return await record(ports, task, granted(vm, here), Check(Host, here.id, {"version": here.version}))


RESTART = Verb(
    operation="vm.restart",
    resources=lambda request: each(VM, request.vms),
    split=split_restart,
    tasks=tasks(restart=restart, settle=settle),
)
RESET = Verb(
    operation="vm.reset",
    resources=lambda request: each(VM, request.vms),
    split=split_reset,
    tasks=tasks(reset=reset, settle=settle),
)
REVIVE = Verb(
    operation="ha.revive",
    resources=lambda request: each(VM, request.vms),
    split=split_revive,
    tasks=tasks(reset=reset, settle=settle),
)
