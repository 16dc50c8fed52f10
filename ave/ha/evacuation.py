"""Hosts that VMs should leave: those that are read-only, and those where a network carries nothing that VMs there need. One
Job after the other has these leave, as long as there are any."""

from __future__ import annotations

from collections.abc import Iterable

from ave.ha.timing import Timing
from ave.ha.verdict import Signs, network_down
from ave.jobs.crew import Crew
from ave.jobs.submit import submit
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import ENDED, Work
from ave.operations import LeaveHost
from ave.ports.together import Ports
from ave.scheduler.mirror import Mirror

LOOK_SECONDS = 30.0  # from one look at the evacuation of a host to the next


def cut_off(mirror: Mirror, host: Host, signs: Signs, seconds: float) -> tuple[str, ...]:
    """The networks that have carried nothing there for so long, which VMs there need, and which another host has."""
    report = mirror.reports.get(host.id)
    if report is None or not report.down or not mirror.settings.network_failure or host.state is not HostState.ONLINE:
        return ()
    long = [name for name in report.down if (signs.seconds(host.id, network_down(name)) or 0.0) >= seconds]
    here = [vm for vm in _running(mirror, host.id) if any(name in vm.networks for name in long)]
    needed = [name for name in long if any(name in vm.networks for vm in here)]
    others = [other.id for other in mirror.hosts.values() if other.state is HostState.ONLINE]
    return tuple(name for name in needed if any(mirror.carries(other, name) for other in others))


def _running(mirror: Mirror, host: str) -> Iterable[VM]:
    return (vm for name in mirror.on.get(host, ()) if (vm := mirror.vms[name]).state is VMState.RUNNING)


class Evacuation:
    """Of one holding of the monitor's role. Another leader begins one more Job, which waits behind that of this one in the
    host's Job Queue and then finds nothing left to do."""

    def __init__(self, ports: Ports, crew: Crew, timing: Timing) -> None:
        self._ports, self._crew, self._timing = ports, crew, timing
        self._leaving: dict[str, tuple[str, float]] = {}  # host -> its Job, and when to look at it again

    async def go_on(self, mirror: Mirror, signs: Signs) -> None:
        now = self._ports.runtime.now()
        for name in sorted(dict.fromkeys((*mirror.odd, *signs.hosts(), *self._leaving))):
            host = mirror.hosts.get(name)
            networks = cut_off(mirror, host, signs, self._timing.network) if host is not None else ()
            if host is None or (host.state is not HostState.READ_ONLY and not networks):
                self._leaving.pop(name, None)
                continue
            job, due = self._leaving.get(host.id, ("", now))
            if now < due or not any(True for _ in _running(mirror, host.id)):
                continue
            known = await self._ports.store.get(Work, job) if job else None
            if known is None or known.state in ENDED:
                asked = LeaveHost(host=host.id, networks=networks)
                job = await submit(self._ports, self._crew, "ha.evacuate", asked, flag=f"leave {host.id}")
            self._leaving[host.id] = (job, now + LOOK_SECONDS)
