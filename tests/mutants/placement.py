"""Bugs put into placement and the scheduler."""

from __future__ import annotations

from typing import Any

import msgspec

from ave.jobs import release
from ave.model.cluster import Role
from ave.model.vm import VM
from ave.model.work import Work
from ave.placement import filters, groups
from ave.placement.purpose import Purpose
from ave.placement.unit import Unit
from ave.placement.view import View
from ave.ports.store import Check
from ave.ports.together import Ports
from ave.scheduler import active
from ave.scheduler.active import Scheduler
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import Held
from ave.vms import reconcile
from drivers.sim.store import SimStore
from tests.mutants.mutant import Mutant
from tests.mutants.patch import edit, swap

sound_place = Scheduler.place
sound_put = View.put_vm
sound_kept = groups.kept
sound_wait = Held.wait_for_loss


async def by_a_secondary(self: Scheduler, ports: Ports, task: Work) -> Any:
    """Read anew for each decision, by a client that has seen nothing, and so by whatever member is nearest."""
    store = ports.store
    assert isinstance(store, SimStore)
    self.mirror = Mirror()
    await self.mirror.read(SimStore(store._set, store._runtime, ports.host))
    return await sound_place(self, ports, task)


def put_without_promises(view: View, vm: VM) -> None:
    sound_put(view, msgspec.structs.replace(vm, reserved=""))


def put_unpinned(view: View, vm: VM) -> None:
    sound_put(view, msgspec.structs.replace(vm, pinned=False))


async def give_nothing_back(ports: Ports) -> None:
    return None


def kept_but_by_rescues(unit: Unit, view: View, purpose: Purpose) -> Any:
    return None if purpose is Purpose.RESCUE else sound_kept(unit, view, purpose)


def preferences_kept_too(unit: Unit, view: View, purpose: Purpose) -> Any:
    must, prefer = sound_kept(unit, view, purpose), groups.broken(unit, view, purpose)
    return must if prefer is None else prefer == 0 if must is None else must & (prefer == 0)


async def wait_late(self: Held, term: int) -> None:
    """It notices late that it was replaced."""
    await sound_wait(self, term)
    await self._ports.runtime.sleep(20.0)


ROWS = (
    Mutant(
        number=15,
        name="secondary-read",
        broken="placement decides by what a lagging secondary of the store knows",
        caught_by=("P2", "D3"),
        scenarios=("placement/lagging-secondaries.yaml",),
        patches=(swap(Scheduler, "place", by_a_secondary),),
        blind=("P1",),  # it forgets what is where, so rules are broken as well
    ),
    Mutant(
        number=16,
        name="promised-not-counted",
        broken="memory that is promised to a start under way is not counted",
        caught_by=("P2",),
        scenarios=("placement/memory.yaml",),
        patches=(swap(View, "put_vm", put_without_promises),),
    ),
    Mutant(
        number=17,
        name="room-leaked",
        broken="a Job that fails does not give back the room it reserved",
        caught_by=("P2", "D2"),
        scenarios=("jobs/cancel-midway.yaml",),
        patches=(edit(release.unreserve, {"    if not failed:": "    if True:"}),),
        nets=(swap(reconcile, "_give_back", give_nothing_back),),
        says="still holds room",
    ),
    Mutant(
        number=18,
        name="must-rules-not-for-rescues",
        broken="rescues treat must-rules as preferences",
        caught_by=("P1",),
        scenarios=("placement/host-rules.yaml", "placement/together-or-apart.yaml", "placement/zones.yaml"),
        patches=(swap(filters, "kept", kept_but_by_rescues),),
        says="must be",
    ),
    Mutant(
        number=19,
        name="maintenance-is-a-place",
        broken="a host in maintenance gets VMs",
        caught_by=("P1",),
        scenarios=("placement/maintenance-is-no-place.yaml",),
        patches=(swap(filters, "_IN_MAINTENANCE", filters._IN_MAINTENANCE & False),),
        says="maintenance",
    ),
    Mutant(
        name="pins-not-counted",
        broken="CPUs that are pinned are not counted",
        caught_by=("P3",),
        scenarios=("placement/pinning.yaml",),
        patches=(swap(View, "put_vm", put_unpinned),),
    ),
    Mutant(
        name="role-not-checked",
        broken="a scheduler that was replaced goes on deciding",
        caught_by=("P4", "D3"),
        scenarios=("placement/two-schedulers.yaml",),
        blind=("D3",),  # it sees already that commits depend on nothing
        patches=(swap(active, "still_held", lambda held: Check(Role, held.id, {})),),
        nets=(swap(Held, "wait_for_loss", wait_late),),
    ),
    Mutant(
        name="preferences-exclude",
        broken="a prefer-rule turns hosts away",
        caught_by=("P6",),
        scenarios=("placement/host-rules.yaml",),
        patches=(swap(filters, "kept", preferences_kept_too),),
    ),
)
