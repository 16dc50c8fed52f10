"""Hosts that are read-only while VMs run there: one Job after the other has these leave, as long as there are any."""

from __future__ import annotations

from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.host import HostState
from ave.model.vm import VMState
from ave.model.work import ENDED, Work
from ave.operations import NameHosts
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror

LOOK_SECONDS = 30.0  # from one look at the evacuation of a host to the next


class Evacuation:
    """Of one holding of the monitor's role. Another leader begins one more Job, which waits behind that of this one in the
    host's Job Queue and then finds nothing left to do."""

    def __init__(self, ports: Ports, crew: Crew) -> None:
        self._ports, self._crew = ports, crew
        self._leaving: dict[str, tuple[str, float]] = {}  # host -> its Job, and when to look at it again

    async def go_on(self, mirror: Mirror) -> None:
        now = self._ports.runtime.now()
        for host in list(mirror.hosts.values()):
            if host.state is not HostState.READ_ONLY:
                self._leaving.pop(host.id, None)
                continue
            job, due = self._leaving.get(host.id, ("", now))
            if now < due or not any(mirror.vms[vm].state is VMState.RUNNING for vm in mirror.on.get(host.id, ())):
                continue
            known = await self._ports.store.get(Work, job) if job else None
            if known is None or known.state in ENDED:
                asked = NameHosts(hosts=(host.id,))
                job = await submit(self._ports, self._crew, "ha.evacuate", asked, flag=f"leave {host.id}")
            self._leaving[host.id] = (job, now + LOOK_SECONDS)
