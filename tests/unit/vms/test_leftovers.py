"""What a migration that was given up left on a host: it never runs, and its memory stands in nobody's way for long."""

from __future__ import annotations

from typing import Any

import pytest

from ave.model.vm import VMState
from ave.model.work import WorkState
from ave.operations import MigrateVMs, NameVMs, StartVMs
from drivers.sim.facts import Gone, Resumed, Started
from tests.unit.vms.world import Cloud

WEB = NameVMs(vms=("web-1",))


def leave_a_copy(cloud: Cloud, on: str) -> Any:
    """With the epoch that the VM takes next, as a migration had given it; nobody took that away."""
    vm = cloud.vm("web-1")
    return cloud.machines[on].add(vm, vm.epoch + 1, incoming=True, job="vm.migrate-gone")


def elsewhere(cloud: Cloud) -> str:
    return next(host for host in sorted(cloud.machines) if host != cloud.vm("web-1").host)


@pytest.mark.parametrize("when", ["before it is assigned", "after"])
def test_a_stopped_vm_that_takes_the_epoch_of_a_copy_is_not_run_by_it(when: str) -> None:
    with Cloud() as cloud:
        target = elsewhere(cloud)
        cloud.do("vm.poweroff", WEB)
        if when == "before it is assigned":
            leave_a_copy(cloud, target)
        assert cloud.do("vm.migrate", MigrateVMs(vms=WEB.vms, host=target)).state is WorkState.DONE
        vm = cloud.vm("web-1")
        assert (vm.state, vm.host) == (VMState.STOPPED, target)
        if when == "after":
            cloud.machines[target].add(vm, vm.epoch, incoming=True, job="vm.migrate-gone")
        cloud.settle(90.0)
        assert cloud.told_of("web-1", Resumed) == []
        assert "web-1" not in cloud.machines[target].guests
        assert cloud.do("vm.start", StartVMs(vms=WEB.vms)).state is WorkState.DONE
        cloud.sound()


def test_what_an_earlier_host_still_holds_of_a_stopped_vm_is_let_go() -> None:
    with Cloud() as cloud:
        first, target = cloud.vm("web-1").host, elsewhere(cloud)
        cloud.do("vm.poweroff", WEB)
        volume = cloud.storage.volumes["web-1-disk-1"]
        volume.owner, volume.epoch = first, cloud.vm("web-1").epoch  # as if its end had been found, and not made
        assert cloud.do("vm.migrate", MigrateVMs(vms=WEB.vms, host=target)).state is WorkState.DONE
        cloud.settle(90.0)
        assert volume.owner == ""
        cloud.sound()


def test_a_start_waits_for_memory_that_is_in_no_book() -> None:
    """The copy is ended first; the VM that has a place there starts all the same."""
    with Cloud(gib=4) as cloud:
        target = elsewhere(cloud)
        cloud.do("vm.poweroff", NameVMs(vms=("low-1",)))
        leave_a_copy(cloud, target)
        done = cloud.do("vm.start", StartVMs(vms=("low-1",), host=target))
        assert done.state is WorkState.DONE, done.results
        started = [fact for fact in cloud.told_of("low-1", Started) if fact.host == target]
        gone = [fact for fact in cloud.told_of("web-1", Gone) if fact.host == target]
        assert started
        assert gone
