"""Enter maintenance: see where every VM would go and let none come in, move them all away, and then keep the host empty.

If one cannot leave, or the Job is cancelled, the host takes VMs again; those that have left stay where they are.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.hosts.moves import Moves
from ave.hosts.steps import locked, read
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.host import Host, HostState, Wish
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Fact, Result, Step, Work
from ave.operations import EnterMaintenance
from ave.ports.store import Conflict, Replace
from ave.ports.together import Ports
from ave.scheduler.steps import CLOSE, CLOSED, MAY_CLOSE, Closing, close_step

LOOK_SECONDS = 2.0
TRIES = 3  # per VM: the first to where it was foreseen, the others to where there is room by then
PAUSE_SECONDS = 15.0  # between two tries of a VM: its target may have been lost, and is suspected after 10 s
PATIENCE_SECONDS = 300.0  # with VMs that neither run nor are stopped: a rescue or a reconciliation settles them
LIMIT_SECONDS = 4 * 3600.0


def split(request: EnterMaintenance, found: Found) -> Split:
    host = found.get(Host, request.host)
    if host is None:
        return Split(results={request.host: Result(False, f"there is no host {request.host}")})
    if host.state not in MAY_CLOSE:
        why = f"{host.id} is {host.state}: maintenance needs it {HostState.ONLINE}"
        return Split(results={host.id: Result(False, why)})
    closing = Closing(host=host.id, check_only=request.check_only)
    if request.check_only:
        return Split(steps={CLOSE: close_step(closing)})
    evacuate = Step(function="host.evacuate", resource=host.id, needs=(CLOSE,), undo="host.reopen")
    return Split(steps={CLOSE: close_step(closing, undo="host.reopen"), "evacuate": evacuate})


async def evacuate(ports: Ports, task: Work) -> None:
    """Nothing runs on the host when this returns, and nothing will. What is unavailable is waited for."""
    evacuation = Evacuation(ports, task)
    while True:
        try:
            if await evacuation.go_on():
                return
        except (Unavailable, UnknownOutcome, Conflict) as trouble:
            ports.runtime.log("evacuation waits", host=task.resource, why=str(trouble))
        await ports.runtime.sleep(LOOK_SECONDS)


class Evacuation:
    """One attempt of it. What it must remember is in the store: the host's ``away`` and the migrations' own Jobs."""

    def __init__(self, ports: Ports, task: Work) -> None:
        self._ports, self._task = ports, task
        self._moves = Moves(ports, task, TRIES)
        self._foreseen: dict[str, Fact] | None = None
        self._not_before: dict[str, float] = {}  # VM -> when it is tried again
        self._moved_on = ports.runtime.now()  # when there last was anything under way
        self._new = True  # an earlier attempt may have begun what this one knows nothing of

    async def go_on(self) -> bool:
        """Look, and do what can be done now. Is the host empty and in maintenance?"""
        host = await read(self._ports, self._task)
        if host.state is HostState.MAINTENANCE:
            return True  # an earlier attempt got this far
        if host.state is not HostState.ENTERING_MAINTENANCE:
            raise Refused(f"{host.id} is {host.state} by now, and not {HostState.ENTERING_MAINTENANCE} any more")
        vms = [vm for vm in await self._ports.store.find(VM, {"host": host.id}) if vm.holds_memory]
        for name in host.away if self._new else tuple(self._moves.open):
            await self._look(name)
        self._new = False
        if not vms and not self._moves.open:
            await self._close(host)
            return True
        stuck = self._stuck(host, vms)
        if stuck and not self._moves.open:
            raise Refused(stuck)
        if not stuck:
            await self._move(host, vms)
        return False

    async def _look(self, name: str) -> None:
        before = self._moves.tried(name)
        await self._moves.look(name)
        if self._moves.tried(name) > before:
            self._not_before[name] = self._ports.runtime.now() + PAUSE_SECONDS

    def _stuck(self, host: Host, vms: list[VM]) -> str:
        """Why the host will not become empty, or nothing."""
        now = self._ports.runtime.now()
        movable = [vm for vm in vms if _may_move(host, vm)]
        if self._moves.open or movable:
            self._moved_on = now
        for vm in vms:
            if vm.state is VMState.SUSPENDED:
                return f"{vm.id} was suspended and cannot leave {host.id}: resume it, or force it off"
        for vm in movable:
            if self._moves.given_up(vm.id) and vm.id not in self._moves.open:
                return f"{vm.id} cannot leave {host.id}: {self._moves.ended[vm.id].why or 'it is there again'}"
        if now - self._moved_on > PATIENCE_SECONDS:
            vm = vms[0]
            return f"{vm.id} cannot leave {host.id}: it is {vm.state} for {PATIENCE_SECONDS:g} s"
        return ""

    async def _move(self, host: Host, vms: list[VM]) -> None:
        """Begin what there is room for. A VM is noted before it is moved, so that a later attempt knows where to look."""
        now = self._ports.runtime.now()
        for vm in vms:
            waits = vm.id in self._moves.open or self._not_before.get(vm.id, now) > now
            if waits or not self._moves.room or not _may_move(host, vm):
                continue
            party = await self._moves.party(vm)
            if new := [name for name in party if name not in host.away]:
                noted = msgspec.structs.replace(host, away=(*host.away, *new))
                host = (await self._ports.store.commit(Replace(noted), locked(self._task)))[0]
            await self._moves.begin(party, await self._target(vm.id))

    async def _target(self, vm: str) -> str:
        if self._foreseen is None:
            job = await self._ports.store.get(Work, self._task.job)
            self._foreseen = job.plan.facts if job is not None and job.plan is not None else {}
        return self._foreseen[vm].host if vm in self._foreseen and not self._moves.tried(vm) else ""

    async def _close(self, host: Host) -> None:
        ended = self._moves.ended
        away = tuple(name for name in host.away if name in ended and ended[name].ok)
        closed = move(host, HostState.MAINTENANCE, "nothing runs on it any more", away=away)
        await self._ports.store.commit(Replace(closed), locked(self._task))


def _may_move(host: Host, vm: VM) -> bool:
    """Of an older epoch of its host it runs no more, and is rescued."""
    return vm.state is VMState.RUNNING and vm.host_epoch == host.epoch


async def reopen(ports: Ports, task: Work) -> None:
    """The host takes VMs again, and what has not begun to move stays. Safe to repeat, and when nothing was done."""
    host = await read(ports, task)
    moves = Moves(ports, task, TRIES)
    for name in host.away:
        await moves.withdraw(name)
    if host.state in CLOSED:
        opened = move(host, HostState.ONLINE, "it was not emptied", wish=Wish.SERVE, away=())
        await ports.store.commit(Replace(opened), locked(task))
    elif host.wish is not Wish.SERVE:  # it was judged dead meanwhile; when it returns it takes VMs
        await ports.store.commit(Replace(msgspec.structs.replace(host, wish=Wish.SERVE, away=())), locked(task))


ENTER = Verb(
    operation="host.enter-maintenance",
    resources=lambda request: each(Host, (request.host,)),
    split=split,
    tasks={
        "host.evacuate": TaskKind(function=evacuate, seconds=LIMIT_SECONDS, stoppable=True),
        "host.reopen": TaskKind(function=reopen, seconds=120.0, tries=18),
    },
)
