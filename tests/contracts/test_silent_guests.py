"""What every hypervisor promises of guests that say nothing: those that never say anything are never silent."""

from contextlib import closing

import pytest

from ave.model.vm import VM
from ave.ports.hypervisor import Stamp
from tests.contracts.labs import LABS, SimLab

SMALL = VM(id="vm", vcpus=1, memory_mib=2048, volumes=("disk",))
OWN = Stamp(epoch=1)


@pytest.fixture(params=LABS)
def lab(request, tmp_path, finish):
    with closing(LABS[request.param](tmp_path, finish)) as lab:
        lab.place("disk", "a", 1)
        yield lab


def test_a_guest_of_which_nothing_is_expected_is_not_silent(lab):
    lab.call("a", 0, "start", SMALL, OWN)
    assert lab.call("a", 0, "silent", 0.001) == {}


def test_a_guest_is_silent_after_so_many_seconds_and_not_any_more_after_a_reset(tmp_path, finish):
    with closing(SimLab(tmp_path, finish)) as lab:
        lab.place("disk", "a", 1)
        lab.call("a", 0, "start", SMALL, OWN)
        lab.machines["a"].hang_guest("vm")
        since = lab.world.now
        assert lab.call("a", 0, "silent", 30.0) == {}
        assert lab.call("a", 0, "silent", 30.0, {}) == {"vm": 1}
        assert 30.0 <= lab.world.now - since <= 31.0, "as soon as it is so"
        lab.call("a", 0, "pause", "vm")
        assert lab.call("a", 0, "silent", 30.0, {"vm": 1}) == {}, "it cannot say anything"
        lab.call("a", 0, "resume", "vm", OWN)
        assert lab.call("a", 0, "silent", 30.0, {}) == {"vm": 1}
        lab.call("a", 0, "destroy", "vm", OWN)
        assert lab.call("a", 0, "silent", 30.0, {"vm": 1}) == {}
