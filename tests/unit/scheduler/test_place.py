"""The place task on a whole simulated cluster: what it commits, and what it takes back."""

from ave.model.vm import VM
from ave.model.work import WorkState
from ave.operations import NameVMs, StartVMs
from ave.ports.store import Change
from tests.unit.hosts.lab import Lab, whys


def test_room_that_an_earlier_attempt_had_found_is_given_up_with_the_decision_that_finds_none():
    """Others may have been given it by that very decision."""
    with Lab(fleets={"web": (1, 2, True)}) as lab:
        (vm,) = (vm.id for vm in lab.all(VM))
        lab.do("vm.poweroff", NameVMs(vms=(vm,)))
        lab.commit(Change(VM, vm, {}, {"reserved": "host-2", "reserved_under": 99}))
        job = lab.submit("vm.start", StartVMs(vms=(vm,), host="host-9"))
        lab.until(lambda: lab.work(f"{job}/place") is not None and lab.work(f"{job}/place").state is WorkState.DONE)
        assert lab.vm(vm).reserved == ""
        assert lab.work(job).state is not WorkState.FAILED, (
            "it has not ended yet, so it was not its end that gave it back"
        )
        assert "TargetHostFilter" in whys(lab.finish(job))[vm]
