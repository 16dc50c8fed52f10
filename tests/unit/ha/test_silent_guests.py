"""Guests that say nothing while their VMs run: started again in place if the operator wants it, and not for ever."""

import msgspec
import pytest

from ave.errors import Refused
from ave.ha.guests import ALARM, PAUSES_SECONDS, STEADY_SECONDS, Known, silent
from ave.model.alarm import Alarm
from ave.model.host import Report
from ave.model.settings import Settings
from ave.model.vm import VM, VMState
from ave.operations import EditCluster, NameVMs, ReviveVMs
from drivers.sim.facts import Gone, Started
from tests.unit.hosts.lab import Lab

NINE = {"web": (9, 2, True)}
ON = Settings(guest_failure=True)
GUEST = 120.0  # the profile's
SOON = 10.0


def vm(name="web-1", **fields):
    known = {"host": "h", "epoch": 3, "state": VMState.RUNNING, **fields}
    return VM(id=name, vcpus=1, memory_mib=1024, **known)


def found(*vms, **said):
    return list(silent({"h": Report(id="h", silent=said)}, {one.id: one for one in vms}))


def test_only_what_is_to_run_in_the_very_epoch_that_was_silent_is():
    assert found(vm("a"), a=3) == ["a"]
    assert found(vm("a", epoch=4), a=3) == [], "it was started again since"
    assert found(vm("a", host="other"), a=3) == []
    assert found(vm("a", on=False), a=3) == []
    assert found(vm("a", ha=False), a=3) == []
    assert found(vm("a", state=VMState.SUSPENDED), a=3) == []
    assert found(a=3) == [], "it was deleted"


def test_each_restart_waits_longer_and_after_the_last_there_is_none():
    for revived, pause in enumerate(PAUSES_SECONDS):
        known, one = Known(), {"a": vm("a", revived=revived)}
        known.look(100.0, one, [])
        assert bool(known.due(100.0 + pause - 1.0, one)) is False
        known.look(100.0 + pause, one, [])
        assert known.due(100.0 + pause, one) == [one["a"]]
    known, one = Known(), {"a": vm("a", revived=len(PAUSES_SECONDS))}
    known.look(0.0, one, [])
    known.look(1e6, one, [])
    assert known.due(1e6, one) == []


def test_a_guest_that_is_heard_long_enough_has_never_been_silent():
    known, one = Known(), vm("a", revived=2)
    known.look(0.0, {}, [one])
    known.look(STEADY_SECONDS - 1.0, {}, [one])
    assert known.steady(STEADY_SECONDS - 1.0) == []
    known.look(STEADY_SECONDS, {"a": one}, [one])
    known.look(STEADY_SECONDS + 1.0, {}, [one])
    assert known.steady(STEADY_SECONDS + 1.0) == [], "it was silent in between"
    known.look(2 * STEADY_SECONDS + 1.0, {}, [one])
    assert known.steady(2 * STEADY_SECONDS + 1.0) == ["a"]


def test_a_vm_is_started_again_where_it_is_and_nobody_else_notices():
    with Lab(fleets=NINE, settings=ON) as lab:
        told = []
        lab.listeners.append(lambda fact: told.append(fact) if isinstance(fact, Gone | Started) else None)
        host = lab.vm("web-1").host
        lab.machines[host].hang_guest("web-1")
        lab.advance(GUEST - 1.0)
        assert told == []
        lab.advance(SOON)
        assert [(type(fact), fact.vm, fact.host) for fact in told] == [(Gone, "web-1", host), (Started, "web-1", host)]
        assert (lab.vm("web-1").state, lab.vm("web-1").revived) == (VMState.RUNNING, 1)
        assert lab.machines[host].guests["web-1"].hung_at is None
        assert len(lab.jobs("ha.revive")) == 1
        lab.settle()
        assert lab.doc(Report, host).silent == {}


def test_without_the_setting_it_is_left_alone_until_that_is_changed():
    with Lab(fleets=NINE) as lab:
        lab.machines[lab.vm("web-1").host].hang_guest("web-1")
        lab.advance(GUEST + 60.0)
        assert lab.jobs("ha.revive") == []
        assert lab.do("cluster.edit", EditCluster(guest_failure=True)).state == "done"
        assert lab.doc(Settings, "cluster") == Settings(version=1, guest_failure=True)
        lab.advance(SOON)
        assert lab.vm("web-1").revived == 1
        assert lab.do("cluster.edit", EditCluster(network_failure=True, guest_failure=False)).state == "done"
        assert lab.doc(Settings, "cluster") == Settings(version=2, network_failure=True)
        lab.settle()


def test_a_guest_that_never_comes_back_is_not_started_for_ever_and_raises_an_alarm():
    with Lab(fleets=NINE, settings=ON) as lab:
        machine = lab.machines[lab.vm("web-1").host]
        lab.listeners.append(lambda fact: machine.hang_guest("web-1") if isinstance(fact, Started) else None)
        machine.hang_guest("web-1")
        lab.advance(4 * GUEST + sum(PAUSES_SECONDS) + 60.0)
        assert (lab.vm("web-1").revived, len(lab.jobs("ha.revive"))) == (3, 3)
        assert "web-1" in lab.doc(Alarm, ALARM).what
        lab.advance(3600.0)
        assert len(lab.jobs("ha.revive")) == 3
        lab.listeners.pop()
        lab.do("vm.reset", NameVMs(vms=("web-1",)))  # a person puts it right
        lab.advance(STEADY_SECONDS + SOON)
        assert (lab.vm("web-1").revived, lab.doc(Alarm, ALARM)) == (0, None)
        lab.settle()


def test_a_new_leader_restarts_nothing_twice():
    with Lab(fleets=NINE, settings=ON) as lab:
        hung = lab.on("host-3")
        for name in hung:
            lab.machines["host-3"].hang_guest(name)
        lab.until(lambda: lab.jobs("ha.revive"))
        assert lab.storage.leader is not None
        lab.machines[lab.storage.leader].kill("node")
        lab.advance(60.0)
        assert {lab.vm(name).revived for name in hung} == {1}
        assert {lab.vm(name).epoch for name in hung} == {2}
        lab.settle()


def test_a_restart_asked_for_too_late_does_nothing():
    with Lab(fleets=NINE) as lab:
        job = lab.do("ha.revive", ReviveVMs(vms={"web-1": 7}))
        assert (job.state, job.results["web-1"].why) == ("done", "it is another since")
        assert lab.vm("web-1").epoch == 1
        lab.settle()


def test_a_guest_that_stands_still_is_not_silent():
    """Its host paused it: it cannot say anything."""
    with Lab(fleets=NINE, settings=ON) as lab:
        host = lab.vm("web-1").host
        lab.machines[host].hang_guest("web-1")
        lab.do("vm.suspend", NameVMs(vms=("web-1",)))
        lab.advance(GUEST + 60.0)
        assert lab.doc(Report, host).silent == {}
        lab.do("vm.resume", NameVMs(vms=("web-1",)))
        lab.advance(SOON)
        assert lab.vm("web-1").revived == 1


def test_a_host_writes_only_when_another_guest_falls_silent():
    with Lab(fleets=NINE) as lab:
        host = lab.vm("web-1").host
        lab.machines[host].hang_guest("web-1")
        lab.advance(GUEST + SOON)
        said = lab.doc(Report, host)
        assert said.silent == {"web-1": 1}
        lab.advance(3600.0)
        assert lab.doc(Report, host).version == said.version


def test_what_is_no_setting_is_refused():
    with pytest.raises(msgspec.ValidationError), Lab(fleets=NINE) as lab:
        msgspec.convert({"guest_failure": "sometimes"}, EditCluster)
        lab.settle()
    with pytest.raises(Refused, match="unknown operation"), Lab(fleets=NINE) as lab:
        lab.do("cluster.change", EditCluster())
