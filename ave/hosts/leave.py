"""Exit maintenance, or quarantine: the host takes VMs again at once. Those that were moved away for maintenance return if
that is wanted and fits."""

from __future__ import annotations

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.hosts.moves import Moves
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.host import Host, HostState, Wish
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Fact, Result, Step, Work
from ave.operations import ExitMaintenance
from ave.ports.store import Replace
from ave.ports.together import Ports
from ave.scheduler.steps import CLOSED

BACK = "bring-back"
LOOK_SECONDS = 2.0
LIMIT_SECONDS = 4 * 3600.0


def split(request: ExitMaintenance, found: Found) -> Split:
    host = found.get(Host, request.host)
    if host is None:
        return Split(results={request.host: Result(False, f"there is no host {request.host}")})
    if host.state in CLOSED:
        opened = move(host, HostState.ONLINE, "its operator ended maintenance", wish=Wish.SERVE, away=())
        steps = _returning(host) if request.bring_back else {}
        return Split(steps=steps, writes=(Replace(opened),), results={host.id: Result(True)})
    if host.state is HostState.QUARANTINED:
        trusted = move(host, HostState.ONLINE, "its operator trusts it", returns=0, wish=Wish.SERVE, away=())
        return Split(writes=(Replace(trusted),), results={host.id: Result(True)})
    if host.wish is Wish.MAINTENANCE:
        why = f"it is {host.state}: it takes VMs when it returns, and none is brought back"
        serving = msgspec.structs.replace(host, wish=Wish.SERVE, away=())
        return Split(writes=(Replace(serving),), results={host.id: Result(True, why)})
    why = f"{host.id} is {host.state}: to exit maintenance needs it {HostState.MAINTENANCE}"
    return Split(results={host.id: Result(False, why)})


def _returning(host: Host) -> dict[str, Step]:
    """One step moves them, a few at a time; a small one per VM says of each whether it returned."""
    if not host.away:
        return {}
    steps = {BACK: Step(function="host.bring-back", arguments={"host": host.id, "vms": list(host.away)})}
    for vm in host.away:
        steps[f"returned/{vm}"] = Step(function="host.returned", resource=vm, fact=vm, needs=(BACK,))
    return steps


async def bring_back(ports: Ports, task: Work) -> dict[str, Fact]:
    """The facts say who returned, and why the others did not. What is unavailable is waited for."""
    host, vms = str(task.arguments["host"]), [str(vm) for vm in task.arguments["vms"]]
    moves = Moves(ports, task, tries=1)
    facts: dict[str, Fact] = {}
    while len(facts) < len(vms):
        try:
            for name in vms:
                if name not in facts and (fact := await _go_on(ports, moves, name, host)) is not None:
                    facts[name] = fact
        except (Unavailable, UnknownOutcome) as trouble:
            ports.runtime.log("bringing back waits", host=host, why=str(trouble))
        await ports.runtime.sleep(LOOK_SECONDS)
    return facts


async def _go_on(ports: Ports, moves: Moves, name: str, host: str) -> Fact | None:
    """What became of this VM, if that is known by now."""
    await moves.look(name)
    if name in moves.open:
        return None
    vm = await ports.store.get(VM, name)
    if vm is not None and vm.host == host:
        return Fact(host=host)
    if vm is None or vm.state is not VMState.RUNNING:
        state = vm.state if vm is not None else "deleted"
        return Fact(refusal=f"{name} is {state}: only a running VM is brought back to {host}")
    if moves.given_up(name):
        return Fact(refusal=f"{name} stays on {vm.host}: {moves.ended[name].why}")
    if moves.room:
        await moves.begin(await moves.party(vm), host)
    return None


async def returned(ports: Ports, task: Work) -> None:
    vm = await ports.store.get(VM, task.resource)
    if vm is None or vm.host != ports.host:
        where = f"is on {vm.host}" if vm is not None else "is deleted"
        raise Refused(f"{task.resource} {where}: it did not stay on {ports.host}")


EXIT = Verb(
    operation="host.exit-maintenance",
    resources=lambda request: each(Host, (request.host,)),
    split=split,
    tasks={
        "host.bring-back": TaskKind(function=bring_back, seconds=LIMIT_SECONDS, stoppable=True),
        "host.returned": TaskKind(function=returned, seconds=60.0),
    },
)
