"""The Active scheduler's own picture of hosts and VMs, kept by the store's watch. A picture: every use of it is checked.

It is complete because it is read after the role was taken: whatever an earlier holder still tries to commit is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ave.model.group import Group
from ave.model.host import Host, HostState, Report, Zone
from ave.model.settings import DEFAULTS, Settings
from ave.model.vm import VM
from ave.placement.view import View
from ave.ports.store import Store, Watch


class Mirror:
    def __init__(self) -> None:
        self.view = View()
        self.hosts: dict[str, Host] = {}
        self.odd: dict[str, None] = {}  # hosts that are not online
        self.vms: dict[str, VM] = {}
        self.on: dict[str, dict[str, None]] = {}  # host -> its VMs
        self.stale: dict[str, None] = {}  # VMs recorded under an epoch that their host has left behind
        self.changes = 0
        self.freed = 0  # changes that may have made room for a VM that had found none
        self.groups: dict[str, Group] = {}
        self.reports: dict[str, Report] = {}
        self.settings = DEFAULTS
        self.revived: dict[str, None] = {}  # VMs that were started again because their guest was silent
        self._apply: dict[str, Callable[[str, Any], None]] = {
            "host": self._host,
            "vm": self._vm,
            "group": self._group,
            "zone": self._zone,
            "report": self._report,
            "settings": self._settings,
        }

    async def read(self, store: Store) -> None:
        for zone in await store.find(Zone):
            self._zone(zone.id, zone)
        for group in await store.find(Group):
            self._group(group.id, group)
        for host in await store.find(Host):
            self._host(host.id, host)
        for vm in await store.find(VM):
            self._vm(vm.id, vm)
        for report in await store.find(Report):
            self._report(report.id, report)
        for settings in await store.find(Settings):
            self._settings(settings.id, settings)

    async def follow(self, watch: Watch) -> None:
        """Apply commits until the stream breaks."""
        while True:
            for kind, id, doc in (await watch.next()).changes:
                self._apply[kind](id, doc)

    def carries(self, host: str, network: str) -> bool:
        """Has the host this network of VMs, and does it say nothing against it?"""
        report = self.reports.get(host)
        return network in self.hosts[host].networks and (report is None or network not in report.down)

    def learn(self, vm: VM) -> None:
        """What this process has just committed itself counts at once."""
        self._vm(vm.id, vm)

    def learn_host(self, host: Host) -> None:
        self._host(host.id, host)

    def _host(self, id: str, host: Host | None) -> None:
        if host is None:
            if self.hosts.pop(id, None) is not None:
                self.odd.pop(id, None)
                self.view.drop_host(id)
        elif id not in self.hosts or self.hosts[id].version < host.version:
            before, self.hosts[id] = self.hosts.get(id), host
            self.freed += _offers_more(host, before)
            self.view.put_host(host)
            if host.state is HostState.ONLINE:
                self.odd.pop(id, None)
            else:
                self.odd[id] = None
            if before is None or before.epoch != host.epoch:
                for name in self.on.get(id, ()):
                    self._weigh(self.vms[name])
        self.changes += 1

    def learn_group(self, group: Group) -> None:
        self._group(group.id, group)

    def forget_group(self, id: str) -> None:
        self._group(id, None)

    def _group(self, id: str, group: Group | None) -> None:
        if group is None:
            if self.groups.pop(id, None) is not None:
                self.view.bonds.drop(id)
                self.freed += 1
        elif id not in self.groups or self.groups[id].version < group.version:
            self.groups[id] = group
            self.view.bonds.put(group)
            self.freed += 1
        self.changes += 1

    def _zone(self, id: str, zone: Zone | None) -> None:
        if zone is not None:
            self.view.put_zone(zone)
        self.changes += 1

    def _report(self, id: str, report: Report | None) -> None:
        """Of what a host says of itself only the networks that carry nothing there matter for places."""
        if report is None:
            return
        before, self.reports[id] = self.reports.get(id), report
        was = before.down if before is not None else ()
        if report.down != was:
            self.view.put_down(id, report.down)
            self.freed += any(name not in report.down for name in was)
            self.changes += 1

    def _settings(self, id: str, settings: Settings | None) -> None:
        self.settings = settings or DEFAULTS

    def _vm(self, id: str, vm: VM | None) -> None:
        known = self.vms.get(id)
        if vm is not None and known is not None and known.version >= vm.version:
            return
        self.freed += self._gives_room(known, vm)
        if known is not None and known.host:
            self.on.get(known.host, {}).pop(id, None)
        if vm is None:
            if known is not None:
                del self.vms[id]
                self.stale.pop(id, None)
                self.revived.pop(id, None)
                self.view.drop_vm(id)
        else:
            self.vms[id] = vm
            self.view.put_vm(vm)
            if vm.host:
                self.on.setdefault(vm.host, {})[id] = None
            self._weigh(vm)
            if vm.revived:
                self.revived[id] = None
            else:
                self.revived.pop(id, None)
        self.changes += 1

    def _gives_room(self, known: VM | None, vm: VM | None) -> bool:
        """Does it leave a host that takes VMs, or hold less of it?"""
        if known is None:
            return False
        for host in dict.fromkeys((known.host if known.holds_memory else "", known.reserved)):
            if host in self.hosts and self.hosts[host].state is HostState.ONLINE:
                there = vm is not None and (vm.reserved == host or (vm.host == host and vm.holds_memory))
                if vm is None or not there or _size(vm) != _size(known):
                    return True
        return False

    def _weigh(self, vm: VM) -> None:
        host = self.hosts.get(vm.host)
        if host is not None and vm.holds_memory and vm.host_epoch < host.epoch:
            self.stale[vm.id] = None
        else:
            self.stale.pop(vm.id, None)


def _offers_more(host: Host, before: Host | None) -> bool:
    if host.state is not HostState.ONLINE:
        return False
    return before is None or before.state is not HostState.ONLINE or _offer(host) != _offer(before)


def _offer(host: Host) -> tuple[object, ...]:
    limits = (host.exclusive_cpus, host.nics_max, host.volumes_max)
    return host.epoch, host.memory_mib - host.reserve_mib, host.networks, host.cpu_model, *limits


def _size(vm: VM) -> tuple[object, ...]:
    return vm.memory_mib, len(vm.networks), len(vm.media), vm.pinned and not vm.unpinned
