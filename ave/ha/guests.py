"""Guests that are silent while their VMs run: each VM is started again where it is, if the cluster's operator wants that.

Its host says which they are, and of which epoch: a restart is a new one, so a report that is late restarts nothing twice. A
guest may never come back, so the restarts in a row are counted in the VM's own document, each in the commit by which it
begins. Every next one waits longer, and after the last one it is a person's matter. The leader sets the count back once it
has heard the guest long enough, by its own clock; a new leader begins to count anew, which only delays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ave.ha.notice import Notice, some
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.cluster import Role
from ave.model.host import HostState, Report
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, OnConflict, Work
from ave.operations import ReviveVMs
from ave.ports.store import Change
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import still_held

ALARM = "ha/silent-guests"
PAUSES_SECONDS = (0.0, 120.0, 600.0)  # how long it is known to be silent, before its first, second and third restart
STEADY_SECONDS = 1800.0  # so long it must be heard for its restarts not to count any more
LOOK_SECONDS = 10.0  # from one look at a restart to the next
VMS_MAX = 50  # restarted by one Job; the others are next


def silent(reports: Mapping[str, Report], vms: Mapping[str, VM]) -> dict[str, VM]:
    """Those that are to run, and of which their host hears nothing; what was said of an earlier epoch is over."""
    found = {}
    for report in reports.values():
        for name, epoch in report.silent.items():
            vm = vms.get(name)
            if vm is not None and (vm.host, vm.epoch) == (report.id, epoch) and _to_run(vm):
                found[name] = vm
    return found


def _to_run(vm: VM) -> bool:
    return vm.state is VMState.RUNNING and vm.on and vm.ha


class Known:
    """Since when, by this watcher's clock, each guest is silent, and since when those that were restarted are not."""

    def __init__(self) -> None:
        self._silent: dict[str, tuple[int, float]] = {}
        self._heard: dict[str, tuple[int, float]] = {}

    def look(self, now: float, silent: Mapping[str, VM], revived: Iterable[VM]) -> None:
        self._silent = _since(self._silent, now, silent.values())
        self._heard = _since(self._heard, now, (vm for vm in revived if vm.id not in silent))

    def due(self, now: float, silent: Mapping[str, VM]) -> list[VM]:
        """The VMs to be started again now."""
        able = [vm for vm in silent.values() if vm.revived < len(PAUSES_SECONDS)]
        return [vm for vm in able if now - self._silent[vm.id][1] >= PAUSES_SECONDS[vm.revived]]

    def steady(self, now: float) -> list[str]:
        return [vm for vm, (_, since) in self._heard.items() if now - since >= STEADY_SECONDS]


def _since(known: Mapping[str, tuple[int, float]], now: float, vms: Iterable[VM]) -> dict[str, tuple[int, float]]:
    """For each the moment at which it was first found so in its epoch."""
    return {vm.id: known[vm.id] if vm.id in known and known[vm.id][0] == vm.epoch else (vm.epoch, now) for vm in vms}


class Guests:
    """Of one holding of the monitor's role."""

    def __init__(self, ports: Ports, crew: Crew, role: Role) -> None:
        self._ports, self._crew, self._role = ports, crew, role
        self._known = Known()
        self._notice = Notice(ports, role, ALARM)
        self._job, self._look = "", 0.0  # the last restart, and when to look at it again

    async def go_on(self, mirror: Mirror) -> None:
        """Raises Conflict, Unavailable, UnknownOutcome: the next look is the retry."""
        now = self._ports.runtime.now()
        found = silent(mirror.reports, mirror.vms) if mirror.settings.guest_failure else {}
        self._known.look(now, found, [mirror.vms[name] for name in mirror.revived])
        for name in self._known.steady(now):
            vm = mirror.vms[name]
            steady = Change(VM, name, {"version": vm.version}, {"revived": 0})
            (after, _) = await self._ports.store.commit(steady, still_held(self._role))
            mirror.learn(after)
        hopeless = sorted(vm.id for vm in found.values() if vm.revived >= len(PAUSES_SECONDS))
        what = f"nothing is heard of the guests of {some(hopeless)}, though they were started again"
        await self._notice.say(what if hopeless else "")
        due = [vm for vm in self._known.due(now, found) if mirror.hosts[vm.host].state is HostState.ONLINE]
        if due and not await self._under_way(now):
            await self._revive(now, due[:VMS_MAX])

    async def _under_way(self, now: float) -> bool:
        if not self._job:
            return False
        if now < self._look:
            return True
        job = await self._ports.store.get(Work, self._job)
        self._look = now + LOOK_SECONDS
        return job is not None and job.state not in ENDED

    async def _revive(self, now: float, vms: list[VM]) -> None:
        asked = ReviveVMs(vms={vm.id: vm.epoch for vm in vms})
        self._job = await submit(self._ports, self._crew, "ha.revive", asked, on_conflict=OnConflict.SKIP)
        self._look = now + LOOK_SECONDS
        self._ports.runtime.log("guests are silent", vms=",".join(vm.id for vm in vms), job=self._job)
