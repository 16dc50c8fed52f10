"""May a host be emptied? The Active scheduler says where each of its VMs would go, or what is in the way, and closes the host.

Closing is decided between two placements and committed against the role's term and the host's version: what was placed there
before is seen, and what an older scheduler still tries to place there fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ave.errors import Refused, Unavailable
from ave.model.cluster import Lock, Role, lock_name
from ave.model.host import Host, HostState, Wish
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Fact, Work
from ave.placement.batch import place_batch
from ave.placement.plugged import NONE, Plugged
from ave.placement.purpose import Purpose
from ave.placement.view import View
from ave.ports.store import Check, Conflict, In, Replace, Store
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import still_held
from ave.scheduler.steps import CLOSED, MAY_CLOSE, Closing

NAMED = 20  # what is in the way, in a refusal
TRIES = 10

Active = Callable[[], tuple[Role, Mirror]]  # raises Unavailable on a host that is not


async def close(ports: Ports, task: Work, active: Active, plugged: Plugged = NONE) -> dict[str, Fact]:
    """The function of a close step. No placement may be decided meanwhile. Refused with all that is in the way."""
    asked = msgspec.convert(task.arguments, Closing, strict=False)
    for _ in range(TRIES):
        host = await ports.store.get(Host, asked.host)  # first: what is found after it is not behind it
        role, mirror = active()
        if host is None or host.state not in MAY_CLOSE:
            state = host.state if host is not None else "unknown"
            raise Refused(f"{asked.host} is {state}: maintenance needs it {HostState.ONLINE}")
        _require_the_only_one(host, await ports.store.find(Host))
        vms = await _concerned(ports.store, mirror, host.id)
        facts = foresee(mirror.view, host, vms, await _busy(ports.store, vms), plugged)
        if blocked := [fact.refusal for fact in facts.values() if fact.refusal]:
            more = f"; and {len(blocked) - NAMED} more" if len(blocked) > NAMED else ""
            raise Refused(f"{host.id} cannot be emptied: {'; '.join(blocked[:NAMED])}{more}")
        if asked.check_only or host.state in CLOSED:
            return facts
        closed = msgspec.structs.replace(_closed(host), wish=Wish.MAINTENANCE, away=())
        locked = Check(Lock, lock_name(Host, host.id), {"job": task.job})
        try:
            mirror.learn_host((await ports.store.commit(Replace(closed), still_held(role), locked))[0])
            return facts
        except Conflict:
            continue  # something moved under the decision: decide again
    raise Unavailable(f"{asked.host} changes faster than can be decided")


def foresee(
    view: View, host: Host, vms: Iterable[VM], busy: Mapping[str, str], plugged: Plugged = NONE
) -> dict[str, Fact]:
    """Where each of these VMs, which are on the host or on their way to it, would go, or why it could not.

    ``busy``: VM -> the Job that is at work on it.
    """
    facts: dict[str, Fact] = {}
    leaving: list[VM] = []
    for vm in vms:
        if job := busy.get(vm.id):
            facts[vm.id] = Fact(refusal=f"Job {job} is at work on {vm.id}: wait for its end")
        elif vm.host != host.id or not vm.holds_memory:
            continue  # a reservation that nobody uses any more
        elif vm.state is VMState.SUSPENDED:
            facts[vm.id] = Fact(refusal=f"{vm.id} is suspended and cannot move: resume it, or force it off")
        elif vm.state is not VMState.RUNNING:
            facts[vm.id] = Fact(refusal=f"{vm.id} is {vm.state}: wait until it runs or is stopped")
        else:
            leaving.append(vm)
    without = view.copy()
    without.put_host(_closed(host))
    plan = place_batch(without, leaving, Purpose.LIVE, plugged=plugged)
    facts |= {id: Fact(refusal=str(why)) for id, why in plan.refused.items()}
    return facts | {id: Fact(host=choice.host) for id, choice in plan.placed.items()}


def _closed(host: Host) -> Host:
    if host.state in CLOSED:
        return host
    return move(host, HostState.ENTERING_MAINTENANCE, "its operator wants it empty")


def _require_the_only_one(host: Host, hosts: Iterable[Host]) -> None:
    for other in hosts:
        if other.id != host.id and (other.state in CLOSED or other.wish is Wish.MAINTENANCE):
            how = "" if other.state in CLOSED else " and returns into maintenance"
            raise Refused(f"{other.id} is {other.state}{how}: {host.id} must wait, only one host at a time")


async def _concerned(store: Store, mirror: Mirror, host: str) -> list[VM]:
    coming = tuple(vm.id for vm in mirror.vms.values() if vm.reserved == host and vm.host != host)
    vms = await store.find(VM, {"host": host})
    vms += [vm for vm in await store.find(VM, {"id": In(coming)}) if vm.reserved == host and vm.host != host]
    for vm in vms:
        mirror.learn(vm)
    return vms


async def _busy(store: Store, vms: Iterable[VM]) -> dict[str, str]:
    names = {lock_name(VM, vm.id): vm.id for vm in vms}
    return {names[lock.id]: lock.job for lock in await store.find(Lock, {"id": In(tuple(names))}) if lock.job}
