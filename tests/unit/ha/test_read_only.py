"""A host whose file system takes no writes: its VMs leave it alive if they can, and are never started elsewhere first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ave.errors import Unavailable
from ave.ha import monitor
from ave.ha.timing import READ_ONLY_SECONDS
from ave.ha.verdict import Verdict, judge
from ave.model.host import HostState
from ave.model.vm import VMState
from ave.model.work import WorkState
from ave.operations import CreateVMs, NewVM
from ave.placement import filters
from drivers.sim.facts import Gone, Paused, Started
from drivers.sim.hypervisor import SimHypervisor
from sim.violation import Violation
from tests.unit.hosts.lab import Lab

NINE = {"web": (9, 2, True)}
SOON = 10.0  # the host says it, the leader looks


def sick(lab: Lab) -> list[str]:
    names = lab.on("host-2")
    lab.machines["host-2"].read_only = True
    return names


def test_it_is_left_alive_after_a_while_and_takes_vms_again_once_it_is_writable():
    with Lab(fleets=NINE) as lab:
        names = sick(lab)
        lab.advance(READ_ONLY_SECONDS - 1.0)
        assert (lab.host("host-2").state, lab.on("host-2")) == (HostState.ONLINE, names)
        lab.advance(SOON + 60.0)
        assert (lab.host("host-2").state, lab.on("host-2")) == (HostState.READ_ONLY, [])
        assert "its file system takes no writes for 85 s" in lab.host("host-2").story[-1]
        for vm in names:
            assert (lab.vm(vm).state, lab.vm(vm).epoch) == (VMState.RUNNING, 2)
            assert lab.vm(vm).story[-1] == "starting -> running: there from the start", "it moved, and never stopped"
        new = tuple(NewVM(id=f"new-{number}", vcpus=1, memory_mib=1024, networks=("vm",)) for number in range(4))
        assert lab.do("vm.create", CreateVMs(vms=new)).state is WorkState.DONE
        assert lab.on("host-2") == []
        lab.machines["host-2"].read_only = False
        lab.advance(SOON)
        assert lab.host("host-2").state is HostState.ONLINE
        lab.settle()


def test_what_is_over_before_that_has_no_effect():
    with Lab(fleets=NINE) as lab:
        names = sick(lab)
        lab.advance(READ_ONLY_SECONDS - 5.0)
        lab.machines["host-2"].read_only = False
        lab.advance(5.0)
        assert sick(lab) == names
        lab.advance(READ_ONLY_SECONDS - 5.0)
        lab.machines["host-2"].read_only = False
        lab.settle()
        assert (lab.host("host-2").state, lab.on("host-2")) == (HostState.ONLINE, names)


def test_what_cannot_leave_alive_is_stopped_first_and_then_started_elsewhere(monkeypatch: pytest.MonkeyPatch):
    async def refuse(hypervisor: SimHypervisor, *given: Any) -> None:
        raise Unavailable("this QEMU migrates nothing")

    monkeypatch.setattr(SimHypervisor, "migrate", refuse)
    with Lab(fleets={"web": (6, 2, True), "ci": (3, 2, False)}) as lab:
        told: list[Any] = []
        lab.listeners.append(lambda fact: told.append(fact) if isinstance(fact, Gone | Started) else None)
        names = sick(lab)
        protected = [vm for vm in names if vm.startswith("web")]
        lab.advance(READ_ONLY_SECONDS + SOON + 240.0)
        assert lab.on("host-2") == [vm for vm in names if vm not in protected], "nobody would start it again"
        for vm in protected:
            gone, started = (fact for fact in told if fact.vm == vm)
            assert (type(gone), gone.host, type(started)) == (Gone, "host-2", Started)
            assert lab.vm(vm).state is VMState.RUNNING
        lab.machines["host-2"].read_only = False
        lab.settle()


def test_what_cannot_leave_alive_and_cannot_be_stopped_runs_on(monkeypatch: pytest.MonkeyPatch):
    async def refuse(hypervisor: SimHypervisor, *given: Any) -> None:
        raise Unavailable("this host does nothing any more")

    monkeypatch.setattr(SimHypervisor, "migrate", refuse)
    monkeypatch.setattr(SimHypervisor, "destroy", refuse)
    with Lab(fleets=NINE) as lab:
        names = sick(lab)
        lab.advance(READ_ONLY_SECONDS + SOON + 240.0)
        assert (lab.host("host-2").state, lab.on("host-2")) == (HostState.READ_ONLY, names)


def test_when_it_dies_meanwhile_its_vms_are_rescued():
    with Lab(fleets=NINE) as lab:
        names = sick(lab)
        lab.until(lambda: lab.host("host-2").state is HostState.READ_ONLY)
        lab.advance(1.0)
        lab.machines["host-2"].power_off()
        lab.advance(150.0)
        assert {lab.vm(vm).state for vm in names} == {VMState.RUNNING}
        assert "host-2" not in {lab.vm(vm).host for vm in names}


def test_nothing_of_it_is_paused():
    with Lab(fleets=NINE) as lab:
        told: list[Paused] = []
        lab.listeners.append(lambda fact: told.append(fact) if isinstance(fact, Paused) else None)
        sick(lab)
        lab.advance(READ_ONLY_SECONDS - 1.0)
        assert told == []


def test_to_take_it_for_dead_is_caught(monkeypatch: pytest.MonkeyPatch):
    """The mutant that starts its VMs elsewhere first, while they write to the storage perfectly."""

    def hasty(hosts: Any, evidence: Any, timing: Any) -> list[Verdict]:
        found = judge(hosts, evidence, timing)
        dead = {v.host: evidence[v.host].lease.counter for v in found if v.state is HostState.READ_ONLY}
        return [Verdict(v.host, HostState.FENCED, v.why, dead[v.host]) if v.host in dead else v for v in found]

    monkeypatch.setattr(monitor, "judge", hasty)
    with pytest.raises(Violation, match=r"S4: the lease of host-2 was revoked after"), Lab(fleets=NINE) as lab:
        sick(lab)
        lab.advance(READ_ONLY_SECONDS + SOON)


def test_to_place_a_vm_there_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filters, "_AVAILABLE", np.ones_like(filters._AVAILABLE))
    with pytest.raises(Violation, match=r"P1: .* host-2"), Lab(fleets=NINE) as lab:
        sick(lab)
        lab.advance(READ_ONLY_SECONDS + SOON + 60.0)
        new = tuple(NewVM(id=f"new-{number}", vcpus=1, memory_mib=1024, networks=("vm",)) for number in range(4))
        lab.do("vm.create", CreateVMs(vms=new))
