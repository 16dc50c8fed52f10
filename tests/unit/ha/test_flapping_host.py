"""A host that comes back again and again, on a whole simulated cluster."""

from collections.abc import Callable
from typing import Any

import pytest

from ave.ha.flapping import QUARANTINE_SECONDS, STEADY_SECONDS
from ave.model.host import HostState
from ave.operations import CreateVMs, ExitMaintenance, NewVM
from drivers.sim.facts import Started
from tests.unit.hosts.lab import ALL, Lab

ONLINE, QUARANTINED = HostState.ONLINE, HostState.QUARANTINED
BAD = "host-4"


class Cloud(Lab):
    """Four hosts of which two are needed, and the last one will come and go."""

    def __init__(self, *, web: int = 8, gib: int = 6) -> None:
        super().__init__(hosts=4, gib=gib, fleets={"web": (web, 1, True)})
        self.facts: list[Any] = []
        self.listeners.append(self.facts.append)

    def __enter__(self) -> "Cloud":
        return self

    def reboot(self) -> None:
        self.machines[BAD].power_off()
        self.machines[BAD].restart(30.0)
        self._back(self.host(BAD).epoch)

    def cut(self) -> None:
        self.network.cut((BAD,), ALL)
        self.advance(110.0)
        self.network.heal((BAD,), ALL)
        self._back(self.host(BAD).epoch)

    def _back(self, epoch: int) -> None:
        self.until(lambda: self.host(BAD).epoch > epoch)
        self.advance(30.0)

    def restarts(self) -> int:
        """Most often of one VM."""
        names = [fact.vm for fact in self.facts if isinstance(fact, Started)]
        return max(map(names.count, names), default=0)


@pytest.mark.parametrize("how", [Cloud.reboot, Cloud.cut])
def test_from_its_second_return_on_a_host_is_given_no_vm_for_half_an_hour(how: Callable[[Cloud], None]):
    with Cloud(web=20) as cloud:  # of 24 places: what it had finds no room elsewhere, and comes back to it
        how(cloud)
        assert cloud.host(BAD).state is ONLINE
        assert cloud.on(BAD)
        how(cloud)
        assert cloud.host(BAD).state is QUARANTINED
        assert "came back 2 times" in cloud.host(BAD).story[-1]
        how(cloud)
        assert cloud.host(BAD).state is QUARANTINED
        cloud.advance(QUARANTINE_SECONDS - 60.0)
        assert cloud.on(BAD) == []
        assert 1 <= cloud.restarts() <= 2
        cloud.until(lambda: cloud.host(BAD).state is ONLINE, limit=60.0)
        cloud.until(lambda: len(cloud.on(BAD)) == 2, limit=120.0)
        assert cloud.host(BAD).returns == 0
        cloud.settle()


def test_returns_that_last_do_not_add_up():
    with Cloud() as cloud:
        for _ in range(4):
            cloud.reboot()
            cloud.advance(STEADY_SECONDS)
            assert cloud.host(BAD).state is ONLINE
            assert cloud.host(BAD).returns == 0
        cloud.settle()


def test_an_operator_ends_a_quarantine():
    with Cloud(gib=8) as cloud:
        for _ in range(2):
            cloud.reboot()
        assert cloud.host(BAD).state is QUARANTINED
        vm = NewVM(id="new", vcpus=1, memory_mib=8 * 1024, disks_gib=(1,), networks=("vm",))
        assert cloud.do("vm.create", CreateVMs(vms=(vm,))).state == "failed"
        assert cloud.do("host.exit-maintenance", ExitMaintenance(host=BAD)).state == "done"
        assert cloud.host(BAD).state is ONLINE
        cloud.until(lambda: cloud.host(BAD).returns == 0)
        cloud.settle()


def test_a_host_that_leaves_again_while_it_is_quarantined_is_judged_like_any_other():
    with Cloud() as cloud:
        for _ in range(2):
            cloud.reboot()
        cloud.machines[BAD].power_off()
        cloud.until(lambda: cloud.host(BAD).state is HostState.RECOVERED)
        cloud.machines[BAD].restart(0.0)
        cloud.until(lambda: cloud.host(BAD).state is QUARANTINED)
        cloud.settle()
