"""What is enumerated: for every operation at least one small cluster and a request that exercises it. One table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ave.model.alarm import Alarm
from ave.model.cluster import Key
from ave.model.group import Rule
from ave.model.host import Host, HostState
from ave.model.states import born, move
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import LEAD, Work, WorkState
from ave.operations import (
    CreateVMs,
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
    ReviveVMs,
    ShutdownVMs,
    StartVMs,
)
from ave.ports.store import Insert, Replace
from sim.cluster import SimCluster

LONG_AGO = -40 * 86400.0  # store time: longer ago than anything is kept
WEB, TWO = ("web-1",), ("web-1", "web-2")

Arrange = Callable[[SimCluster], None]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    operation: str
    request: Any
    flag: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """``about`` is asked at once, after all of ``before`` have ended one after the other. Without it the cluster itself
    submits the operation: when it is ``due``, or because of what was arranged."""

    operation: str
    phrase: str
    about: tuple[Ask, ...] = ()
    before: tuple[Ask, ...] = ()
    cancel_after: float | None = None  # seconds after it was asked
    due: float = 0.0
    hosts: int = 3
    vms: int = 3
    past: Arrange = lambda cluster: None  # before anybody looks
    arrange: Arrange = lambda cluster: None  # when the cluster is up, and ``before`` is over
    group_of: int = 50  # VMs that vm.create takes into one resource group
    outcomes: tuple[WorkState, ...] = ()  # that are as good as the one without a crash

    @property
    def name(self) -> str:
        return f"{self.operation}: {self.phrase}"


def _asked(operation: str, phrase: str, *requests: Any, **more: Any) -> Case:
    """One Job per request."""
    about = tuple(Ask(operation=operation, request=request) for request in requests)
    return Case(operation=operation, phrase=phrase, about=about, **more)


def _first(*asks: tuple[str, Any]) -> tuple[Ask, ...]:
    return tuple(Ask(operation=operation, request=request) for operation, request in asks)


def _new(*names: str, disks: Sequence[int] = (1,)) -> tuple[NewVM, ...]:
    return tuple(
        NewVM(id=name, vcpus=1, memory_mib=1024, disks_gib=tuple(disks), networks=("vm-net",)) for name in names
    )


def _volumes(*names: str) -> CreateVolumes:
    return CreateVolumes(volumes=tuple(NewVolume(id=name, size_gib=1) for name in names))


def _networks(*names: str, vlan: int = 0) -> DescribeNetworks:
    return DescribeNetworks(networks=tuple(DescribedNetwork(id=name, vlan=vlan) for name in names))


def _groups(*groups: tuple[str, Rule, tuple[str, ...]], enabled: bool = True) -> DescribeGroups:
    return DescribeGroups(
        groups=tuple(DescribedGroup(id=id, rule=rule, vms=vms, enabled=enabled) for id, rule, vms in groups)
    )


def _other_memory(cluster: SimCluster) -> None:
    for machine in cluster.machines.values():
        machine.facts = msgspec.structs.replace(machine.facts, memory_mib=machine.facts.memory_mib + 1024)


def _last_host_is_lost(cluster: SimCluster) -> None:
    list(cluster.machines.values())[-1].power_off()


def _last_host_is_read_only(cluster: SimCluster) -> None:
    """And has been for so long that it is judged so."""
    machine = list(cluster.machines.values())[-1]
    machine.read_only = True
    judged = move(cluster.store.ledger.get(Host, machine.name), HostState.READ_ONLY, "its file system takes no writes")
    cluster.store.ledger.commit([Replace(judged)], cluster.world.now)


def _left_half_deleted(cluster: SimCluster) -> None:
    """A VM and a volume, by Jobs that were given up."""
    ledger, now = cluster.store.ledger, cluster.world.now
    vm = move(ledger.get(VM, "web-1"), VMState.DELETING, "its user deletes it")
    volume = move(ledger.get(Volume, "data-1"), VolumeState.DELETING, "its user deletes it")
    ledger.commit([Replace(vm), Replace(volume)], now)


def _long_ago(cluster: SimCluster) -> None:
    """A Job, a key and an alarm that nobody needs any more."""
    old = Work(id="vm.start-old", job="vm.start-old", function=LEAD, lane="host-1", operation="vm.start")
    for state in (WorkState.RUNNING, WorkState.DONE):
        old = move(old if old.story else born(old, WorkState.READY), state, "long ago")
    cluster.store.ledger.commit([Insert(old, {"finished": 0.0})], LONG_AGO)
    cluster.store.ledger.commit([Insert(Key(id="old", job=old.id), {"made": 0.0})], LONG_AGO)
    cluster.store.ledger.commit([Insert(Alarm(id="poison/old", what="old"), {"raised": 0.0})], LONG_AGO)


OFF = ("vm.poweroff", NameVMs(vms=WEB))
DATA = ("volume.create", _volumes("data-1", "data-2"))
NETS = ("network.create", _networks("net-1", "net-2"))
ENTER = ("host.enter-maintenance", EnterMaintenance(host="host-2"))
APART, TIE = ("apart", Rule.MUST_DIFFERENT_HOSTS, TWO), ("tie", Rule.MUST_SAME_HOST, TWO)
RULES = ("group.create", _groups(APART, ("near", Rule.PREFER_SAME_HOST, TWO)))
OFF_RULES = ("group.create", _groups(APART, TIE, enabled=False))
DONE_OR_CANCELLED = (WorkState.DONE, WorkState.CANCELLED)

#: A volume of the name that the second disk of db-1 would get.
LEFT_BEHIND = _first(
    ("vm.create", CreateVMs(vms=_new("db-1", disks=(1, 1)), start=False)),
    ("vm.edit", EditVMs(vms=(EditVM(id="db-1", detach=("db-1-disk-2",)),))),
    ("vm.delete", NameVMs(vms=("db-1",))),
)

CASES: tuple[Case, ...] = (
    _asked("vm.create", "one VM", CreateVMs(vms=_new("db-1"))),
    _asked("vm.create", "two VMs", CreateVMs(vms=_new("db-1", "db-2"))),
    _asked("vm.create", "two VMs in two groups", CreateVMs(vms=_new("db-1", "db-2")), group_of=1),
    _asked(
        "vm.create",
        "a volume cannot be made, the other is undone",
        CreateVMs(vms=_new("db-1", disks=(1, 1))),
        before=LEFT_BEHIND,
    ),
    _asked(
        "vm.create",
        "cancelled while it makes volumes",
        CreateVMs(vms=_new("db-1", disks=(1, 1, 1, 1))),
        cancel_after=0.12,
        outcomes=DONE_OR_CANCELLED,
    ),
    _asked("vm.start", "one VM", StartVMs(vms=WEB), before=_first(OFF)),
    _asked("vm.start", "two VMs, one of them runs", StartVMs(vms=TWO), before=_first(OFF)),
    _asked("vm.shutdown", "two VMs", ShutdownVMs(vms=TWO, seconds=60)),
    _asked(
        "vm.shutdown",
        "cancelled while the guest shuts down",
        ShutdownVMs(vms=WEB, seconds=60),
        cancel_after=1.0,
        outcomes=DONE_OR_CANCELLED,
    ),
    _asked("vm.poweroff", "two VMs", NameVMs(vms=TWO)),
    Case(
        operation="vm.poweroff",
        phrase="waits for a lock that vm.reset holds",
        about=_first(("vm.reset", NameVMs(vms=WEB)), OFF),
        outcomes=(WorkState.DONE, WorkState.FAILED),
    ),
    Case(
        operation="vm.reset",
        phrase="two Jobs in one Job Queue",
        about=(
            Ask(operation="vm.reset", request=NameVMs(vms=WEB), flag="q"),
            Ask(operation="vm.suspend", request=NameVMs(vms=("web-2",)), flag="q"),
        ),
    ),
    _asked("vm.restart", "one VM", ShutdownVMs(vms=WEB, seconds=60)),
    _asked("vm.reset", "two VMs", NameVMs(vms=TWO)),
    _asked("vm.suspend", "two VMs", NameVMs(vms=TWO)),
    _asked("vm.resume", "two VMs", NameVMs(vms=TWO), before=_first(("vm.suspend", NameVMs(vms=TWO)))),
    _asked(
        "vm.edit",
        "a running VM gets a volume and a CD",
        EditVMs(vms=(EditVM(id="web-1", attach=("data-1",), cdrom="data-2", name="new"),)),
        before=_first(DATA),
    ),
    _asked(
        "vm.edit",
        "a running VM loses a volume",
        EditVMs(vms=(EditVM(id="web-1", detach=("data-1",)),)),
        before=_first(DATA, ("vm.edit", EditVMs(vms=(EditVM(id="web-1", attach=("data-1",)),)))),
    ),
    _asked(
        "vm.edit",
        "two VMs, one stopped",
        EditVMs(
            vms=(EditVM(id="web-1", vcpus=2, attach=("data-1",)), EditVM(id="web-2", attach=("data-2",), name="new"))
        ),
        before=_first(DATA, OFF),
    ),
    Case(
        operation="vm.edit",
        phrase="its volume is deleted at once, by a Job that waits for its lock",
        about=_first(
            ("vm.edit", EditVMs(vms=(EditVM(id="web-1", attach=("data-1",)),))),
            ("volume.delete", NameVolumes(volumes=("data-1",))),
        ),
        before=_first(DATA),
        outcomes=(WorkState.DONE, WorkState.FAILED),  # it is the VM's by then; or the edit is too late
    ),
    _asked("vm.migrate", "two running VMs", MigrateVMs(vms=TWO)),
    _asked("vm.migrate", "a running and a stopped VM", MigrateVMs(vms=TWO), before=_first(OFF)),
    _asked(
        "vm.migrate",
        "cancelled while it copies",
        MigrateVMs(vms=WEB),
        cancel_after=0.5,
        outcomes=DONE_OR_CANCELLED,
    ),
    _asked("vm.delete", "two VMs, one stopped", NameVMs(vms=TWO), before=_first(OFF)),
    _asked("volume.create", "two volumes", _volumes("data-1", "data-2")),
    _asked(
        "volume.create",
        "cancelled while it makes LUNs",
        _volumes("data-1", "data-2"),
        cancel_after=0.05,
        outcomes=DONE_OR_CANCELLED,
    ),
    _asked("volume.grow", "two volumes", GrowVolumes(sizes_gib={"data-1": 2, "data-2": 3}), before=_first(DATA)),
    _asked("volume.delete", "two volumes", NameVolumes(volumes=("data-1", "data-2")), before=_first(DATA)),
    _asked("network.create", "two networks", _networks("net-1", "net-2")),
    _asked("network.edit", "two networks", _networks("net-1", "net-2", vlan=7), before=_first(NETS)),
    _asked("network.delete", "two networks", NameNetworks(networks=("net-1", "net-2")), before=_first(NETS)),
    _asked(
        "network.delete",
        "one has a VM, and stays",
        NameNetworks(networks=("net-1", "vm-net")),
        before=_first(NETS, ("network.create", _networks("vm-net"))),
    ),
    _asked("group.create", "two groups", _groups(APART, ("near", Rule.PREFER_SAME_HOST, TWO))),
    _asked(
        "group.create",
        "two groups that contradict each other",
        _groups(APART, TIE),
    ),
    _asked(
        "group.edit", "two groups", _groups(("apart", Rule.MUST_DIFFERENT_HOSTS, WEB), TIE), before=_first(OFF_RULES)
    ),
    _asked("group.enable", "one group", NameGroups(groups=("apart",)), before=_first(OFF_RULES)),
    _asked("group.disable", "two groups", NameGroups(groups=("apart", "near")), before=_first(RULES)),
    _asked("group.delete", "two groups", NameGroups(groups=("apart", "near")), before=_first(RULES)),
    Case(
        operation="group.edit",
        phrase="while a VM is created in the group",
        about=_first(
            ("group.edit", _groups(("near", Rule.PREFER_SAME_HOST, WEB))),
            ("vm.create", CreateVMs(vms=(msgspec.structs.replace(_new("db-1")[0], groups=("near",)),))),
        ),
        before=_first(RULES),
    ),
    _asked(
        "group.repair",
        "two VMs come together",
        NameGroups(groups=("tie",)),
        before=_first(("group.create", _groups(TIE))),
    ),
    _asked(
        "group.repair",
        "cancelled while a VM moves",
        NameGroups(groups=("tie",)),
        before=_first(("group.create", _groups(TIE))),
        cancel_after=0.7,
        outcomes=DONE_OR_CANCELLED,
    ),
    _asked("host.enter-maintenance", "a host with a VM", EnterMaintenance(host="host-2")),
    _asked("host.enter-maintenance", "a check only", EnterMaintenance(host="host-2", check_only=True)),
    _asked(
        "host.enter-maintenance",
        "cancelled while a VM leaves",
        EnterMaintenance(host="host-2"),
        cancel_after=0.7,
        outcomes=DONE_OR_CANCELLED,
    ),
    _asked(
        "host.exit-maintenance",
        "a VM returns",
        ExitMaintenance(host="host-2", bring_back=True),
        before=_first(ENTER),
    ),
    Case(
        operation="ha.rescue",
        phrase="of two VMs",
        hosts=4,
        vms=8,
        arrange=_last_host_is_lost,
        outcomes=(WorkState.DONE, WorkState.FAILED),  # and tried again
    ),
    Case(operation="ha.evacuate", phrase="of a VM", hosts=4, vms=4, arrange=_last_host_is_read_only),
    Case(
        operation="ha.displace",
        phrase="two VMs, which are rescued",
        about=(Ask(operation="ha.displace", request=NameVMs(vms=TWO)),),
    ),
    Case(
        operation="ha.revive",
        phrase="a VM where it is, and one that is another since",
        about=(Ask(operation="ha.revive", request=ReviveVMs(vms={"web-1": 1, "web-2": 7})),),
    ),
    Case(
        operation="ha.discard",
        phrase="of a VM and a volume",
        before=_first(OFF, DATA),
        arrange=_left_half_deleted,
    ),
    _asked(
        "cluster.edit",
        "for the first time, and again",
        EditCluster(guest_failure=True),
        EditCluster(network_failure=True),
    ),
    Case(operation="vm.synchronise", phrase="a cycle", due=30.0),
    Case(operation="host.report", phrase="a cycle; its hosts have more memory", due=300.0, arrange=_other_memory),
    Case(operation="jobs.recover", phrase="a cycle", due=60.0),
    Case(operation="jobs.clean-up", phrase="a cycle", due=600.0, past=_long_ago),
)

BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), "two cases have one name"
