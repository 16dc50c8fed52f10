"""Displace: force a VM off where it is, because its host has to be left and no other takes it alive.

It stays wanted on: once it is certain that it runs no more, the VM Monitor finds it another host, and never before.
"""

from __future__ import annotations

from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.vm import VM, VMState
from ave.model.work import Step, Work
from ave.operations import NameVMs
from ave.ports.together import Ports
from ave.vms.steps import read, require_here, sort_by_state, stamp, stopped

NAME = "ha.displace"


def split(request: NameVMs, found: Found) -> Split:
    able, refused = sort_by_state(found.of(VM), request.vms, "displace", VMState.RUNNING)
    steps = {f"displace/{vm.id}": Step(function=NAME, resource=vm.id, host=vm.host) for vm in able}
    return Split(steps=steps, results=refused)


async def displace(ports: Ports, task: Work) -> None:
    vm = await read(ports, task)
    if vm.state is not VMState.RUNNING:
        return  # an earlier attempt has recorded it
    require_here(ports, vm)
    await ports.hypervisor.destroy(vm.id, stamp(task, vm.epoch))
    await stopped(ports, task, vm, f"stopped: {ports.host} has to be left, and no host takes it alive")


DISPLACE = Verb(
    operation=NAME,
    resources=lambda request: each(VM, request.vms),
    split=split,
    tasks={NAME: TaskKind(function=displace, seconds=60.0, tries=12)},
)
