"""The catalogue of what can be asked for: types only. ``OPERATIONS`` become Jobs, whose verbs are bound in ``ave.verbs``;
``QUESTIONS`` are answered at once, by what ``ave.api.answers`` binds to them.

Routes, OpenAPI, commands and the reference are derived from it: an operation more is one entry here, and its verb or answer.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ave.model.access import Permission
from ave.model.group import Rule
from ave.model.vm import Priority
from ave.model.volume import StoragePolicy
from ave.model.work import Urgency


class NewVM(msgspec.Struct, frozen=True, kw_only=True):
    """One VM to be; ``disks_gib`` has one size per volume."""

    id: str
    vcpus: int
    memory_mib: int
    disks_gib: tuple[int, ...] = (20,)
    networks: tuple[str, ...] = ()
    cpu_model: str = "any"
    ha: bool = True
    priority: Priority = Priority.MEDIUM
    labels: dict[str, str] = {}
    name: str = ""  # for people
    pinned: bool = False  # with CPUs for it alone
    groups: tuple[str, ...] = ()  # placement groups that it is in from the start


class CreateVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[NewVM, ...]
    start: bool = True


class NameVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]


class StartVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]
    host: str = ""  # "": the scheduler chooses


class ShutdownVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]
    seconds: float = 180.0  # how long the guests have


class EditVM(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be another; a field that is absent stays as it is. Volumes that are detached are kept."""

    id: str
    name: str | UnsetType = UNSET
    vcpus: int | UnsetType = UNSET
    memory_mib: int | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET
    ha: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    networks: tuple[str, ...] | UnsetType = UNSET  # one per NIC
    cdrom: str | UnsetType = UNSET  # a volume; "": nothing in it
    attach: tuple[str, ...] = ()  # volumes, to those that it has
    detach: tuple[str, ...] = ()


class EditVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[EditVM, ...]


class MigrateVMs(msgspec.Struct, frozen=True, kw_only=True):
    vms: tuple[str, ...]
    host: str = ""


class NewVolume(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    size_gib: int
    policy: StoragePolicy = StoragePolicy()


class CreateVolumes(msgspec.Struct, frozen=True, kw_only=True):
    volumes: tuple[NewVolume, ...]


class GrowVolumes(msgspec.Struct, frozen=True, kw_only=True):
    sizes_gib: dict[str, int]  # by volume


class NameVolumes(msgspec.Struct, frozen=True, kw_only=True):
    volumes: tuple[str, ...]


class DescribedNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What a network shall be; with VLANs in ``trunk`` it is a trunk, and an access network without."""

    id: str
    vlan: int = 0
    trunk: tuple[int, ...] = ()


class DescribeNetworks(msgspec.Struct, frozen=True, kw_only=True):
    networks: tuple[DescribedNetwork, ...]


class NameNetworks(msgspec.Struct, frozen=True, kw_only=True):
    networks: tuple[str, ...]


class DescribedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """All that a placement group shall be. A rule about hosts names hosts, one about a zone a zone, the others neither."""

    id: str
    rule: Rule
    vms: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    zone: str = ""
    enabled: bool = True


class DescribeGroups(msgspec.Struct, frozen=True, kw_only=True):
    groups: tuple[DescribedGroup, ...]


class NameGroups(msgspec.Struct, frozen=True, kw_only=True):
    groups: tuple[str, ...]


class EnterMaintenance(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    check_only: bool = False  # only say where its VMs would go, or what is in the way


class ExitMaintenance(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    bring_back: bool = False  # the VMs that were moved away for it


class NameHosts(msgspec.Struct, frozen=True, kw_only=True):
    hosts: tuple[str, ...]


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """A request that says it all by being made."""


class LeaveHost(msgspec.Struct, frozen=True, kw_only=True):
    """What the VM Monitor asks for: all of a host's VMs are to be moved away, or those that need one of some networks."""

    host: str
    networks: tuple[str, ...] = ()


class ReviveVMs(msgspec.Struct, frozen=True, kw_only=True):
    """What the VM Monitor asks for: start VMs again where they are, each if it is still of the epoch that was silent."""

    vms: dict[str, int]


class DiscardHalfDone(msgspec.Struct, frozen=True, kw_only=True):
    """What the VM Monitor asks for: remove VMs and volumes that are half made or half deleted, and that no Job goes on with."""

    vms: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


class EditCluster(msgspec.Struct, frozen=True, kw_only=True):
    network_failure: bool | UnsetType = UNSET
    guest_failure: bool | UnsetType = UNSET


class RescueVMs(msgspec.Struct, frozen=True, kw_only=True):
    """What the VM Monitor asks for: bring back the VMs of hosts that are proved not to run them, the first one first."""

    hosts: tuple[str, ...]
    vms: tuple[str, ...]
    here: bool = False  # on that very host, which is well


class JobType(StrEnum):
    RESOURCE = "resource"  # declarative: after success its resources are as described, whatever they were before
    ONE_TIME = "one-time"  # imperative: something is done once, the removal of a host, say
    SCHEDULED = "scheduled"  # comes back every period; never retried, the next one is the retry


class Named(msgspec.Struct, frozen=True):
    """An entry of the catalogue: ``name`` is noun.verb."""

    name: str
    request: type[Any]

    @property
    def noun(self) -> str:
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        return self.name.partition(".")[2]


class Operation(Named, frozen=True):
    """``permission``: on every thing that the request locks."""

    phrase: str
    permission: Permission = Permission.CHANGE
    by_user: bool = True
    type: JobType = JobType.RESOURCE
    urgency: Urgency = Urgency.NORMAL


def _scheduled(name: str, request: type[Any], phrase: str) -> Operation:
    return Operation(name, request, phrase, by_user=False, type=JobType.SCHEDULED)


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("vm.create", CreateVMs, "create VMs, and start them"),
        Operation("vm.start", StartVMs, "start stopped VMs", Permission.USE),
        Operation("vm.shutdown", ShutdownVMs, "ask the guests to shut down", Permission.USE, urgency=Urgency.STOP),
        Operation("vm.poweroff", NameVMs, "force VMs off", Permission.USE, urgency=Urgency.STOP),
        Operation(
            "vm.restart",
            ShutdownVMs,
            "ask the guests to shut down, and start them again where they are",
            Permission.USE,
        ),
        Operation("vm.reset", NameVMs, "force VMs off, and start them again where they are", Permission.USE),
        Operation("vm.suspend", NameVMs, "let VMs stand still until they are resumed", Permission.USE),
        Operation("vm.resume", NameVMs, "let suspended VMs go on", Permission.USE),
        Operation("vm.edit", EditVMs, "change what VMs are and have"),
        Operation(
            "vm.migrate", MigrateVMs, "move VMs to other hosts, running ones without stopping them", Permission.OPERATE
        ),
        Operation("vm.delete", NameVMs, "delete VMs and their volumes"),
        Operation("volume.create", CreateVolumes, "make volumes"),
        Operation("volume.grow", GrowVolumes, "make volumes larger, attached or not"),
        Operation("volume.delete", NameVolumes, "delete volumes that belong to no VM"),
        Operation("network.create", DescribeNetworks, "declare virtual networks", Permission.OPERATE),
        Operation("network.edit", DescribeNetworks, "change the VLANs of networks", Permission.OPERATE),
        Operation("network.delete", NameNetworks, "delete networks to which no VM is connected", Permission.OPERATE),
        Operation("group.create", DescribeGroups, "lay down rules about where VMs may be"),
        Operation("group.edit", DescribeGroups, "change placement groups: rule, VMs, hosts, zone, all of it"),
        Operation("group.enable", NameGroups, "let placement groups bind their VMs"),
        Operation("group.disable", NameGroups, "let placement groups bind nobody"),
        Operation("group.delete", NameGroups, "delete placement groups; their VMs stay where they are"),
        Operation(
            "group.repair",
            NameGroups,
            "move running VMs so that every must rule of these groups is kept",
            Permission.OPERATE,
            type=JobType.ONE_TIME,
        ),
        Operation(
            "host.enter-maintenance",
            EnterMaintenance,
            "move every VM away from a host and keep it empty",
            Permission.OPERATE,
            type=JobType.ONE_TIME,
        ),
        Operation("cluster.edit", EditCluster, "change what holds for the whole cluster", Permission.OPERATE),
        Operation(
            "host.exit-maintenance",
            ExitMaintenance,
            "let a host take VMs again",
            Permission.OPERATE,
            type=JobType.ONE_TIME,
        ),
        Operation(
            "ha.rescue", RescueVMs, "start the VMs of dead hosts elsewhere", by_user=False, urgency=Urgency.RESCUE
        ),
        Operation(
            "ha.evacuate",
            LeaveHost,
            "let VMs leave a host that should not run them for long",
            by_user=False,
            type=JobType.ONE_TIME,
        ),
        Operation(
            "ha.displace",
            NameVMs,
            "force VMs off where they are; they are rescued elsewhere",
            by_user=False,
            urgency=Urgency.STOP,
        ),
        Operation("ha.revive", ReviveVMs, "start VMs again whose guests are silent, where they are", by_user=False),
        Operation(
            "ha.discard",
            DiscardHalfDone,
            "remove what a Job left half made or half deleted when it was given up",
            by_user=False,
            urgency=Urgency.LOW,
        ),
        _scheduled("vm.synchronise", NameHosts, "compare what runs on each host with what the store says"),
        _scheduled("host.report", NameHosts, "write what hosts are made of into the store, if it changed"),
        _scheduled("jobs.recover", Nothing, "the net below the continuous sweeps: nothing in the Job Center is stuck"),
        _scheduled("jobs.clean-up", Nothing, "forget Jobs and keys that are older than their retention"),
    )
}
