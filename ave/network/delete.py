"""Delete networks. Once one is ``deleting`` no VM can be connected to it any more: whoever connects one makes it a condition of
his commit. So the look for VMs that comes after that is final, and with one on it the network stays.
"""

from __future__ import annotations

from ave.errors import Refused
from ave.jobs.verb import Found, Split, TaskKind, Verb, each
from ave.model.cluster import Lock, lock_name
from ave.model.network import INTERNAL, Network, NetworkState
from ave.model.states import move
from ave.model.vm import VM
from ave.model.work import Result, Step, Work
from ave.operations import NameNetworks
from ave.ports.store import Check, Delete, Replace
from ave.ports.together import Ports

NAMED = 5  # VMs that a refusal names
PAGE = 1000


def split(request: NameNetworks, found: Found) -> Split:
    there = found.of(Network)
    steps: dict[str, Step] = {}
    results: dict[str, Result] = {}
    for name in request.networks:
        if name not in there:
            continue  # left out because its lock is held
        network = there[name]
        if name in INTERNAL:
            results[name] = Result(False, f"network {name} is the hosts' own: it can be edited, not deleted")
        elif network is None:
            results[name] = Result(False, f"there is no network {name}")
        else:
            steps[f"delete/{name}"] = Step(function="network.delete", resource=name, undo="network.keep")
    return Split(steps=steps, results=results)


async def delete(ports: Ports, task: Work) -> None:
    """Whoever has read the document, or written it, does not look behind the commit that made it ``deleting``."""
    network = await ports.store.get(Network, task.resource)
    if network is None:
        return  # an earlier attempt got this far
    if network.state is not NetworkState.DELETING:
        going = move(network, NetworkState.DELETING, "its user deletes it")
        network = (await ports.store.commit(Replace(going), _locked(task)))[0]
    if users := await _users(ports, network.id):
        first = ", ".join(users[:NAMED])
        more = f" and {len(users) - NAMED} more" if len(users) > NAMED else ""
        raise Refused(f"network {network.id} is in use by {first}{more}: disconnect them first")
    await ports.store.commit(Delete(network), _locked(task))


async def keep(ports: Ports, task: Work) -> None:
    network = await ports.store.get(Network, task.resource)
    if network is not None and network.state is NetworkState.DELETING:
        await ports.store.commit(Replace(move(network, NetworkState.ACTIVE, "it was not deleted")), _locked(task))


async def _users(ports: Ports, network: str) -> list[str]:
    users: list[str] = []
    after: tuple[str, ...] | None = None
    while True:
        vms = await ports.store.find(VM, limit=PAGE, after=after)
        users += [vm.id for vm in vms if network in vm.networks]
        if len(vms) < PAGE:
            return users
        after = (vms[-1].id,)


def _locked(task: Work) -> Check:
    return Check(Lock, lock_name(Network, task.resource), {"job": task.job})


DELETE = Verb(
    operation="network.delete",
    resources=lambda request: each(Network, request.networks),
    split=split,
    tasks={
        "network.delete": TaskKind(function=delete, seconds=120.0),
        "network.keep": TaskKind(function=keep, seconds=60.0, tries=18),
    },
)
