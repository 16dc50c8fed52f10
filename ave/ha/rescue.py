"""Rescue: the Job that brings back the VMs of a host proved not to run them: place them together, then start each.

``vm.start`` gives each its next epoch, and attaching its volumes fences whatever still holds an older one.
"""

from __future__ import annotations

from ave.jobs.verb import Found, Split, Verb, each
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Result, Step
from ave.operations import RescueVMs
from ave.placement.purpose import Purpose
from ave.ports.store import Replace, Write
from ave.scheduler.steps import PLACE, Placing, place_step, start_step

LOST = (VMState.RUNNING, VMState.STARTING, VMState.SUSPENDED, VMState.UNKNOWN)


def split(request: RescueVMs, found: Found) -> Split:
    host = found.get(Host, request.host)
    results: dict[str, Result] = {}
    writes: list[Write] = []
    rescued: list[str] = []
    for name in request.vms:
        vm = found.get(VM, name)
        if vm is None or host is None or vm.host != host.id or vm.state not in LOST:
            results[name] = Result(True, "nothing to rescue any more")
        elif host.state not in (HostState.FENCED, HostState.RECOVERED) and host.epoch <= vm.host_epoch:
            results[name] = Result(False, f"{name} may still run on {host.id}, which is {host.state}")
        elif vm.ha and vm.on and vm.state is not VMState.SUSPENDED:
            rescued.append(name)
            if vm.state is not VMState.UNKNOWN:
                writes.append(Replace(move(vm, VMState.UNKNOWN, f"{host.id} is dead", reserved="")))
        else:
            writes += _settle(vm, host)
            results[name] = Result(True, "not to be started")
    if not rescued:
        return Split(results=results, writes=tuple(writes))
    only = request.host if request.here else ""
    placing = Placing(vms=tuple(rescued), purpose=Purpose.RESCUE, by_priority=True, host=only)
    steps: dict[str, Step] = {PLACE: place_step(placing)}
    steps |= {f"start/{name}": start_step(name) for name in rescued}
    return Split(steps=steps, results=results, writes=tuple(writes))


def _settle(vm: VM, host: Host) -> list[Write]:
    """A VM that nobody wants started: unknown while its host may come back, stopped once it is back without it."""
    if host.epoch > vm.host_epoch:
        return [Replace(move(vm, VMState.STOPPED, f"{host.id} came back without it", reserved=""))]
    if vm.state is not VMState.UNKNOWN:
        return [Replace(move(vm, VMState.UNKNOWN, f"{host.id} is dead", reserved=""))]
    return []


RESCUE = Verb(
    operation="ha.rescue",
    resources=lambda request: each(VM, request.vms),
    split=split,
    also=lambda request: ((Host, request.host),),
)
