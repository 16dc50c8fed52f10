"""What users can ask for in a timeline: one table, for whatever world it is played in, and at whom each may be aimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from ave.model.group import Rule
from ave.model.host import Host, HostState
from ave.model.vm import VM, Priority, VMState
from ave.operations import (
    CreateVolumes,
    DescribedGroup,
    DescribedNetwork,
    DescribeGroups,
    DescribeNetworks,
    EditCluster,
    EditVM,
    EditVMs,
    EnterMaintenance,
    ExitMaintenance,
    GrowVolumes,
    MigrateVMs,
    NameGroups,
    NameNetworks,
    NameVMs,
    NameVolumes,
    NewVM,
    NewVolume,
    ShutdownVMs,
    StartVMs,
)
from sim.cluster import GIB
from sim.scenario.catalogue import ActionKind, Parameter, Value
from sim.scenario.model import Fleet

Given = Mapping[str, Value]


class Action(msgspec.Struct, frozen=True):
    """A verb of a timeline: its row in the catalogue, the VMs or hosts it may be aimed at, and the request it becomes.

    An action without a target names what it is about by its parameters.
    """

    kind: ActionKind
    states: tuple[StrEnum, ...]
    request: Callable[[tuple[str, ...], Given], Any]


_NAME = Parameter("name", "text", phrase="those called data-1, data-2 … if it is data")
_COUNT = Parameter("count", "count", 1, 1, 10_000)
_SIZE = Parameter("size", "count", 20, 1, 65_536, "GiB")
_NETWORK = Parameter("name", "text")
_VLAN = Parameter("vlan", "count", 0, 0, 4095)


def _volumes(given: Given) -> tuple[str, ...]:
    return tuple(f"{given['name']}-{number}" for number in range(1, int(given["count"]) + 1))


def _network(names: tuple[str, ...], given: Given) -> DescribeNetworks:
    return DescribeNetworks(networks=(DescribedNetwork(id=str(given["name"]), vlan=int(given["vlan"])),))


_GROUP = (
    Parameter("name", "text"),
    Parameter("rule", "text", choices=tuple(Rule)),
    Parameter("hosts", "text", "", phrase="that the rule names, with commas"),
    Parameter("zone", "text", "", phrase="that the rule names"),
    Parameter("enabled", "text", "yes", choices=("yes", "no")),
)


def _group(names: tuple[str, ...], given: Given) -> DescribeGroups:
    hosts, zone = listed(given, "hosts"), str(given.get("zone", ""))
    enabled = given.get("enabled", "yes") == "yes"
    name, rule = str(given["name"]), Rule(str(given["rule"]))
    return DescribeGroups(
        groups=(DescribedGroup(id=name, rule=rule, vms=names, hosts=hosts, zone=zone, enabled=enabled),)
    )


def listed(given: Given, parameter: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in str(given.get(parameter, "")).split(",") if name.strip())


def _named_groups(operation: str, phrase: str) -> Action:
    kind = ActionKind(operation, phrase, "none", (Parameter("name", "text", phrase="or several, with commas"),))
    return Action(kind, (), lambda names, given: NameGroups(groups=listed(given, "name")))


_GUEST_SECONDS = Parameter("seconds", "seconds", 180.0, 1, 3600, "how long the guests have")
_EDITS = (
    Parameter("vcpus", "count", 0, 0, 1024, "0: as many as they have, and so with all that is absent"),
    Parameter("memory", "count", 0, 0, 999_999, "MiB"),
    Parameter("priority", "text", "", choices=("", *Priority)),
    Parameter("network", "text", "", phrase="of their only NIC"),
    Parameter("cdrom", "text", "", phrase="volumes called x-1, x-2 … if it is x; none: nothing"),
    Parameter("attach", "text", "", phrase="volumes"),
    Parameter("detach", "text", "", phrase="volumes"),
)


def _edit(names: tuple[str, ...], given: Given) -> EditVMs:
    return EditVMs(vms=tuple(_wish(name, number, given) for number, name in enumerate(names, start=1)))


def _wish(name: str, number: int, given: Given) -> EditVM:
    def own(parameter: str) -> str:
        return f"{given[parameter]}-{number}" if given.get(parameter) else ""

    return EditVM(
        id=name,
        vcpus=int(given.get("vcpus", 0)) or UNSET,
        memory_mib=int(given.get("memory", 0)) or UNSET,
        priority=Priority(str(given["priority"])) if given.get("priority") else UNSET,
        networks=(str(given["network"]),) if given.get("network") else UNSET,
        cdrom="" if given.get("cdrom") == "none" else own("cdrom") or UNSET,
        attach=(own("attach"),) if given.get("attach") else (),
        detach=(own("detach"),) if given.get("detach") else (),
    )


_SWITCHES = tuple(
    Parameter(name, "text", "", choices=("", "on", "off")) for name in ("network-failure", "guest-failure")
)


def _settings(names: tuple[str, ...], given: Given) -> EditCluster:
    def wish(name: str) -> bool | UnsetType:
        return given[name] == "on" if given.get(name) else UNSET

    return EditCluster(network_failure=wish("network-failure"), guest_failure=wish("guest-failure"))


_HOST = Parameter("host", "text", "", phrase="the target host; chosen by the scheduler if absent")

ACTIONS: dict[str, Action] = {
    action.kind.name: action
    for action in (
        Action(
            ActionKind(
                "vm.create",
                "create more VMs like those of a fleet",
                "none",
                (
                    Parameter("fleet", "text"),
                    Parameter("count", "count", 1, 1, 10_000),
                    Parameter("jobs", "count", 1, 1, 10_000, "so many Jobs, each of that many VMs"),
                    Parameter("flag", "text", "", phrase="the Job Queue that they enter"),
                    Parameter("key", "text", "", phrase="their idempotency keys begin with it"),
                    Parameter("asks", "count", 1, 1, 100, "how often each is asked for, at once"),
                    Parameter("groups", "text", "", phrase="placement groups that they come into, with commas"),
                ),
            ),
            (),
            lambda names, given: None,
        ),
        Action(
            ActionKind("vm.start", "start stopped VMs", "vm", (_HOST,)),
            (VMState.STOPPED,),
            lambda names, given: StartVMs(vms=names, host=str(given.get("host", ""))),
        ),
        Action(
            ActionKind("vm.shutdown", "ask guests to shut down", "vm", (_GUEST_SECONDS,)),
            (VMState.RUNNING,),
            lambda names, given: ShutdownVMs(vms=names, seconds=float(given.get("seconds", 180.0))),
        ),
        Action(
            ActionKind("vm.poweroff", "force VMs off", "vm"),
            (VMState.RUNNING,),
            lambda names, given: NameVMs(vms=names),
        ),
        Action(
            ActionKind("vm.restart", "let guests shut down and start again", "vm", (_GUEST_SECONDS,)),
            (VMState.RUNNING,),
            lambda names, given: ShutdownVMs(vms=names, seconds=float(given.get("seconds", 180.0))),
        ),
        Action(
            ActionKind("vm.reset", "force VMs off and start them again", "vm"),
            (VMState.RUNNING,),
            lambda names, given: NameVMs(vms=names),
        ),
        Action(
            ActionKind("vm.suspend", "let VMs stand still", "vm"),
            (VMState.RUNNING,),
            lambda names, given: NameVMs(vms=names),
        ),
        Action(
            ActionKind("vm.resume", "let suspended VMs go on", "vm"),
            (VMState.SUSPENDED,),
            lambda names, given: NameVMs(vms=names),
        ),
        Action(
            ActionKind("vm.edit", "change VMs; volumes `x-1`, `x-2` … for one VM after the other", "vm", _EDITS),
            (VMState.RUNNING, VMState.STOPPED),
            _edit,
        ),
        Action(
            ActionKind("vm.migrate", "move VMs, running or stopped", "vm", (_HOST,)),
            (VMState.RUNNING, VMState.STOPPED),
            lambda names, given: MigrateVMs(vms=names, host=str(given.get("host", ""))),
        ),
        Action(
            ActionKind("vm.delete", "delete VMs and their volumes", "vm"),
            tuple(VMState),
            lambda names, given: NameVMs(vms=names),
        ),
        Action(
            ActionKind(
                "job.cancel",
                "cancel the newest Jobs that have not ended",
                "none",
                (
                    Parameter("operation", "text", "", phrase="only such Jobs"),
                    Parameter("count", "count", 1, 1, 10_000),
                ),
            ),
            (),
            lambda names, given: None,
        ),
        Action(
            ActionKind("volume.create", "make volumes", "none", (_NAME, _COUNT, _SIZE)),
            (),
            lambda names, given: CreateVolumes(
                volumes=tuple(NewVolume(id=id, size_gib=int(given["size"])) for id in _volumes(given))
            ),
        ),
        Action(
            ActionKind("volume.grow", "make volumes larger", "none", (_NAME, _COUNT, _SIZE)),
            (),
            lambda names, given: GrowVolumes(sizes_gib=dict.fromkeys(_volumes(given), int(given["size"]))),
        ),
        Action(
            ActionKind("volume.delete", "delete volumes", "none", (_NAME, _COUNT)),
            (),
            lambda names, given: NameVolumes(volumes=_volumes(given)),
        ),
        Action(
            ActionKind("network.create", "declare a network", "none", (_NETWORK, _VLAN)),
            (),
            _network,
        ),
        Action(
            ActionKind("network.edit", "change a network's VLAN", "none", (_NETWORK, _VLAN)),
            (),
            _network,
        ),
        Action(
            ActionKind("network.delete", "delete a network", "none", (_NETWORK,)),
            (),
            lambda names, given: NameNetworks(networks=(str(given["name"]),)),
        ),
        Action(ActionKind("group.create", "lay down a rule for these VMs", "vm", _GROUP), tuple(VMState), _group),
        Action(
            ActionKind("group.edit", "change a rule, and for which VMs it is", "vm", _GROUP), tuple(VMState), _group
        ),
        _named_groups("group.enable", "let a placement group bind its VMs"),
        _named_groups("group.disable", "let it bind nobody"),
        _named_groups("group.delete", "delete it"),
        _named_groups("group.repair", "move VMs until its must rule is kept"),
        Action(
            ActionKind("host.enter-maintenance", "empty a host and keep it empty; the first of those chosen", "host"),
            (HostState.ONLINE,),
            lambda names, given: EnterMaintenance(host=names[0]),
        ),
        Action(
            ActionKind(
                "host.exit-maintenance",
                "let a host take VMs again, and perhaps the VMs that left it return; the first of those chosen",
                "host",
                (Parameter("return", "text", "no", choices=("yes", "no")),),
            ),
            (HostState.MAINTENANCE,),
            lambda names, given: ExitMaintenance(host=names[0], bring_back=given.get("return") == "yes"),
        ),
        Action(ActionKind("cluster.edit", "change settings of the whole cluster", "none", _SWITCHES), (), _settings),
    )
}


def candidates(action: str, fleet: str | None, vms: Iterable[VM], hosts: Iterable[Host]) -> tuple[str, ...]:
    """VMs or hosts at which it can be aimed, of those that there are."""
    states, aim = ACTIONS[action].states, ACTIONS[action].kind.target
    if aim == "none":
        return ("",)  # nobody is chosen
    if aim == "host":
        return tuple(host.id for host in hosts if host.state in states)
    return tuple(vm.id for vm in vms if vm.state in states and fleet in (None, vm.labels.get("fleet")))


def running(fleet: str | None, vms: Iterable[VM]) -> tuple[str, ...]:
    """VMs that a fault can hit, of those that there are."""
    return tuple(vm.id for vm in vms if vm.state is VMState.RUNNING and fleet in (None, vm.labels.get("fleet")))


def wanted(fleet: Fleet, name: str, networks: tuple[str, ...], groups: tuple[str, ...] = ()) -> NewVM:
    """One of the fleet, as its user asks for it; ``networks``: those of the topology."""
    return NewVM(
        id=name,
        vcpus=fleet.vcpu,
        memory_mib=fleet.memory_mib,
        disks_gib=(max(1, fleet.disk_bytes // GIB),),
        networks=fleet.networks or networks[:1],
        cpu_model=fleet.cpu_model,
        pinned=fleet.pinned,
        ha=fleet.ha,
        priority=Priority(fleet.priority),
        labels={"fleet": fleet.fleet},
        groups=(*fleet.groups, *groups),
    )
