"""The rescues: what lost hosts have left behind goes into one Job after the other, and what it could not save into the next."""

from __future__ import annotations

from collections.abc import Sequence

from ave.ha.rescue import LOST
from ave.ha.retry import Attempts
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.cluster import Role
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import PRIORITIES, VM, VMState
from ave.model.work import ENDED, OnConflict, Work
from ave.operations import RescueVMs
from ave.ports.store import Replace
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import still_held

QUEUE = "ha"
GATHER_SECONDS = 6.0  # hosts that are lost at one moment are judged within so long: they have renewed at different ones
VMS_MAX = 1000  # in one Job: its plan is written anew whenever some of them have started


class Dispatch:
    """Of one holding of the monitor's role: who takes it over knows nothing of the attempts before, and begins at once."""

    def __init__(self, ports: Ports, crew: Crew, role: Role) -> None:
        self._ports, self._crew, self._role = ports, crew, role
        self._attempts = Attempts()
        self._looked_at = -1  # the mirror's changes at the last search for lost VMs
        self._job = ""  # the rescue under way …
        self._freed = 0  # … and how much room had been freed when it began
        self._gathers: float | None = None  # since when the next one waits for hosts yet to be judged

    async def go_on(self, mirror: Mirror, more: bool) -> None:
        """One rescue Job at a time; what it could not save is tried again. ``more``: other hosts of the same failure are
        about to be judged, and may have left more urgent VMs behind."""
        if self._job and not await self._over():
            return
        now = self._ports.runtime.now()
        if self._looked_at == mirror.changes and not self._attempts.any_due(now, mirror.freed):
            return
        self._looked_at = mirror.changes
        lost: list[VM] = []
        for host in doubtful_hosts(mirror):
            left = lost_vms(mirror, host)
            lost += left
            if not left and host.state is HostState.FENCED:
                recovered = move(host, HostState.RECOVERED, "nothing of it is left to rescue")
                await self._ports.store.commit(Replace(recovered), still_held(self._role))
        self._attempts.keep(vm.id for vm in lost)
        due = [vm for vm in lost if self._attempts.due(vm.id, now, mirror.freed)]
        crashed = [vm for vm in due if _crashed(vm, mirror) and self._attempts.none(vm.id)]
        if crashed:
            self._looked_at = -1
            await self._submit([vm for vm in crashed if vm.host == crashed[0].host], now, mirror.freed, here=True)
        elif due and more and self._may_gather(now):
            self._looked_at = -1
        elif due:
            self._gathers = None
            await self._submit(sorted(due, key=_most_urgent_first)[:VMS_MAX], now, mirror.freed)

    def _may_gather(self, now: float) -> bool:
        self._gathers = now if self._gathers is None else self._gathers
        return now - self._gathers < GATHER_SECONDS

    async def _over(self) -> bool:
        job = await self._ports.store.get(Work, self._job)
        if job is not None and job.state not in ENDED:
            return False
        self._job = ""
        if job is not None and job.plan is not None:
            self._attempts.placeless((vm for vm, fact in job.plan.facts.items() if fact.refusal), self._freed)
        return True

    async def _submit(self, vms: Sequence[VM], now: float, freed: int, *, here: bool = False) -> None:
        names = tuple(vm.id for vm in vms)
        self._attempts.begin(names, now)
        hosts = tuple(dict.fromkeys(vm.host for vm in vms))
        self._job, self._freed = "", freed
        self._job = await submit(
            self._ports,
            self._crew,
            "ha.rescue",
            RescueVMs(hosts=hosts, vms=names, here=here),
            flag=QUEUE,
            on_conflict=OnConflict.SKIP,
            lane=self._ports.host,  # alive, while another may be the next one lost
        )
        self._ports.runtime.log("rescue submitted", hosts=",".join(hosts), vms=len(names), job=self._job)


def doubtful_hosts(mirror: Mirror) -> list[Host]:
    """Hosts that may have left VMs behind: those judged dead, and those that are the last ones of stale VMs."""
    dead = [host for host in mirror.hosts.values() if host.state is HostState.FENCED]
    names = dict.fromkeys([host.id for host in dead] + [mirror.vms[vm].host for vm in mirror.stale])
    return [mirror.hosts[name] for name in names]


def lost_vms(mirror: Mirror, host: Host) -> list[VM]:
    """VMs that this host is proved not to run, though they are recorded there, and that need something done."""
    dead = host.state is HostState.FENCED
    names = mirror.on.get(host.id, {}) if dead else [vm for vm in mirror.stale if mirror.vms[vm].host == host.id]
    found = [mirror.vms[name] for name in names]
    # What nobody wants started is settled when its host returns.
    settled = [
        vm.id for vm in found if vm.state is VMState.UNKNOWN and not (vm.ha and vm.on) and vm.id not in mirror.stale
    ]
    return [vm for vm in found if vm.state in LOST and vm.id not in settled]


def _crashed(vm: VM, mirror: Mirror) -> bool:
    """Did it end where all else goes on? Then it is first tried there."""
    if vm.state is not VMState.UNKNOWN or vm.host_epoch or mirror.hosts[vm.host].state is not HostState.ONLINE:
        return False
    return all(mirror.carries(vm.host, network) for network in vm.networks)


def _most_urgent_first(vm: VM) -> tuple[int, str]:
    return PRIORITIES.index(vm.priority), vm.id
