"""What a Job gives back as it goes on, and not only when it ends: the VMs that none of its steps is about any more.

A Job of a hundred VMs lasts as long as the slowest of them. Should the host of another one die meanwhile, its rescue must not
wait for that.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ave.jobs import locks
from ave.model.cluster import lock_name
from ave.model.vm import VM
from ave.model.work import GROUP, Plan
from ave.ports.store import Change, In, Store, Write

_VM = lock_name(VM, "")


def finished(plan: Plan) -> list[str]:
    """Locks of VMs that nothing to come is about. What is about no resource may be about each, and so may a group."""
    about = {step.resource for step in plan.steps.values()}
    if "" in about or any(step.function == GROUP for step in plan.steps.values()):
        return []
    return [name for name in plan.tokens if name.startswith(_VM) and name.removeprefix(_VM) not in about]


async def finishing(store: Store, job: str, plan: Plan) -> tuple[Plan, list[Write]]:
    """The plan without these locks, and the writes that free them, and the room of those that failed."""
    names = dict.fromkeys(finished(plan))
    if not names:
        return plan, []
    writes = await locks.release(store, job, tuple(names))
    writes += await unreserve(store, plan, (name.removeprefix(_VM) for name in names))
    tokens = {name: token for name, token in plan.tokens.items() if name not in names}
    return msgspec.structs.replace(plan, tokens=tokens), writes


async def unreserve(store: Store, plan: Plan, vms: Iterable[str]) -> list[Write]:
    """Give back the room that failed tasks left reserved. Where something of them may still be, its host does, once it is
    gone; and what another Job holds is that Job's."""
    failed = [
        vm
        for vm in vms
        if (result := plan.results.get(vm)) is not None
        and not (result.ok or result.left)
        and lock_name(VM, vm) in plan.tokens
    ]
    if not failed:
        return []
    found = await store.find(VM, {"id": In(tuple(failed))})
    return [Change(VM, vm.id, {"version": vm.version}, {"reserved": ""}) for vm in found if vm.reserved]
