"""Leave a host that still runs its VMs, but should not for long: its file system takes no writes.

Each VM leaves alive. What cannot is stopped there, and only once that is confirmed it is rescued like any other that ended:
never is one started first. The host need not do anything but answer; if it does not even that, its VMs run on.
"""

from __future__ import annotations

from ave.errors import Unavailable, UnknownOutcome
from ave.hosts.moves import Moves
from ave.jobs.submit import submit
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import OnConflict, Result, Step, Work
from ave.operations import NameHosts, NameVMs
from ave.ports.together import Ports

EVACUATE, DISPLACE = "ha.evacuate", "ha.displace"  # the latter: ave.vms.displace
LOOK_SECONDS = 2.0
TRIES = 2  # per VM: the target may be lost once
LIMIT_SECONDS = 4 * 3600.0


def split(request: NameHosts, found: Found) -> Split:
    """Nothing is locked: VMs move by Jobs of their own."""
    steps: dict[str, Step] = {}
    results: dict[str, Result] = {}
    for name in request.hosts:
        host = found.get(Host, name)
        if host is not None and host.state is HostState.READ_ONLY:
            steps[f"leave/{name}"] = Step(function=EVACUATE, resource=name)
        else:
            results[name] = Result(True, "nobody has to leave it any more")
    return Split(steps=steps, results=results)


async def evacuate(ports: Ports, task: Work) -> None:
    """Until nothing is left to be done: the host is empty, writable again, or dead, and then its VMs are rescued."""
    moves = Moves(ports, task, TRIES)
    while True:
        try:
            if not await _go_on(ports, task, moves):
                return
        except (Unavailable, UnknownOutcome) as trouble:
            ports.runtime.log("evacuation waits", host=task.resource, why=str(trouble))
        await ports.runtime.sleep(LOOK_SECONDS)


async def _go_on(ports: Ports, task: Work, moves: Moves) -> bool:
    """Look, and do what can be done now. Is anything left to do?"""
    host = await ports.store.get(Host, task.resource)
    if host is None or host.state is not HostState.READ_ONLY:
        return False
    vms = await ports.store.find(VM, {"host": host.id})
    leaving = [vm for vm in vms if vm.state is VMState.RUNNING and vm.host_epoch == host.epoch]
    for name in dict.fromkeys([*moves.open, *(vm.id for vm in leaving)]):  # those that have left, too
        await moves.look(name)
    left = [vm for vm in leaving if not moves.given_up(vm.id)]
    for vm in left:
        if vm.id not in moves.open and moves.room:
            await moves.begin(await moves.party(vm), "")
    for vm in leaving:
        if moves.given_up(vm.id) and vm.ha and vm.on:
            asked, once = NameVMs(vms=(vm.id,)), f"{DISPLACE}-{task.job}-{vm.id}"
            await submit(ports, moves.crew, DISPLACE, asked, on_conflict=OnConflict.SKIP, id=once)
    return bool(left)


EVACUATE_HOSTS = Verb(
    operation=EVACUATE,
    resources=lambda request: (),
    split=split,
    tasks={EVACUATE: TaskKind(function=evacuate, seconds=LIMIT_SECONDS)},
    also=lambda request: each(Host, request.hosts),
)
