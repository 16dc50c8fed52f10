"""A VM that ended by itself while its host lives: what crashed runs again at once, what was shut down stays off."""

from __future__ import annotations

import pytest

from ave.ha.timing import READ_ONLY_SECONDS
from ave.model.vm import VMState
from ave.operations import NameVMs, StartVMs
from ave.vms import settle
from drivers.sim.facts import Gone, Started
from tests.unit.hosts.lab import Lab

REPAIRED_SECONDS = 15.0
NINE = {"web": (9, 2, True)}


def test_a_vm_whose_process_died_runs_again_on_its_host_within_seconds():
    for seed in range(1, 6):
        with Lab(fleets=NINE, seed=seed) as lab:
            (vm, *others) = lab.on("host-2")
            lab.machines["host-2"].kill_guest(vm)
            lab.advance(REPAIRED_SECONDS)
            assert vm in lab.on("host-2")
            lab.settle()
            assert (lab.vm(vm).state, lab.vm(vm).epoch, lab.vm(vm).on) == (VMState.RUNNING, 2, True)
            assert {lab.vm(other).epoch for other in others} == {1}


def test_all_that_died_on_a_host_run_again_there():
    with Lab(fleets=NINE) as lab:
        names = lab.on("host-2")
        for vm in names:
            lab.machines["host-2"].kill_guest(vm)
        lab.advance(REPAIRED_SECONDS)
        assert lab.on("host-2") == names
        lab.settle()


def test_what_was_shut_down_from_the_inside_stays_off_and_nobody_holds_its_volumes():
    with Lab(fleets=NINE) as lab:
        vm = lab.on("host-2")[0]
        lab.machines["host-2"].shut_down_guest(vm)
        lab.advance(REPAIRED_SECONDS)
        off = lab.vm(vm)
        assert (off.state, off.on) == (VMState.STOPPED, False)
        assert off.story[-1] == "running -> stopped: shut down from inside the guest"
        lab.settle(300.0)
        assert [m.name for m in lab.machines.values() if vm in m.guests] == []
        assert lab.storage.volumes[off.volumes[0]].owner == ""
        assert lab.do("vm.start", StartVMs(vms=(vm,))).results[vm].ok
        lab.machines[lab.vm(vm).host].kill_guest(vm)
        lab.advance(REPAIRED_SECONDS)
        assert lab.vm(vm).state is VMState.RUNNING, "its user has started it again"


def test_what_is_no_vm_of_high_availability_is_recorded_as_stopped():
    with Lab(fleets={"ci": (3, 2, False)}) as lab:
        vm = lab.on("host-2")[0]
        lab.machines["host-2"].kill_guest(vm)
        lab.settle()
        assert (lab.vm(vm).state, lab.vm(vm).on) == (VMState.STOPPED, True)


@pytest.mark.parametrize(("how", "state"), [("kill_guest", VMState.RUNNING), ("shut_down_guest", VMState.STOPPED)])
def test_what_ended_while_no_node_was_there_is_found_by_the_next_one(how, state):
    with Lab(fleets=NINE) as lab:
        vm = lab.on("host-2")[0]
        lab.machines["host-2"].kill("node")
        getattr(lab.machines["host-2"], how)(vm)
        lab.settle()
        assert lab.vm(vm).state is state


def test_a_vm_that_cannot_start_again_where_it_died_starts_elsewhere():
    with Lab(fleets=NINE) as lab:
        vm = lab.on("host-2")[0]
        lab.machines["host-2"].read_only = True
        lab.machines["host-2"].kill_guest(vm)
        lab.advance(READ_ONLY_SECONDS + 100.0)
        assert lab.vm(vm).state is VMState.RUNNING
        assert lab.vm(vm).host != "host-2"
        lab.machines["host-2"].read_only = False
        lab.settle()


def test_what_its_user_turns_off_just_as_it_dies_stays_off():
    with Lab(fleets=NINE) as lab:
        vm = lab.on("host-2")[0]
        job = lab.submit("vm.poweroff", NameVMs(vms=(vm,)))
        lab.machines["host-2"].kill_guest(vm)
        lab.finish(job)
        lab.settle()
        assert lab.vm(vm).state is VMState.STOPPED


def test_to_restart_what_was_shut_down_from_the_inside_is_noticed(monkeypatch):
    """The mutant: no end is told from another."""
    monkeypatch.setattr(settle, "_shut_down", lambda vm, ended: False)
    with Lab(fleets=NINE) as lab:
        vm = lab.on("host-2")[0]
        lab.machines["host-2"].shut_down_guest(vm)
        lab.advance(REPAIRED_SECONDS)
        assert vm in lab.on("host-2")


def test_each_end_is_repaired_once():
    with Lab(fleets=NINE) as lab:
        started: list[str] = []
        lab.listeners.append(lambda fact: started.append(fact.vm) if isinstance(fact, Started) else None)
        gone: list[str] = []
        lab.listeners.append(lambda fact: gone.append(fact.vm) if isinstance(fact, Gone) else None)
        vm = lab.on("host-2")[0]
        lab.machines["host-2"].kill_guest(vm)
        lab.settle(300.0)
        assert (started, gone) == ([vm], [vm])
