"""The guard: a process of its own that owns the lease's end, in case everything else on the host hangs.

It knows one number, until when VMs may run, and one deed, to freeze them without asking the hypervisor.
"""

from __future__ import annotations

from ave.ha.timing import GUARD_GRACE_SECONDS
from ave.ports.machine import Machine
from ave.runtime import Runtime


async def run_guard(runtime: Runtime, machine: Machine) -> None:
    while True:
        await machine.lapse(GUARD_GRACE_SECONDS)
        frozen = await machine.freeze()
        if frozen:
            runtime.log("guard froze VMs", vms=frozen)
        await runtime.sleep(GUARD_GRACE_SECONDS / 3)
