"""The place task on a whole simulated cluster: what it commits, and what it takes back."""

from ave.model.cluster import Role
from ave.model.host import Host
from ave.model.vm import VM
from ave.model.work import WorkState
from ave.operations import CreateVMs, NameVMs, NewVM, StartVMs
from ave.ports.store import Change, Check
from ave.scheduler.role import SCHEDULER
from tests.unit.hosts.lab import Lab, whys


def test_room_that_an_earlier_attempt_had_found_is_given_up_with_the_decision_that_finds_none():
    """Others may have been given it by that very decision."""
    with Lab(fleets={"web": (1, 2, True)}) as lab:
        (vm,) = (vm.id for vm in lab.all(VM))
        lab.do("vm.poweroff", NameVMs(vms=(vm,)))
        held = [
            Check(type, id, {"version": lab.doc(type, id).version})
            for type, id in ((Host, "host-2"), (Role, SCHEDULER))
        ]
        found = {"reserved": "host-2", "reserved_under": 99}
        lab.commit(Change(VM, vm, {"version": lab.vm(vm).version}, found), *held)
        job = lab.submit("vm.start", StartVMs(vms=(vm,), host="host-9"))
        lab.until(lambda: lab.work(f"{job}/place") is not None and lab.work(f"{job}/place").state is WorkState.DONE)
        assert lab.vm(vm).reserved == ""
        assert lab.work(job).state is not WorkState.FAILED, (
            "it has not ended yet, so it was not its end that gave it back"
        )
        assert "TargetHostFilter" in whys(lab.finish(job))[vm]


def test_who_is_refused_is_told_what_would_help_with_the_others_of_the_batch_in_place():
    """Three hosts of 32 GiB, each with one of the batch: what is left there is what the fourth can have."""
    with Lab() as lab:
        new = [NewVM(id=f"n{number}", vcpus=1, memory_mib=20 << 10) for number in range(4)]
        told = whys(lab.do("vm.create", CreateVMs(vms=tuple(new))))
        assert told == {
            "n3": "none of 3 hosts fits n3: 3 by HostAvailableMemoryFilter."
            " Cheapest change: free 8.0 GiB on host-1, or make n3 12.0 GiB or smaller"
        }
        smaller = NewVM(id="smaller", vcpus=1, memory_mib=12 << 10)
        assert lab.do("vm.create", CreateVMs(vms=(smaller,))).state is WorkState.DONE
