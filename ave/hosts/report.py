"""Report: each host writes what it is made of into its document, if that changed while it was up."""

from __future__ import annotations

import msgspec

from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.host import Host, HostState
from ave.model.work import Result, Step, Work
from ave.operations import NameHosts
from ave.ports.store import Replace
from ave.ports.together import Ports

GROUP_SIZE = 100
# Others have no worker that answers, and say what they are made of when they join.
ASKED = (HostState.ONLINE, HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE, HostState.READ_ONLY)


def split(request: NameHosts, found: Found) -> Split:
    """Nothing is locked: a host that changes meanwhile reports in the next period."""
    asked: list[str] = []
    results: dict[str, Result] = {}
    for name in request.hosts:
        host = found.get(Host, name)
        if host is None or host.state not in ASKED:
            results[name] = Result(True, f"not asked: it is {host.state if host is not None else 'no host any more'}")
        else:
            asked.append(name)
    groups = {f"hosts-{start}": _group(asked[start : start + GROUP_SIZE]) for start in range(0, len(asked), GROUP_SIZE)}
    return Split(groups=groups, results=results)


def _group(hosts: list[str]) -> dict[str, Step]:
    return {f"report/{host}": Step(function="host.report", resource=host, host=host) for host in hosts}


async def report(ports: Ports, task: Work) -> None:
    here, facts = await ports.store.get(Host, ports.host), await ports.machine.facts()
    if here is None or here.boot != facts.boot:
        return  # it is about to join, and says all of it then
    now = msgspec.structs.replace(
        here,
        cpus=facts.cpus,
        memory_mib=facts.memory_mib,
        reserve_mib=facts.reserve_mib,
        cpu_model=facts.cpu_model,
        networks=facts.networks,
        exclusive_cpus=facts.exclusive_cpus,
        nics_max=facts.nics_max,
        volumes_max=facts.volumes_max,
    )
    if now != here:
        await ports.store.commit(Replace(now))
        ports.runtime.log("host reports", host=here.id, cpus=now.cpus, memory_mib=now.memory_mib)


REPORT = Verb(
    operation="host.report",
    resources=lambda request: (),
    split=split,
    tasks={"host.report": TaskKind(function=report, seconds=30.0)},
    also=lambda request: each(Host, request.hosts),
)
