"""VM state synchronisation: what runs on each host, compared with what the store says, host by host."""

from __future__ import annotations

from ave.jobs.verb import Found, Split, TaskKind, Verb
from ave.model.work import Step, Work
from ave.operations import NameHosts
from ave.ports.together import Ports
from ave.vms.reconcile import reconcile

SYNCHRONISE = "vm.synchronise"


def split(request: NameHosts, found: Found) -> Split:
    return Split(steps={host: Step(function=SYNCHRONISE, host=host) for host in request.hosts})


async def synchronise(ports: Ports, task: Work) -> None:
    await reconcile(ports)


SYNCHRONISE_VERB = Verb(
    operation=SYNCHRONISE,
    resources=lambda request: (),
    split=split,
    tasks={SYNCHRONISE: TaskKind(function=synchronise, seconds=60.0, tries=1)},
)
