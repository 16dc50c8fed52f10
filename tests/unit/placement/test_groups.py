"""Placement groups, one aspect after the other: a must rule turns hosts away, a prefer rule ranks those that fit."""

import pytest

from ave.errors import NoFit
from ave.model.group import Group, GroupState, Rule, tied
from ave.model.vm import VMState
from ave.placement.batch import place_batch
from ave.placement.place import place
from ave.placement.purpose import Purpose
from tests.unit.placement.clusters import group, host, view, vm

RUNNING, START, LIVE, RESCUE = VMState.RUNNING, Purpose.START, Purpose.LIVE, Purpose.RESCUE
ABC = [host("a"), host("b"), host("c")]
MUST, PRIOR = "PlacementGroupMustFilter", "PlacementGroupPriorFilter"


def on(name: str, where: str, **facts):
    return vm(name, state=RUNNING, host=where, **facts)


# VM and host


def test_a_vm_that_must_be_on_hosts_is_on_one_of_them():
    seen = view(ABC, [on("x", "b", memory_gib=8)], [group("g", Rule.MUST_HOSTS, ["v"], hosts=("b", "c"))])
    choice = place(seen, vm("v"), START)
    assert (choice.host, choice.rejected) == ("c", {MUST: 1})
    assert place(seen, vm("other"), START).host == "a"


def test_a_vm_that_must_not_be_on_a_host_is_not():
    seen = view(ABC, groups=[group("g", Rule.MUST_NOT_HOSTS, ["v"], hosts=("a", "b"))])
    assert place(seen, vm("v"), START).host == "c"


def test_a_preferred_host_is_taken_however_full_and_left_when_it_does_not_fit():
    seen = view(ABC, [on("x", "c", memory_gib=60)], [group("g", Rule.PREFER_HOSTS, ["v"], hosts=("c",))])
    choice = place(seen, vm("v", 4), START)
    assert (choice.host, choice.fitting, choice.passed_over) == ("c", 3, {PRIOR: 2})
    assert place(seen, vm("v", 5), START).host == "a"


def test_a_host_that_is_rather_not_wanted_is_the_last_choice():
    seen = view(ABC, [on("x", "b", memory_gib=60)], [group("g", Rule.PREFER_NOT_HOSTS, ["v"], hosts=("a", "c"))])
    assert place(seen, vm("v"), START).host == "b"
    assert place(seen, vm("v", 8), START).host == "a"


# VM and VM


def test_vms_that_must_share_a_host_follow_the_one_that_is_there():
    seen = view(ABC, [on("mate", "b", memory_gib=50)], [group("g", Rule.MUST_SAME_HOST, ["v", "mate"])])
    assert place(seen, vm("v"), START).host == "b"
    with pytest.raises(NoFit) as refusal:
        place(seen, vm("v", 16), START)
    assert refusal.value.rejected == {MUST: 2, "HostAvailableMemoryFilter": 1}


def test_one_that_is_on_its_way_is_where_it_is_going():
    mate = on("mate", "a", memory_gib=4, reserved="c")
    seen = view(ABC, [mate], [group("g", Rule.MUST_SAME_HOST, ["v", "mate"])])
    assert place(seen, vm("v"), START).host == "c"
    apart = view(ABC, [mate], [group("g", Rule.MUST_DIFFERENT_HOSTS, ["v", "mate"])])
    assert place(apart, vm("v"), START).host == "b"


@pytest.mark.parametrize("state", [VMState.STOPPED, VMState.CREATING, VMState.UNKNOWN])
def test_one_that_runs_nowhere_binds_nobody(state):
    """Of one whose host is judged dead nothing runs any more."""
    seen = view(ABC, [vm("mate", state=state, host="c")], [group("g", Rule.MUST_SAME_HOST, ["v", "mate"])])
    assert place(seen, vm("v"), START).host == "a"
    apart = view(
        [host("c")], [vm("mate", state=state, host="c")], [group("g", Rule.MUST_DIFFERENT_HOSTS, ["v", "mate"])]
    )
    assert place(apart, vm("v"), START).host == "c"


def test_vms_that_must_be_apart_are():
    seen = view(ABC, [on("m1", "a"), on("m2", "b")], [group("g", Rule.MUST_DIFFERENT_HOSTS, ["v", "m1", "m2"])])
    assert place(seen, vm("v"), START).host == "c"
    with pytest.raises(NoFit):
        place(seen, vm("v"), START, exclude=("c",))


def test_vms_that_should_share_a_host_go_where_most_of_them_are():
    vms = [on("m1", "a"), on("m2", "b"), on("m3", "b", memory_gib=40)]
    seen = view(ABC, vms, [group("g", Rule.PREFER_SAME_HOST, ["v", "m1", "m2", "m3"])])
    assert place(seen, vm("v"), START).host == "b"
    assert place(seen, vm("v", 32), START).host == "a", "the next most are there"


def test_vms_that_should_be_apart_are_spread_evenly_when_they_cannot():
    vms = [on("m1", "a", memory_gib=1), on("m2", "a", memory_gib=1), on("m3", "b", memory_gib=32)]
    seen = view(ABC[:2], vms, [group("g", Rule.PREFER_DIFFERENT_HOSTS, ["v", "m1", "m2", "m3"])])
    assert place(seen, vm("v"), START).host == "b"


def test_fewer_broken_rules_come_before_fewer_vms_on_the_wrong_side():
    mates = [on(f"m{n}", "a", memory_gib=1) for n in range(5)]
    rules = [
        group("apart", Rule.PREFER_DIFFERENT_HOSTS, ["v", *(m.id for m in mates)]),
        group("home", Rule.PREFER_HOSTS, ["v"], hosts=("a",)),
        group("never", Rule.PREFER_NOT_HOSTS, ["v"], hosts=("b",)),
    ]
    assert place(view(ABC[:2], mates, rules), vm("v"), START).host == "a", "one rule broken by five against two by one"


def test_a_rule_that_is_not_enabled_binds_nobody():
    off = Group(id="g", state=GroupState.DISABLED, rule=Rule.MUST_HOSTS, vms=("v",), hosts=("c",))
    assert place(view(ABC, groups=[off]), vm("v"), START).host == "a"


def test_a_rule_can_be_changed_and_dropped():
    seen = view(ABC, groups=[group("g", Rule.MUST_HOSTS, ["v"], hosts=("b",))])
    seen.bonds.put(group("g", Rule.MUST_HOSTS, ["w"], hosts=("c",)))
    assert [place(seen, vm(name), START).host for name in ("v", "w")] == ["a", "c"]
    seen.bonds.drop("g")
    assert place(seen, vm("w"), START).host == "a"
    assert seen.bonds.of("w") == ()


def test_all_groups_of_a_vm_bind_it():
    rules = [
        group("here", Rule.MUST_HOSTS, ["v"], hosts=("a", "b")),
        group("not there", Rule.MUST_NOT_HOSTS, ["v"], hosts=("a",)),
        group("apart", Rule.MUST_DIFFERENT_HOSTS, ["v", "mate"]),
    ]
    assert place(view(ABC, [on("mate", "c")], rules), vm("v"), START).host == "b"
    with pytest.raises(NoFit):
        place(view(ABC, [on("mate", "b")], rules), vm("v"), START)


# Batches


def test_vms_of_a_batch_that_must_share_a_host_find_room_for_all_or_for_none():
    rule = group("g", Rule.MUST_SAME_HOST, ["v1", "v2"])
    seen = view([host("a", 10), host("b", 16)], groups=[rule])
    both = place_batch(seen, [vm("v1", 8), vm("v2", 8)], START)
    assert {name: choice.host for name, choice in both.placed.items()} == {"v1": "b", "v2": "b"}
    neither = place_batch(seen, [vm("v1", 9), vm("v2", 8)], START)
    assert list(neither.refused) == ["v1", "v2"]
    assert str(neither.refused["v1"]) == "none of 2 hosts fits v1 + v2: 2 by HostAvailableMemoryFilter"


def test_vms_of_a_batch_that_must_be_apart_are():
    rule = group("g", Rule.MUST_DIFFERENT_HOSTS, ["v1", "v2", "v3", "v4"])
    answer = place_batch(view(ABC, groups=[rule]), [vm(f"v{n}") for n in (1, 2, 3, 4)], START)
    assert sorted(choice.host for choice in answer.placed.values()) == ["a", "b", "c"]
    assert answer.refused["v4"].rejected == {MUST: 3}


def test_one_of_a_batch_makes_way_for_another_that_can_be_nowhere_else():
    rules = [
        group("apart", Rule.MUST_DIFFERENT_HOSTS, ["any", "picky"]),
        group("here", Rule.MUST_HOSTS, ["picky"], hosts=("a",)),
    ]
    answer = place_batch(view(ABC[:2], groups=rules), [vm("any"), vm("picky")], START)
    assert {name: choice.host for name, choice in answer.placed.items()} == {"any": "b", "picky": "a"}
    assert (answer.plan, answer.gained) == ("compact", 1)


def test_vms_that_must_share_a_host_are_moved_and_rescued_together_and_never_alone():
    rule = group("g", Rule.MUST_SAME_HOST, ["v1", "v2"])
    vms = [on("v1", "a"), on("v2", "a")]
    moved = place_batch(view(ABC, vms, [rule]), vms, LIVE, leave=True)
    assert len({choice.host for choice in moved.placed.values()} - {"a"}) == 1
    with pytest.raises(NoFit):
        place(view(ABC, vms, [rule]), vms[0], LIVE, exclude=("a",))
    lost = [vm(name, state=VMState.UNKNOWN, host="dead") for name in ("v1", "v2")]
    rescued = place_batch(view(ABC, lost, [rule]), lost, RESCUE, by_priority=True)
    assert len({choice.host for choice in rescued.placed.values()}) == 1


def test_vms_that_must_share_a_host_and_must_not_are_refused():
    rules = [group("same", Rule.MUST_SAME_HOST, ["v1", "v2"]), group("apart", Rule.MUST_DIFFERENT_HOSTS, ["v1", "v2"])]
    answer = place_batch(view(ABC, groups=rules), [vm("v1"), vm("v2")], START)
    assert answer.placed == {}
    assert answer.refused["v1"].rejected == {MUST: 3}


def test_ties_reach_over_groups_and_only_enabled_must_rules_tie():
    rules = [
        group("one", Rule.MUST_SAME_HOST, ["a", "b"]),
        group("two", Rule.MUST_SAME_HOST, ["c", "b"]),
        group("soft", Rule.PREFER_SAME_HOST, ["c", "d"]),
        Group(id="off", rule=Rule.MUST_SAME_HOST, vms=("d", "e")),
    ]
    assert tied(rules, ["e", "c", "d", "a", "b"]) == [("e",), ("c", "a", "b"), ("d",)]
    assert tied(rules, ["a", "c"]) == [("a",), ("c",)], "b, which ties them, is not among them"
