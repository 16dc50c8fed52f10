"""Zones, pins and limits: what is preferred among hosts that fit, and what a host has only so much of."""

from typing import Any

import pytest

from ave.errors import NoFit
from ave.model.group import Rule
from ave.model.host import Zone
from ave.model.vm import VMState
from ave.placement.batch import place_batch
from ave.placement.place import place
from ave.placement.preferences import PREFERENCES
from ave.placement.purpose import Purpose
from tests.unit.placement.clusters import group, host, view, vm

RUNNING, START, LIVE, RESCUE = VMState.RUNNING, Purpose.START, Purpose.LIVE, Purpose.RESCUE
EAST: dict[str, Any] = {"zone": "east"}
WEST: dict[str, Any] = {"zone": "west"}
TWO_ZONES = [host("a", **WEST), host("b", **WEST), host("y", 8, **EAST), host("z", 8, **EAST)]


def on(name: str, where: str, **facts):
    return vm(name, state=RUNNING, host=where, **facts)


# Zones


def test_the_primary_zone_comes_first_and_the_other_when_it_is_full():
    seen = view(TWO_ZONES, [on("x", "y")], primary=("east",))
    choice = place(seen, vm("v", 8), START)
    assert (choice.host, choice.passed_over) == ("z", {"ZoneFilter": 2})
    assert place(seen, vm("v", 16), START).host == "a"


def test_without_a_primary_zone_zones_do_not_matter():
    assert place(view(TWO_ZONES), vm("v"), START).host == "a"


def test_a_zone_can_become_primary_and_cease_to_be():
    seen = view(TWO_ZONES, primary=("east",))
    seen.put_zone(Zone(id="east", primary=False))
    seen.put_zone(Zone(id="west", primary=True))
    assert place(seen, vm("v"), START).host == "a"


def test_a_vm_with_a_zone_rule_is_not_drawn_to_the_primary_zone():
    must = view(TWO_ZONES, groups=[group("g", Rule.MUST_ZONE, ["v"], zone="west")], primary=("east",))
    assert place(must, vm("v"), START).host == "a"
    prefer = view(TWO_ZONES, groups=[group("g", Rule.PREFER_ZONE, ["v"], zone="west")], primary=("east",))
    assert place(prefer, vm("v"), START).host == "a"
    full = [on("x", "a", memory_gib=62), on("w", "b", memory_gib=62)]
    assert place(view(TWO_ZONES, full, [group("g", Rule.PREFER_ZONE, ["v"], zone="west")]), vm("v"), START).host == "y"
    with pytest.raises(NoFit):
        place(view(TWO_ZONES, full, [group("g", Rule.MUST_ZONE, ["v"], zone="west")]), vm("v"), START)


def test_a_rescue_stays_in_the_zone_where_the_vm_was():
    lost = vm("v", state=VMState.UNKNOWN, host="b")
    assert place(view(TWO_ZONES, [lost], primary=("east",)), lost, RESCUE).host == "a"
    gone = vm("v", state=VMState.UNKNOWN, host="nobody knows")
    assert place(view(TWO_ZONES, [gone], primary=("east",)), gone, RESCUE).host == "y"


# Pins


def pinned(name: str, vcpus: int = 4, **facts):
    return vm(name, vcpus=vcpus, pinned=True, **facts)


@pytest.mark.parametrize("purpose", [START, LIVE])
def test_what_a_user_asks_for_is_pinned_or_refused(purpose):
    hosts = [host("a"), host("b", exclusive_cpus=4)]
    assert place(view(hosts), pinned("v"), purpose).host == "b"
    taken = view(hosts, [on("x", "b", vcpus=1, pinned=True)])
    with pytest.raises(NoFit) as refusal:
        place(taken, pinned("v"), purpose)
    assert refusal.value.rejected == {"CpuPinningFilter": 2}


def test_a_rescue_prefers_to_stay_pinned_and_does_without_if_it_must():
    hosts = [host("a"), host("b", exclusive_cpus=8)]
    lost = [pinned(f"v{n}", state=VMState.UNKNOWN, host="dead") for n in (1, 2, 3)]
    seen = view(hosts, lost)
    assert (place(seen, lost[0], RESCUE).host, place(seen, lost[0], RESCUE).unpinned) == ("b", False)
    answer = place_batch(seen, lost, RESCUE, by_priority=True)
    assert [(choice.host, choice.unpinned) for choice in answer.placed.values()] == [
        ("b", False),
        ("b", False),
        ("a", True),
    ]


def test_one_that_does_without_holds_no_cpus_and_is_pinned_again_when_it_is_moved():
    hosts = [host("a", exclusive_cpus=4), host("b", exclusive_cpus=4)]
    without = on("x", "a", vcpus=4, pinned=True, unpinned=True)
    assert place(view(hosts, [without]), pinned("v"), START).host == "b"
    moving = on("x", "a", vcpus=4, pinned=True, unpinned=True, reserved="b")
    assert place(view(hosts, [moving]), pinned("v"), START).host == "a"


@pytest.mark.parametrize("state", [VMState.STOPPED, VMState.CREATING])
def test_one_that_is_off_holds_no_cpus(state):
    seen = view([host("a", exclusive_cpus=4)], [pinned("x", state=state, host="a")])
    assert place(seen, pinned("v"), START).host == "a"


# Limits


def test_a_host_has_room_for_so_many_nics_and_volumes():
    hosts = [host("a", networks=("n",), nics_max=2), host("b", networks=("n",), volumes_max=2)]
    vms = [on("x", "a", networks=("n",)), on("y", "b", networks=("n",), volumes=("d",), cdrom="iso")]
    seen = view(hosts, vms)
    assert place(seen, vm("v", networks=("n",), volumes=("e",)), START).host == "a"
    with pytest.raises(NoFit) as refusal:
        place(seen, vm("v", networks=("n", "n"), volumes=("e",)), START)
    assert refusal.value.rejected == {"NicCapacityFilter": 1, "StorageCapacityFilter": 1}


def test_a_limit_can_be_lifted_and_goes_with_its_host():
    seen = view([host("a", networks=("n",), nics_max=1)])
    wish = vm("v", networks=("n", "n"))
    with pytest.raises(NoFit):
        place(seen, wish, START)
    seen.put_host(host("a", networks=("n",)))
    assert place(seen, wish, START).host == "a"
    assert not seen.limits("nics")
    seen.put_host(host("b", networks=("n",), nics_max=1))
    seen.drop_host("b")
    assert not seen.limits("nics")


def test_every_preference_has_a_phrase_for_people():
    assert all(each.phrase and each.name.endswith("Filter") for each in PREFERENCES)
