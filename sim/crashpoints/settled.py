"""What must be so when all has settled: nothing is left over in the Job Center, and documents and world agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ave.model.alarm import Alarm
from ave.model.cluster import JobQueue, Lock
from ave.model.group import Group
from ave.model.host import Host, HostState
from ave.model.network import Network, NetworkState
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import ENDED, LEAD, Work
from ave.ports.hypervisor import DomainState
from sim.cluster import SimCluster

DOMAINS = {VMState.RUNNING: DomainState.RUNNING, VMState.SUSPENDED: DomainState.SUSPENDED}
RESTING = (VMState.RUNNING, VMState.SUSPENDED, VMState.STOPPED)

Ours = Callable[[str], bool]  # is this the id of one of the Jobs in question?


def all_of(cluster: SimCluster, kind: type[Any]) -> list[Any]:
    return list(cluster.store.ledger.shelves[kind].docs.values())


def jobs(cluster: SimCluster, ours: Ours) -> list[Work]:
    return [work for work in all_of(cluster, Work) if work.function == LEAD and ours(work.id)]


def unsettled(cluster: SimCluster, ours: Ours, *, lost: bool) -> list[str]:
    """What is not as it must be, one line each. ``lost``: a host was, for a while."""
    return [*_left(cluster), *_disagreements(cluster, _failed(cluster, ours), lost)]


def _failed(cluster: SimCluster, ours: Ours) -> dict[str, None]:
    """The resources that a Job could not bring into their state: what did not start stays off (docs/decisions/0008)."""
    return {name: None for job in jobs(cluster, ours) for name, result in job.results.items() if not result.ok}


def _left(cluster: SimCluster) -> Iterator[str]:
    for work in all_of(cluster, Work):
        if work.state not in ENDED:
            yield f"{work.id} is {work.state} (lane {work.lane}, attempt {work.attempt})"
    for lock in all_of(cluster, Lock):
        if lock.job or lock.queue:
            yield f"lock {lock.id} is held by {lock.job or 'nobody'}, and waited for by {lock.queue}"
    for queue in all_of(cluster, JobQueue):
        if queue.running or queue.length:
            yield f"Job Queue {queue.id} has {queue.length} Jobs, and it is the turn of {queue.running or 'nobody'}"
    for alarm in all_of(cluster, Alarm):
        if alarm.raised >= 0:  # else it is older than this world, and clean-up's
            yield f"alarm {alarm.id}: {alarm.what}"


def _disagreements(cluster: SimCluster, failed: dict[str, None], lost: bool) -> Iterator[str]:
    hosts = {host.id: host for host in all_of(cluster, Host)}
    for name, machine in cluster.machines.items():
        healthy = HostState.READ_ONLY if machine.read_only else HostState.ONLINE
        if machine.powered and hosts[name].state not in (healthy, HostState.MAINTENANCE):
            yield f"{name} is {hosts[name].state}, and has power"
        if machine.powered and "node" not in machine.running:
            yield f"{name} has no node process"
    vms = {vm.id: vm for vm in all_of(cluster, VM)}
    yield from _domains(cluster, vms)
    for vm in vms.values():
        if vm.state not in RESTING:
            yield f"VM {vm.id} is {vm.state}: {vm.story[-1:]}"
        given_up = vm.state is VMState.STOPPED and vm.id in failed
        if vm.ha and vm.on and vm.state is not VMState.RUNNING and not given_up:
            yield f"VM {vm.id} is wanted on, and {vm.state}"
        if vm.reserved or vm.refit:
            yield f"VM {vm.id} has room reserved on {vm.reserved or 'no host'}, refit {vm.refit}"
    yield from _luns(cluster, vms, lost)
    for group in all_of(cluster, Group):
        for name in group.vms:
            if name not in vms:
                yield f"placement group {group.id} has {name}, and there is no such VM"
    for network in all_of(cluster, Network):
        if network.state is not NetworkState.ACTIVE:
            yield f"network {network.id} is {network.state}"


def _domains(cluster: SimCluster, vms: dict[str, VM]) -> Iterator[str]:
    found: dict[str, list[tuple[str, DomainState, int]]] = {}
    for machine in cluster.machines.values():
        for guest in machine.guests.values():
            found.setdefault(guest.vm, []).append((machine.name, guest.state, guest.epoch))
            vm = vms.get(guest.vm)
            if vm is not None and (guest.volumes, guest.media, guest.networks) != (vm.volumes, vm.media, vm.networks):
                yield f"domain {guest.vm} has {guest.media} and {guest.networks}, not {vm.media} and {vm.networks}"
    for vm in vms.values():
        state = DOMAINS.get(vm.state)
        expected = [(vm.host, state, vm.epoch)] if state is not None else []
        if (there := found.pop(vm.id, [])) != expected:
            yield f"VM {vm.id} is {vm.state} on {vm.host} at epoch {vm.epoch}, and its domains are {there}"
    for name, domains in found.items():
        yield f"a domain of {name}, which is no VM: {domains}"


def _luns(cluster: SimCluster, vms: dict[str, VM], lost: bool) -> Iterator[str]:
    volumes = {volume.id: volume for volume in all_of(cluster, Volume)}
    luns = {name: (lun.size_gib, lun.owner, lun.epoch) for name, lun in cluster.storage.volumes.items()}
    users = {name: vm for vm in vms.values() for name in vm.media}
    for name, volume in volumes.items():
        lun, user = luns.pop(name, None), users.get(name)
        if volume.state is not VolumeState.READY:
            yield f"volume {name} is {volume.state}: {volume.story[-1:]}"
        elif lun is None or lun[0] != volume.size_gib:
            yield f"volume {name} of {volume.size_gib} GiB has a LUN of {lun}"
        if volume.vm != (user.id if user else ""):
            yield f"volume {name} says it belongs to {volume.vm or 'nobody'}, and is a device of {user and user.id}"
        if user is not None and user.state in DOMAINS and lun is not None and lun[1:] != (user.host, user.epoch):
            yield f"the LUN of {name} obeys {lun[1:]}, and {user.id} is on {user.host} at epoch {user.epoch}"
        if user is None and lun is not None and lun[1] and not lost:  # a host that is lost detaches nothing
            yield f"the LUN of {name} is attached to {lun[1]}, and no VM has it"
    for name, lun in luns.items():
        yield f"a LUN {name} that is no volume: {lun}"
    for name, vm in users.items():
        if name not in volumes:
            yield f"VM {vm.id} has a volume {name} that does not exist"


def picture(cluster: SimCluster, asked: Sequence[str]) -> dict[str, Any]:
    """What a user sees in the end of the Jobs that were asked for, and of everything else; not where VMs are, nor how often
    they were started."""
    seen: dict[str, Any] = {}
    for job in (cluster.store.ledger.get(Work, id) for id in asked):
        if job is None:
            continue
        seen[f"Job {job.id}"] = (str(job.state), {name: result.ok for name, result in job.results.items()})
    for vm in all_of(cluster, VM):
        sort = (vm.name, vm.vcpus, vm.memory_mib, vm.volumes, vm.cdrom, vm.networks)
        seen[f"VM {vm.id}"] = (str(vm.state), vm.on, *sort)
    for volume in all_of(cluster, Volume):
        seen[f"volume {volume.id}"] = (str(volume.state), volume.size_gib, volume.vm)
    for alarm in all_of(cluster, Alarm):
        seen[f"alarm {alarm.id}"] = alarm.what
    for network in all_of(cluster, Network):
        seen[f"network {network.id}"] = (str(network.state), network.vlan, network.trunk)
    for host in all_of(cluster, Host):
        seen[f"host {host.id}"] = (str(host.state), str(host.wish), host.memory_mib)
    return seen
