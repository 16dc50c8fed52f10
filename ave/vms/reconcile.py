"""Reconcile this host with the store: what runs here without a right goes, what was left half done is settled.

Level-triggered and local: it repairs what a lost answer or a dead worker left behind, and touches nothing a Job owns. It is
done when a node starts, when the timetable says so, and as soon as a domain is heard to have ended by itself.
"""

from __future__ import annotations

import msgspec

from ave.errors import Refused, Unavailable, UnknownOutcome
from ave.model.cluster import Lock
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.ports.hypervisor import Domain, DomainState, Stamp
from ave.ports.store import Change, Check, Conflict, Insert, Replace, Write
from ave.ports.together import Ports
from ave.vms.devices import refit
from ave.vms.leftovers import outlived, remove_stale
from ave.vms.settle import as_found
from ave.vms.steps import lock_of

EVERY_SECONDS = 30.0
RETRY_SECONDS = 2.0
TRIES = 15  # until the next scheduled look


async def reconcile_at_start(ports: Ports) -> None:
    """Until one look succeeded; from then on the scheduled VM state synchronisation does it."""
    runtime = ports.runtime
    while True:
        await runtime.sleep(EVERY_SECONDS * runtime.random.random())
        try:
            await reconcile(ports)
            return
        except (Unavailable, UnknownOutcome, Conflict, Refused) as trouble:
            runtime.log("reconcile put off", why=str(trouble))


async def reconcile_when_told(ports: Ports) -> None:
    """Soon after a domain has ended by itself. While it cannot be done the scheduled looks are the net."""
    runtime = ports.runtime
    while True:
        await ports.hypervisor.hear()
        for _ in range(TRIES):
            try:
                await reconcile(ports)
                break
            except (Unavailable, UnknownOutcome, Conflict, Refused) as trouble:
                runtime.log("reconcile put off", why=str(trouble))
                await runtime.sleep(RETRY_SECONDS)


async def reconcile(ports: Ports) -> None:
    """One look: domains first, then documents, so that a VM started in between is not taken for a stale copy."""
    here = await ports.store.get(Host, ports.host)
    if here is None or here.boot != (await ports.machine.facts()).boot:
        return  # not registered since it booted: nothing the store says is about this boot
    domains = {domain.vm: domain for domain in await ports.hypervisor.list()}
    mine = {vm.id: vm for vm in await ports.store.find(VM, {"host": ports.host})}
    odd = [vm for vm in mine.values() if vm.host_epoch == here.epoch and as_found(vm, domains.get(vm.id)) is not vm]
    for name, domain in domains.items():
        if name not in mine or outlived(mine[name], domain, here):
            await remove_stale(ports, here, domain)
    settled = await _settle(ports, odd)
    mine |= settled
    await _give_back(ports)
    for vm in mine.values():
        if vm.state is VMState.STOPPED and vm.id not in domains:
            await _let_go(ports, vm)
    for name, domain in domains.items():
        if name in mine and mine[name].epoch == domain.epoch and mine[name].host_epoch == here.epoch:
            if domain.state is DomainState.INCOMING and mine[name].state is VMState.RUNNING:
                await _take_over(ports, mine[name], domain)
            elif domain.state is DomainState.INCOMING:
                await remove_stale(ports, here, domain)
            elif domain.state is DomainState.PAUSED and mine[name].state is VMState.RUNNING:
                await _stay(ports, mine[name], found=name in settled)
            elif mine[name].refit:
                await _refit(ports, mine[name])


async def _settle(ports: Ports, odd: list[VM]) -> dict[str, VM]:
    """What nobody finished, whose process died, or whose record was lost: what is here decides. Look again, now that the
    documents are known: a domain may have come in between. What a Job is at work on is its own to settle. Answers what
    the documents say now."""
    settled: dict[str, VM] = {}
    if not odd:
        return settled
    domains = {domain.vm: domain for domain in await ports.hypervisor.list()}
    ended = {each.vm: each for each in await ports.hypervisor.ended()}
    for vm in odd:
        found = as_found(vm, domains.get(vm.id), ended.get(vm.id))
        if found is vm:
            continue
        try:
            unlocked = await _unlocked(ports, vm.id)
            if vm.state is VMState.STARTING and vm.id not in domains:
                await _refuse_late(ports, vm)
            settled[vm.id], *_ = await ports.store.commit(Replace(found), unlocked)
            ports.runtime.log("VM settled", vm=vm.id, state=str(found.state), why=found.story[-1])
        except Conflict:
            continue
        if found.state in (VMState.STOPPED, VMState.UNKNOWN):
            await _forget(ports, vm)
    return settled


async def _forget(ports: Ports, vm: VM) -> None:
    """Nothing of this incarnation is needed any more; a newer one, which may have begun meanwhile, is not touched."""
    own = Stamp(epoch=vm.epoch)
    try:
        await ports.hypervisor.destroy(vm.id, own)
        for volume in vm.media:
            await ports.block.detach(volume, own)
    except (Unavailable, UnknownOutcome, Refused) as trouble:
        ports.runtime.log("VM not forgotten", vm=vm.id, why=str(trouble))


async def _give_back(ports: Ports) -> None:
    """Room here that no Job holds any more: whoever reserved it is over, and nobody else will say so."""
    for vm in await ports.store.find(VM, {"reserved": ports.host}):
        try:
            unlocked = await _unlocked(ports, vm.id)
            await ports.store.commit(Change(VM, vm.id, {"version": vm.version}, {"reserved": ""}), unlocked)
            ports.runtime.log("room given back", vm=vm.id)
        except Conflict:
            continue  # a Job is at work on it


async def _let_go(ports: Ports, vm: VM) -> None:
    """Off, and yet attached, here or to a host that had it before: its end was found, not made, or the storage was away. A
    right given since is newer, and not touched."""
    for name in vm.media:
        try:
            owner, epoch = await ports.block.owner(name)
        except Refused:
            continue  # there is no such volume: its VM cannot start, and says so then
        if not owner or epoch > vm.epoch or (owner != ports.host and epoch == vm.epoch):
            continue
        if owner != ports.host:  # an older right of another's ends with ours
            await ports.block.attach(name, ports.host, Stamp(epoch=vm.epoch))
            epoch = vm.epoch
        await ports.block.detach(name, Stamp(epoch=epoch))
        ports.runtime.log("volume let go", vm=vm.id, volume=name)


async def _refuse_late(ports: Ports, vm: VM) -> None:
    """A worker that stood still may be about to start it here, for a Job that has ended: not under this newer token."""
    lock = await ports.store.get(Lock, lock_of(vm.id))
    token = lock.version if lock is not None else 0
    newer = Stamp(job=f"settle@{ports.host}", lock=lock_of(vm.id), token=token, epoch=vm.epoch)
    await ports.hypervisor.destroy(vm.id, newer)


async def _stay(ports: Ports, vm: VM, *, found: bool) -> None:
    """Paused though it should run. If a migration that nobody carries on left it so, the VM stays here after all. If it was
    ``found`` just now, the end of a lease, which is back, paused it when its document did not say yet that it should run. Of
    others the lease's keeper knows; and what stands still because its volume fails waits for that."""
    lock = await ports.store.get(Lock, lock_of(vm.id))
    if lock is None or not lock.job:
        await ports.hypervisor.abort_migration(vm.id, vm.reserved or ports.host, Stamp(epoch=vm.epoch))
        if found:
            await ports.hypervisor.resume(vm.id, Stamp(epoch=vm.epoch))


async def _refit(ports: Ports, vm: VM) -> None:
    try:
        unlocked = await _unlocked(ports, vm.id)
        await refit(ports, vm)
        await ports.store.commit(Replace(msgspec.structs.replace(vm, refit=False)), unlocked)
        ports.runtime.log("VM refitted", vm=vm.id)
    except Conflict:
        return  # a Job is at work on it


async def _take_over(ports: Ports, vm: VM, domain: Domain) -> None:
    """A migration was committed in our favour and its source could not say so: the VM is ours to run."""
    for volume in vm.media:
        await ports.block.attach(volume, ports.host, Stamp(epoch=vm.epoch))
    await ports.hypervisor.resume(domain.vm, Stamp(epoch=vm.epoch))
    ports.runtime.log("VM taken over", vm=vm.id, epoch=vm.epoch)


async def _unlocked(ports: Ports, vm: str) -> Write:
    """The condition that no Job owns the VM."""
    lock = await ports.store.get(Lock, lock_of(vm))
    if lock is None:
        return Insert(Lock(id=lock_of(vm)))
    if lock.job:
        raise Conflict("lock", lock.id, lock)
    return Check(Lock, lock.id, {"version": lock.version})
