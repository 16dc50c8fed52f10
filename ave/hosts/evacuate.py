"""Leave a host that still runs its VMs, but should not for long: its file system takes no writes, or a network carries
nothing there that they need.

Each VM leaves alive. What cannot is stopped there, and only once that is confirmed it is rescued like any other that ended:
never is one started first. The host need not do anything but answer; if it does not even that, its VMs run on. So does one
that lacks a network, if no other host has room for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ave.errors import Unavailable, UnknownOutcome
from ave.hosts.moves import Moves
from ave.jobs.submit import submit
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.host import Host, HostState, Report
from ave.model.vm import VM, VMState
from ave.model.work import OnConflict, Result, Step, Work
from ave.operations import LeaveHost, NameVMs
from ave.ports.together import Ports

EVACUATE, DISPLACE = "ha.evacuate", "ha.displace"  # the latter: ave.vms.displace
LOOK_SECONDS = 2.0
TRIES = 2  # per VM: the target may be lost once
LIMIT_SECONDS = 4 * 3600.0


def split(request: LeaveHost, found: Found) -> Split:
    """Nothing is locked: VMs move by Jobs of their own."""
    host = found.get(Host, request.host)
    if host is None or host.state is not (HostState.ONLINE if request.networks else HostState.READ_ONLY):
        return Split(results={request.host: Result(True, "nobody has to leave it any more")})
    step = Step(function=EVACUATE, resource=host.id, arguments={"networks": list(request.networks)})
    return Split(steps={f"leave/{host.id}": step})


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
    host, networks = await ports.store.get(Host, task.resource), [str(name) for name in task.arguments["networks"]]
    if host is None:
        return False
    down = await _down(ports, host) if networks else ()
    vms = [vm for vm in await ports.store.find(VM, {"host": host.id}) if vm.host_epoch == host.epoch]
    leaving = must_leave(host, vms, networks, down)
    for name in dict.fromkeys([*moves.open, *(vm.id for vm in leaving)]):  # those that have left, too
        await moves.look(name)
    left = [vm for vm in leaving if not moves.given_up(vm.id)]
    for vm in left:
        if vm.id not in moves.open and moves.room:
            await moves.begin(await moves.party(vm), "")
    for vm in leaving:
        # Better to run without a network than not at all.
        lost = vm.id in moves.placeless and bool(networks)
        if moves.given_up(vm.id) and vm.ha and vm.on and not lost:
            asked, once = NameVMs(vms=(vm.id,)), f"{DISPLACE}-{task.job}-{vm.id}"
            await submit(ports, moves.crew, DISPLACE, asked, on_conflict=OnConflict.SKIP, id=once)
    return bool(left)


def must_leave(host: Host, vms: Sequence[VM], networks: Sequence[str], down: Sequence[str]) -> list[VM]:
    """All of a host that takes no writes; or those that need one of these networks, while that carries nothing there."""
    running = [vm for vm in vms if vm.state is VMState.RUNNING]
    if not networks:
        return running if host.state is HostState.READ_ONLY else []
    if host.state is not HostState.ONLINE:
        return []
    return [vm for vm in running if any(name in networks and name in down for name in vm.networks)]


async def _down(ports: Ports, host: Host) -> Sequence[str]:
    report = await ports.store.get(Report, host.id)
    return report.down if report is not None else ()


EVACUATE_HOSTS = Verb(
    operation=EVACUATE,
    resources=lambda request: (),
    split=split,
    tasks={EVACUATE: TaskKind(function=evacuate, seconds=LIMIT_SECONDS)},
    also=lambda request: each(Host, (request.host,)),
)
