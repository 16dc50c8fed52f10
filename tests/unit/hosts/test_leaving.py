"""Leaving maintenance on a whole simulated cluster: the host takes VMs again, and those that left return if that is wanted."""

import msgspec
import pytest

from ave.model.host import HostState
from ave.model.work import WorkState
from ave.operations import EnterMaintenance, ExitMaintenance, NameHosts, NameVMs
from tests.unit.hosts.lab import Lab, whys

ENTER, EXIT = "host.enter-maintenance", "host.exit-maintenance"
NINE = {"web": (9, 2, True)}


def test_those_that_left_come_back_and_those_that_cannot_say_why():
    with Lab(gib=16, fleets=NINE) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        away = lab.host("host-2").away
        off, gone, back = sorted(away)
        lab.do("vm.poweroff", NameVMs(vms=(off,)))
        lab.do("vm.delete", NameVMs(vms=(gone,)))
        job = lab.do(EXIT, ExitMaintenance(host="host-2", bring_back=True))
        assert job.state is WorkState.FAILED
        assert {name: result.ok for name, result in job.results.items()} == {
            "host-2": True,
            back: True,
            off: False,
            gone: False,
        }
        assert whys(job)[off] == f"{off} is stopped: only a running VM is brought back to host-2"
        assert whys(job)[gone] == f"{gone} is deleted: only a running VM is brought back to host-2"
        assert lab.on("host-2") == [back]
        assert (lab.host("host-2").state, lab.host("host-2").away) == (HostState.ONLINE, ())
        lab.settle()


def test_one_for_which_there_is_no_room_any_more_stays_and_says_so():
    with Lab(gib=24, fleets={"web": (9, 4, True)}) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        away = lab.host("host-2").away
        machine = lab.machines["host-2"]
        machine.facts = msgspec.structs.replace(machine.facts, memory_mib=9 * 1024)  # half of its memory was taken out
        assert lab.do("host.report", NameHosts(hosts=("host-2",))).state is WorkState.DONE
        job = lab.do(EXIT, ExitMaintenance(host="host-2", bring_back=True))
        assert len(away) == 3
        (stayed,) = whys(job)
        assert whys(job)[stayed].startswith(f"{stayed} stays on {lab.vm(stayed).host}: none of 3 hosts fits {stayed}: ")
        assert sorted([*lab.on("host-2"), stayed]) == sorted(away)
        assert lab.host("host-2").state is HostState.ONLINE
        lab.settle()


def test_who_is_not_asked_back_stays():
    with Lab(fleets=NINE) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        job = lab.do(EXIT, ExitMaintenance(host="host-2"))
        assert (job.state, job.results["host-2"].ok) == (WorkState.DONE, True)
        lab.settle()
        assert (lab.on("host-2"), lab.host("host-2").away) == ([], ())
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        assert lab.host("host-2").away == (), "none had to leave now"


@pytest.mark.parametrize("after", [0.0, 0.05, 1.0, 4.0])
def test_bringing_back_survives_its_worker(after):
    with Lab(hosts=4, fleets={"web": (16, 2, True)}) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        away = sorted(lab.host("host-2").away)
        job = lab.submit(EXIT, ExitMaintenance(host="host-2", bring_back=True))
        lab.advance(after)
        for host in ("host-1", "host-3", "host-4"):
            lab.machines[host].kill("node")
        ended = lab.finish(job)
        assert ended.state is WorkState.DONE
        assert lab.on("host-2") == away
        assert len({work.id for work in lab.jobs("vm.migrate")}) == 2 * len(away), "each went once and came once"
        lab.settle()


def test_to_exit_while_the_host_is_off_lets_it_take_vms_when_it_returns():
    with Lab(fleets=NINE) as lab:
        lab.do(ENTER, EnterMaintenance(host="host-2"))
        lab.machines["host-2"].power_off()
        lab.until(lambda: lab.host("host-2").state is HostState.RECOVERED)
        job = lab.do(EXIT, ExitMaintenance(host="host-2", bring_back=True))
        assert job.results["host-2"].ok
        assert job.results["host-2"].why == "it is recovered: it takes VMs when it returns, and none is brought back"
        lab.machines["host-2"].restart(0.0)
        lab.until(lambda: lab.host("host-2").state is HostState.ONLINE)
        lab.settle()
