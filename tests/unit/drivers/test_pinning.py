import pytest

from ave.errors import Unavailable
from ave.model.vm import VM
from drivers import pinning


@pytest.mark.parametrize(
    ("exclusive", "alone", "shared"),
    [(0, (), (0, 1, 2, 5)), (1, (5,), (0, 1, 2)), (3, (1, 2, 5), (0,)), (4, (1, 2, 5), (0,)), (-1, (), (0, 1, 2, 5))],
)
def test_the_last_cpus_are_exclusive_and_one_never_is(exclusive, alone, shared):
    assert pinning.divided([0, 1, 2, 5], exclusive) == (alone, shared)


@pytest.mark.parametrize(
    ("many", "taken", "found"), [(0, (), ()), (2, (), (4, 5)), (2, (5,), (4, 6)), (2, (4, 5), ()), (1, (4, 5, 6), ())]
)
def test_as_many_as_are_wanted_that_nobody_has_or_none(many, taken, found):
    assert pinning.chosen(many, (4, 5, 6), taken) == found


def test_who_has_to_do_without_wants_none():
    vm = VM(id="vm", vcpus=2, memory_mib=1, pinned=True)
    assert pinning.wanted(vm) == 2
    for other in (VM(id="vm", vcpus=2, memory_mib=1), VM(id="vm", vcpus=2, memory_mib=1, pinned=True, unpinned=True)):
        assert pinning.wanted(other) == 0
        pinning.require(other, "a", ())
    with pytest.raises(Unavailable, match="vm wants 2 CPUs of a for itself, and not so many of them are free"):
        pinning.require(vm, "a", ())
