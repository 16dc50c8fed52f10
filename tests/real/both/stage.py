"""The bed as a scenario knows it: hosts by the scenario's names, and what there is by the store and by every libvirt."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field

from ave.model import host
from ave.model.alarm import Alarm
from ave.model.vm import VM
from ave.ports.hypervisor import DomainState
from drivers.libvirt.domains import Domains
from drivers.libvirt.link import Link
from drivers.process import life
from sim.expect import Sight
from sim.scenario.model import Topology
from tests.real.bed import Bed, Host
from tests.real.cluster import RealCluster
from tests.real.faults.supervisor import Supervisor
from tests.real.operator import Operator
from tests.real.qemus import qemu


@dataclass
class Stage:
    topology: Topology
    bed: Bed
    cluster: RealCluster
    operator: Operator
    supervisor: Supervisor
    stopped: dict[tuple[str, str], int] = field(default_factory=dict)  # (host, process) -> which stands still

    def host(self, name: str) -> Host:
        return next(each for each in self.bed.hosts if self.name_of(each) == name)

    def name_of(self, host: Host) -> str:
        return self.cluster.told[host.name].name

    def signal(self, pid: int, number: signal.Signals) -> None:
        """0 is nobody."""
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def sight(self) -> Sight:
        """But for what only the changes of the store tell."""
        return Sight(
            vms={vm.id: vm for vm in await self.operator.find(VM)},
            hosts={each.id: each for each in await self.operator.find(host.Host)},
            alarms=frozenset(alarm.id for alarm in await self.operator.find(Alarm)),
            domains=await asyncio.to_thread(lambda: {self.name_of(each): _domains(each) for each in self.bed.hosts}),
            zones={each.name: each.zone for each in self.topology.hosts()},
        )


def _domains(host: Host) -> dict[str, DomainState]:
    if not host.pid:
        return {}
    link = Link(host.local_uri, host.name)
    try:
        return {domain.vm: _seen(host, domain.vm, domain.state) for domain in Domains(link, None).list()}
    finally:
        link.close()


def _seen(host: Host, vm: str, state: DomainState) -> DomainState:
    """A process that the guard has stopped runs as far as libvirt knows."""
    process = life.life_of(qemu(host, vm))
    standing = process is not None and life.is_standing(process)
    return DomainState.PAUSED if state is DomainState.RUNNING and standing else state
