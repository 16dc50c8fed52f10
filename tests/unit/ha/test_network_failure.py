"""A network of VMs that carries nothing on a host: those that need it leave, if the operator wants it and others have it."""

from __future__ import annotations

from typing import Any

import pytest

from ave.errors import Unavailable
from ave.hosts.evacuate import must_leave
from ave.model.host import Host, HostState
from ave.model.settings import Settings
from ave.model.vm import VM, VMState
from ave.operations import CreateVMs, NewVM
from drivers.sim.facts import Gone, Started
from drivers.sim.hypervisor import SimHypervisor
from sim.cluster import GIB
from sim.scenario.model import Fleet, Forever, Shape, Topology
from tests.unit.hosts.lab import Lab

NETWORKS = ("vm", "db")
TOPOLOGY = Topology(shapes=(Shape(3, 16, 32 * 1024, 0),), masters=3, zones={}, networks=NETWORKS)
FLEETS = [
    Fleet(f"on-{network}", 6, 1, 2048, GIB, True, "medium", Forever(), networks=(network,)) for network in NETWORKS
]
ON = Settings(network_failure=True)
NETWORK = 65.0  # the profile's
SOON = 10.0


def cloud(settings: Settings = ON) -> Lab:
    return Lab(topology=TOPOLOGY, more=FLEETS, settings=settings)


def on_vm(lab: Lab, host: str) -> list[str]:
    return [name for name in lab.on(host) if name.startswith("on-vm")]


def test_only_those_that_need_a_network_that_is_down_must_leave():
    vms = [VM(id=name, vcpus=1, memory_mib=1, networks=(name,), state=VMState.RUNNING) for name in NETWORKS]
    online = Host(id="h", state=HostState.ONLINE, cpus=1, memory_mib=1)
    assert must_leave(online, vms, ["vm"], ["vm", "db"]) == vms[:1]
    assert must_leave(online, vms, ["vm"], ["db"]) == [], "it is back"
    assert must_leave(online, vms, [], []) == []
    read_only = Host(id="h", state=HostState.READ_ONLY, cpus=1, memory_mib=1)
    assert must_leave(read_only, vms, [], []) == vms
    assert must_leave(read_only, vms, ["vm"], ["vm"]) == [], "that is another Job's"


def test_those_that_need_it_leave_alive_after_a_while_and_the_others_stay():
    with cloud() as lab:
        names, others = on_vm(lab, "host-2"), [name for name in lab.on("host-2") if name.startswith("on-db")]
        lab.machines["host-2"].networks_down = ("vm",)
        lab.advance(NETWORK - 1.0)
        assert on_vm(lab, "host-2") == names
        lab.advance(SOON + 60.0)
        assert lab.on("host-2") == others
        for name in names:
            assert (lab.vm(name).state, lab.vm(name).epoch) == (VMState.RUNNING, 2)
            assert lab.vm(name).story[-1] == "starting -> running: there from the start", "it moved, and never stopped"
        assert lab.host("host-2").state is HostState.ONLINE
        lab.settle()


def test_what_is_over_before_that_has_no_effect():
    with cloud() as lab:
        lab.machines["host-2"].networks_down = ("vm",)
        lab.advance(NETWORK - 5.0)
        lab.machines["host-2"].networks_down = ()
        lab.settle()
        assert lab.jobs("ha.evacuate") == []


def test_without_the_setting_they_stay_but_none_comes():
    with cloud(Settings()) as lab:
        names = lab.on("host-2")
        lab.machines["host-2"].networks_down = ("vm",)
        lab.advance(NETWORK + 60.0)
        new = tuple(NewVM(id=f"new-{number}", vcpus=1, memory_mib=1024, networks=("vm",)) for number in range(6))
        assert lab.do("vm.create", CreateVMs(vms=new)).state == "done"
        assert lab.on("host-2") == names
        lab.machines["host-2"].networks_down = ()
        lab.advance(SOON)
        more = tuple(NewVM(id=f"more-{number}", vcpus=1, memory_mib=1024, networks=("vm",)) for number in range(6))
        assert lab.do("vm.create", CreateVMs(vms=more)).state == "done"
        assert len(lab.on("host-2")) > len(names)
        lab.settle()


def test_where_no_host_has_it_nobody_is_touched():
    with cloud() as lab:
        names = {host: lab.on(host) for host in lab.machines}
        for machine in lab.machines.values():
            machine.networks_down = ("vm",)
        lab.advance(NETWORK + 300.0)
        assert {host: lab.on(host) for host in lab.machines} == names
        assert lab.jobs("ha.evacuate") == []


def test_who_finds_no_room_elsewhere_runs_on_without_it():
    with Lab(gib=10, fleets={"web": (9, 3, True)}, settings=ON) as lab:
        names = lab.on("host-2")
        told: list[Any] = []
        lab.listeners.append(lambda fact: told.append(fact) if isinstance(fact, Gone | Started) else None)
        lab.machines["host-2"].networks_down = ("vm",)
        lab.advance(NETWORK + 300.0)
        assert (lab.on("host-2"), told) == (names, [])
        assert lab.jobs("ha.displace") == []


def test_who_cannot_leave_alive_is_stopped_first_and_then_started_where_the_network_is(monkeypatch: pytest.MonkeyPatch):
    async def refuse(hypervisor: SimHypervisor, *given: Any) -> None:
        raise Unavailable("this QEMU migrates nothing")

    monkeypatch.setattr(SimHypervisor, "migrate", refuse)
    with cloud() as lab:
        told: list[Any] = []
        lab.listeners.append(lambda fact: told.append(fact) if isinstance(fact, Gone | Started) else None)
        names = on_vm(lab, "host-2")
        lab.machines["host-2"].networks_down = ("vm",)
        lab.advance(NETWORK + SOON + 240.0)
        assert on_vm(lab, "host-2") == []
        for name in names:
            gone, started = (fact for fact in told if fact.vm == name)
            assert (type(gone), gone.host, type(started)) == (Gone, "host-2", Started)
            assert lab.vm(name).state is VMState.RUNNING
        lab.machines["host-2"].networks_down = ()
        lab.settle()


def test_a_rescue_does_not_go_where_the_network_is_down():
    with cloud(Settings()) as lab:
        names = on_vm(lab, "host-2")
        lab.machines["host-3"].networks_down = ("vm",)
        lab.advance(SOON)
        lab.machines["host-2"].power_off()
        lab.advance(150.0)
        assert {lab.vm(name).host for name in names} == {"host-1"}
        lab.machines["host-3"].networks_down = ()
        lab.settle()
