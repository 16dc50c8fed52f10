"""Hosts report what they are made of, on a whole simulated cluster."""

import msgspec

from ave.model.host import Host
from ave.model.work import WorkState
from ave.operations import NameHosts
from drivers.sim.network import Plane
from tests.unit.hosts.lab import Lab, whys


def test_a_host_reports_what_changed_and_writes_nothing_if_nothing_did():
    with Lab(fleets={"web": (9, 2, True)}) as lab:
        before = {host.id: host.version for host in lab.all(Host)}
        machine = lab.machines["host-2"]
        machine.facts = msgspec.structs.replace(machine.facts, memory_mib=64 * 1024, networks=("vm", "new"))
        job = lab.do("host.report", NameHosts(hosts=("host-1", "host-2", "host-3", "host-4")))
        assert job.state is WorkState.DONE
        assert job.results["host-4"].why == "not asked: it is no host any more"
        reported = lab.host("host-2")
        assert (reported.memory_mib, reported.networks, reported.cpus) == (64 * 1024, ("vm", "new"), 16)
        assert {host.id: host.version - before[host.id] for host in lab.all(Host)} == {
            "host-1": 0,
            "host-2": 1,
            "host-3": 0,
        }
        lab.settle()


def test_a_host_that_does_not_answer_fails_its_report_and_no_other():
    with Lab() as lab:
        lab.network.cut(("host-3",), (Plane.MANAGEMENT,))
        job = lab.do("host.report", NameHosts(hosts=("host-1", "host-2", "host-3")), lane="host-1")
        assert whys(job) == {"host-3": "host-3 does not answer"}
