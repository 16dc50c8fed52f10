"""The leader of the monitor and the scheduler is lost, or stands still and goes on: nobody acts on what it knew before."""

from typing import Any

import pytest

from ave.ha.timing import PROFILES
from ave.model.cluster import Role
from ave.model.host import HostState
from ave.model.vm import VM, VMState
from ave.scheduler.role import ROLES
from drivers.sim.facts import Elected, Gone, Paused, Revoked, Started
from sim.faults import begin
from tests.unit.hosts.lab import Lab

SEED = PROFILES["seed"]
FOLLOW_SECONDS = 15.0


class Cloud(Lab):
    """Five hosts, of which three are masters; the first leads."""

    def __init__(self, *, seed: int = 1) -> None:
        super().__init__(hosts=5, fleets={"web": (10, 1, True)}, seed=seed)
        self.facts: list[tuple[float, Any]] = []
        self.listeners.append(lambda fact: self.facts.append((self.world.now, fact)))
        assert self.holders() == ["host-1"]

    def __enter__(self) -> "Cloud":
        return self

    def holders(self) -> list[str]:
        return sorted({self.doc(Role, name).holder for name in ROLES})

    def all_of(self, *kinds: type[Any]) -> list[Any]:
        return [fact for _, fact in self.facts if isinstance(fact, kinds)]

    def everything_runs(self) -> bool:
        vms: list[VM] = self.all(VM)
        return all(vm.state is VMState.RUNNING and vm.id in self.on(vm.host) for vm in vms)


@pytest.mark.parametrize("seed", range(1, 6))
def test_monitor_and_scheduler_follow_the_leader_of_the_storage_in_time(seed):
    with Cloud(seed=seed) as cloud:
        for _ in range(3):
            begin(cloud, "storage-failover", (), {}, lasting=False)
            cloud.until(lambda: cloud.storage.leader is not None)
            elected = cloud.world.now
            cloud.until(lambda: cloud.holders() == [cloud.storage.leader], limit=FOLLOW_SECONDS)
            assert cloud.world.now - elected <= FOLLOW_SECONDS
            cloud.advance(20.0)
        assert cloud.all_of(Gone, Paused, Revoked) == []
        cloud.settle()


SECONDS = [1, 2, 4, 8, 15, 30, 58, 61, 75, 88, 89, 90, 91, 92, 95, 105, 120, 150, 200, 250, 300]


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_leader_that_stood_still_acts_on_nothing_old(seconds):
    """F38. All that it had counted until then is worth nothing when it goes on, whoever leads by then."""
    with Cloud() as cloud:
        wake = begin(cloud, "host-stall", ("host-1",), {}, lasting=True)
        cloud.advance(float(seconds))
        wake()
        cloud.settle(SEED.verdict + 60.0)
        assert {fact.host for fact in cloud.all_of(Revoked)} <= {"host-1"}
        assert not cloud.all_of(Revoked) or seconds >= SEED.verdict - 5.0
        assert cloud.everything_runs()


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_leader_that_stood_still_while_another_host_was_silent_does_not_count_that_time(seconds):
    """F38, at its worst: what it had counted was nearly enough, and the host was well again long before it looks."""
    with Cloud() as cloud:
        join = begin(cloud, "partition", ("host-5",), {}, lasting=True)
        cloud.advance(SEED.verdict - 10.0)
        wake = begin(cloud, "host-stall", ("host-1",), {}, lasting=True)
        join()
        cloud.advance(float(seconds))
        wake()
        cloud.settle(SEED.verdict + 60.0)
        assert {fact.host for fact in cloud.all_of(Revoked)} <= {"host-1"}
        assert cloud.everything_runs()


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_leader_that_stood_still_in_the_middle_of_a_rescue_finishes_nothing_that_another_has_begun(seconds):
    """F38 and F39: it had judged a host when it fell asleep; when it wakes, perhaps another has rescued its VMs."""
    with Cloud() as cloud:
        cloud.machines["host-5"].power_off()
        cloud.until(lambda: cloud.host("host-5").state is HostState.FENCED)
        wake = begin(cloud, "host-stall", ("host-1",), {}, lasting=True)
        cloud.advance(float(seconds))
        wake()
        cloud.settle(SEED.verdict + 120.0)
        assert cloud.everything_runs()
        started = [fact.vm for fact in cloud.all_of(Started)]
        again = [vm for vm in started if started.count(vm) > 1]
        assert again == [] or seconds >= SEED.give_up


def test_two_that_believe_to_lead_do_not_both_decide():
    """F39: the deposed leader is not told, since it stands still; its role is of an older version when it wakes."""
    with Cloud() as cloud:
        cloud.machines["host-5"].power_off()
        cloud.advance(SEED.verdict - 6.0)
        wake = begin(cloud, "host-stall", ("host-1",), {}, lasting=True)
        begin(cloud, "storage-failover", (), {}, lasting=False)
        cloud.until(lambda: cloud.holders() not in ([], ["host-1"]))
        wake()
        cloud.settle(SEED.verdict + 60.0)
        assert len(cloud.all_of(Elected)) >= 1
        assert [fact.host for fact in cloud.all_of(Revoked)] == ["host-5"]
        assert cloud.everything_runs()
