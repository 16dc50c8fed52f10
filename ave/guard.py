"""The guard: a process of its own that owns the lease's end, in case everything else on the host hangs.

It knows one number, until when VMs may run, and one deed, to freeze them without asking the hypervisor. And it ends a node
that shows no sign of life, so that its supervisor starts another one, if it can be, before the lease ends.
"""

from __future__ import annotations

from ave.ha.timing import GUARD_GRACE_SECONDS, HUNG_SECONDS
from ave.ports.machine import Machine
from ave.runtime import Runtime
from ave.sync import together


async def run_guard(runtime: Runtime, machine: Machine) -> None:
    await together(runtime, {"freeze": _freeze_for_ever(runtime, machine), "end": _end_for_ever(runtime, machine)})


async def _freeze_for_ever(runtime: Runtime, machine: Machine) -> None:
    while True:
        await machine.lapse(GUARD_GRACE_SECONDS)
        frozen = await machine.freeze()
        if frozen:
            runtime.log("guard froze VMs", vms=frozen)
        await runtime.sleep(GUARD_GRACE_SECONDS / 3)


async def _end_for_ever(runtime: Runtime, machine: Machine) -> None:
    while True:
        await machine.hung(HUNG_SECONDS)
        runtime.log("guard ends a node that hangs", seconds=HUNG_SECONDS)
        await machine.end_node()
        await runtime.sleep(HUNG_SECONDS)
