"""What is on a host and nobody wants there any more: copies that a newer incarnation has outlived, or that a migration left.

Their memory is in nobody's books, so whoever starts a VM where it is tight makes sure first that it is free.
"""

from __future__ import annotations

from collections.abc import Iterable

from ave.errors import Unavailable
from ave.model.cluster import Lock
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.ports.hypervisor import Domain, DomainState, Stamp
from ave.ports.together import Ports
from ave.vms.steps import lock_of


def outlived(vm: VM, domain: Domain, here: Host) -> bool:
    """Was the right to run given anew since, or did this host join anew, saying that nothing older runs here?"""
    return vm.epoch > domain.epoch or (vm.epoch == domain.epoch and vm.host_epoch < here.epoch)


def _is_copy(domain: Domain) -> bool:
    return domain.state is DomainState.INCOMING


def _given_up(vm: VM, domain: Domain) -> bool:
    """A copy for which a VM has never stood still. Its epoch was not taken when its migration failed, so the VM may have taken
    the very same one since, as it was stopped: the copy's memory is of a life that is over."""
    return _is_copy(domain) and vm.state not in (VMState.RUNNING, VMState.STARTING)


async def remove_stale(ports: Ports, here: Host, domain: Domain) -> None:
    """Only if the VM's own document says that a newer incarnation, or none, is right; a document unread is no proof."""
    lock = await ports.store.get(Lock, lock_of(domain.vm))
    if lock is not None and lock.job:
        return  # a Job is at work on it: a migration coming in, say
    vm = await ports.store.get(VM, domain.vm)  # in this order: a Job that ended in between has said what is right
    stale = vm is None or vm.epoch > domain.epoch
    if vm is not None and not stale:
        stale = _given_up(vm, domain) or outlived(vm, domain, here) if vm.host == here.id else _is_copy(domain)
    if stale:
        await ports.hypervisor.destroy(domain.vm, Stamp(epoch=domain.epoch))
        ports.runtime.log("stale copy destroyed", vm=domain.vm, epoch=domain.epoch)


async def make_room(ports: Ports, vm: VM, domains: Iterable[Domain]) -> None:
    """For a VM that the books say has room here. ``domains``: what is on this host. Raises Unavailable while what is in no book
    takes that room: its own Job, or the next look at this host, ends it."""
    if not _standing(domains):
        return  # who runs is in the books, else it could not
    here = await ports.store.get(Host, ports.host)
    books = {known.id: known for known in await ports.store.find(VM, {"host": ports.host}) if known.holds_memory}
    if here is not None:
        for domain in _standing(domains):
            if domain.vm not in books or outlived(books[domain.vm], domain, here):
                await remove_stale(ports, here, domain)
    books |= {known.id: known for known in await ports.store.find(VM, {"reserved": ports.host})} | {vm.id: vm}
    left = [domain for domain in _standing(await ports.hypervisor.list()) if domain.vm not in books]
    facts = await ports.machine.facts()
    taken = sum(known.memory_mib for known in books.values()) + sum(domain.memory_mib for domain in left)
    if left and taken > facts.memory_mib - facts.reserve_mib:
        odd = ", ".join(domain.vm for domain in left)
        raise Unavailable(f"{ports.host} has no room for {vm.id} as long as it holds what is left of {odd}")


def _standing(domains: Iterable[Domain]) -> list[Domain]:
    return [domain for domain in domains if domain.state in (DomainState.INCOMING, DomainState.PAUSED)]
