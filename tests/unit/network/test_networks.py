"""Networks on a whole simulated cluster: no VM is ever connected to a network that is gone."""

import pytest

from ave.model.network import INTERNAL, Network, NetworkState
from ave.model.vm import VM
from ave.model.work import WorkState
from ave.operations import CreateVMs, DescribedNetwork, DescribeNetworks, NameNetworks, NameVMs, NewVM
from tests.unit.hosts.lab import Lab, whys

DELETE = NameNetworks(networks=("vm",))
MOMENTS = [0.0, 0.002, 0.004, 0.006, 0.008, 0.01, 0.012, 0.014, 0.016, 0.02, 0.03, 0.05]


def describe(*names, **facts):
    return DescribeNetworks(networks=tuple(DescribedNetwork(id=name, **facts) for name in names))


def vms(*names, networks=("vm",)):
    return CreateVMs(
        vms=tuple(NewVM(id=name, vcpus=1, memory_mib=256, networks=networks) for name in names), start=False
    )


def connected(lab):
    return {network for vm in lab.all(VM) for network in vm.networks}


def test_a_network_is_declared_edited_and_deleted():
    with Lab() as lab:
        assert lab.do("network.create", describe("vm", "blue", vlan=7)).state is WorkState.DONE
        assert lab.do("network.edit", describe("vm", vlan=9, trunk=(1, 2))).state is WorkState.DONE
        assert (lab.doc(Network, "vm").vlan, lab.doc(Network, "vm").trunk) == (9, (1, 2))
        assert lab.do("network.delete", NameNetworks(networks=("vm", "blue"))).state is WorkState.DONE
        assert lab.all(Network) == []
        job = lab.do("network.edit", describe("vm"))
        assert whys(job) == {"vm": "there is no network vm"}
        lab.settle()


def test_a_network_that_only_the_hosts_name_may_be_used_and_needs_no_document():
    with Lab(fleets={"web": (3, 2, True)}) as lab:
        assert lab.do("vm.create", vms("new")).state is WorkState.DONE
        assert lab.all(Network) == []
        lab.settle()


def test_a_network_in_use_stays_and_the_first_of_its_users_are_named():
    with Lab(fleets={"web": (8, 2, True)}) as lab:
        lab.do("network.create", describe("vm", "blue"))
        job = lab.do("network.delete", NameNetworks(networks=("vm", "blue")))
        assert whys(job) == {
            "vm": "network vm is in use by web-1, web-2, web-3, web-4, web-5 and 3 more: disconnect them first"
        }
        assert [(network.id, network.state) for network in lab.all(Network)] == [("vm", NetworkState.ACTIVE)]
        lab.do("vm.delete", NameVMs(vms=tuple(f"web-{n}" for n in range(1, 9))))
        assert lab.do("network.delete", DELETE).state is WorkState.DONE
        lab.settle()


def test_the_hosts_own_networks_are_there_together_and_for_ever():
    with Lab() as lab:
        alone = lab.do("network.create", describe(INTERNAL[0]))
        assert "declare it together with" in whys(alone)[INTERNAL[0]]
        assert lab.do("network.create", describe(*INTERNAL)).state is WorkState.DONE
        job = lab.do("network.delete", NameNetworks(networks=INTERNAL))
        assert [why.partition(":")[0] for why in whys(job).values()] == [
            f"network {name} is the hosts' own" for name in INTERNAL
        ]
        assert len(lab.all(Network)) == 2
        refused = lab.do("vm.create", vms("new", networks=(INTERNAL[0],)))
        assert refused.state is WorkState.FAILED
        assert lab.all(VM) == []


@pytest.mark.parametrize("first", ["network.delete", "vm.create"])
@pytest.mark.parametrize("after", MOMENTS)
def test_of_a_deletion_and_a_creation_at_the_same_moment_one_is_refused(first, after):
    """Judged in every commit: none connects a VM to a network that is going, and none ends a network that a VM has."""
    with Lab() as lab:
        lab.do("network.create", describe("vm"))

        def look(commit):
            for kind, id, doc in commit.changes:
                if kind == "vm" and doc is not None and doc.version == 1:
                    network = lab.doc(Network, "vm")
                    assert network is None or network.state is NetworkState.ACTIVE, id
                if (kind, id, doc) == ("network", "vm", None):
                    assert connected(lab) == set()

        lab.store.ledger.listeners.append(look)
        asked = {"network.delete": DELETE, "vm.create": vms("a", "b")}
        jobs = {first: lab.submit(first, asked.pop(first), lane="host-1")}
        lab.advance(after)
        ((second, request),) = asked.items()
        jobs[second] = lab.submit(second, request, lane="host-2")
        ended = {operation: lab.finish(job) for operation, job in jobs.items()}
        lab.settle()
        if lab.doc(Network, "vm") is None:
            assert ended["network.delete"].state is WorkState.DONE
        else:
            assert lab.doc(Network, "vm").state is NetworkState.ACTIVE
            assert "in use by a, b" in whys(ended["network.delete"])["vm"]
            assert connected(lab) == {"vm"}


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("fault", ["worker", "power", "cancel", "store", "answers"])
@pytest.mark.parametrize("after", MOMENTS[::2])
def test_whatever_happens_in_the_middle_a_network_is_gone_or_active(used, fault, after):
    with Lab(fleets={"web": (3, 2, True)} if used else None) as lab:
        lab.do("network.create", describe("vm"))
        if fault == "answers":
            lab.store.lost_answers = 0.5
        job = lab.submit("network.delete", DELETE)
        lab.advance(after)
        if fault == "worker":
            for host in lab.machines:
                lab.machines[host].kill("node")
        elif fault == "power":
            lab.machines["host-2"].power_off()
        elif fault == "store":
            lab.store.step_down()
        elif fault == "cancel":
            lab.cancel(job)
        ended = lab.finish(job)
        lab.store.lost_answers = 0.0
        lab.settle()
        network = lab.doc(Network, "vm")
        assert network is None or network.state is NetworkState.ACTIVE
        assert (network is None) is (ended.state is WorkState.DONE)
        if used:
            assert network is not None
