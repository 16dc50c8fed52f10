"""Repair: VMs that are where a must rule does not let them be are migrated until it is kept, or what is left is said."""

from typing import Any

from ave.model.group import Group, Rule
from ave.model.vm import VMState
from ave.operations import DescribedGroup, DescribeGroups, MigrateVMs, NameGroups, NameVMs
from ave.placement.repair import Move, repair
from drivers.sim.facts import Started
from tests.unit.hosts.lab import whys
from tests.unit.placement.clusters import group as rule_of
from tests.unit.placement.clusters import host, view, vm
from tests.unit.vms.world import Cloud

R = VMState.RUNNING


def lay_down(cloud: Cloud, id: str, rule: Rule, *vms: str, **more: Any) -> None:
    wish = DescribedGroup(id=id, rule=rule, vms=vms, **more)
    assert cloud.do("group.create", DescribeGroups(groups=(wish,))).state == "done"


def repaired(cloud: Cloud, *groups: str) -> Any:
    return cloud.do("group.repair", NameGroups(groups=groups))


def gather(cloud: Cloud, host: str, *vms: str) -> None:
    for name in vms:
        if cloud.vm(name).host != host:
            assert cloud.do("vm.migrate", MigrateVMs(vms=(name,), host=host)).state == "done"


def where(cloud: Cloud, *vms: str) -> list[str]:
    return [cloud.vm(name).host for name in vms]


# Planning


def test_of_vms_that_must_be_apart_one_stays_and_the_others_go_where_nobody_is() -> None:
    vms = {f"v{n}": vm(f"v{n}", state=R, host="a") for n in (1, 2, 3)}
    rules = [rule_of("apart", Rule.MUST_DIFFERENT_HOSTS, vms)]
    seen = view([host(name) for name in "abc"], vms.values(), rules)
    plan = repair(seen, vms, ["apart"])
    assert not plan.stuck
    assert len(plan.moves) == 2
    assert sorted(move.host for move in plan.moves) == ["b", "c"]


def test_who_may_be_nowhere_else_stays_and_the_other_goes() -> None:
    vms = {name: vm(name, size, state=R, host="a") for name, size in (("big", 16), ("bound", 1))}
    rules = [
        rule_of("apart", Rule.MUST_DIFFERENT_HOSTS, vms),
        rule_of("bound", Rule.MUST_HOSTS, ("bound",), hosts=("a",)),
    ]
    plan = repair(view([host("a"), host("b")], vms.values(), rules), vms, ["apart"])
    assert plan.moves == (Move(("big",), "b"),)


def test_vms_that_must_be_together_meet_where_most_of_them_are_and_go_in_one_piece() -> None:
    vms = {name: vm(name, state=R, host=at) for name, at in (("p", "a"), ("q", "b"), ("r", "c"), ("s", "b"))}
    rules = [rule_of("tie", Rule.MUST_SAME_HOST, vms)]
    plan = repair(view([host(name) for name in "abc"], vms.values(), rules), vms, ["tie"])
    assert plan.moves == (Move(("p", "r"), "b"),)


def test_what_is_tied_to_a_vm_that_must_move_moves_with_it() -> None:
    vms = {name: vm(name, state=R, host="a") for name in ("p", "q")}
    rules = [
        rule_of("tie", Rule.MUST_SAME_HOST, vms),
        rule_of("away", Rule.MUST_NOT_HOSTS, ("q",), hosts=("a",)),
    ]
    plan = repair(view([host("a"), host("b")], vms.values(), rules), vms, ["away"])
    assert plan.moves == (Move(("p", "q"), "b"),)


def test_a_suspended_vm_stays_and_the_others_come_to_it_or_go_away_from_it() -> None:
    for rule in (Rule.MUST_SAME_HOST, Rule.MUST_DIFFERENT_HOSTS):
        at = "a" if rule is Rule.MUST_DIFFERENT_HOSTS else "b"
        vms = {"p": vm("p", 8, state=R, host=at), "q": vm("q", state=VMState.SUSPENDED, host="a")}
        seen = view([host("a"), host("b")], vms.values(), [rule_of("g", rule, vms)])
        plan = repair(seen, vms, ["g"])
        assert plan.moves == (Move(("p",), "a" if at == "b" else "b"),)


def test_what_cannot_be_kept_for_want_of_room_is_named_and_the_rest_is_done() -> None:
    vms = {name: vm(name, 40, state=R, host="a") for name in ("p", "q")}
    vms["r"] = vm("r", 40, state=R, host="b")
    vms["s"] = vm("s", 1, state=R, host="a")
    rules = [
        rule_of("apart", Rule.MUST_DIFFERENT_HOSTS, ("p", "q")),
        rule_of("away", Rule.MUST_NOT_HOSTS, ("s",), hosts=("a",)),
    ]
    plan = repair(view([host("a", 100), host("b", 64)], vms.values(), rules), vms, ["apart", "away"])
    assert len(plan.stuck) == 1
    assert "HostAvailableMemoryFilter" in next(iter(plan.stuck.values()))
    assert plan.moves == (Move(("s",), "b"),)


def test_groups_that_are_not_named_are_kept_but_not_repaired() -> None:
    vms = {name: vm(name, state=R, host="a") for name in ("p", "q", "r")}
    rules = [
        rule_of("apart", Rule.MUST_DIFFERENT_HOSTS, ("p", "q")),
        rule_of("away", Rule.MUST_NOT_HOSTS, ("r",), hosts=("a",)),
    ]
    plan = repair(view([host("a"), host("b")], vms.values(), rules), vms, ["apart"])
    assert [len(move.vms) for move in plan.moves] == [1]
    assert plan.moves[0].vms != ("r",)


def test_a_vm_that_is_where_it_may_be_makes_way_for_one_that_can_go_nowhere_else() -> None:
    vms = {name: vm(name, state=R, host=at) for name, at in (("p", "a"), ("q", "a"), ("s", "b"))}
    rules = [
        rule_of("apart", Rule.MUST_DIFFERENT_HOSTS, vms),
        rule_of("p-on", Rule.MUST_HOSTS, ("p",), hosts=("a",)),
        rule_of("q-on", Rule.MUST_HOSTS, ("q",), hosts=("a", "b")),
    ]
    plan = repair(view([host(name) for name in "abc"], vms.values(), rules), vms, ["apart"])
    assert sorted(plan.moves) == [Move(("q",), "b"), Move(("s",), "c")]


# In a cluster


def test_vms_are_taken_apart_without_stopping_them() -> None:
    with Cloud(web=3, low=0) as cloud:
        gather(cloud, "host-1", "web-1", "web-2", "web-3")
        lay_down(cloud, "apart", Rule.MUST_DIFFERENT_HOSTS, "web-1", "web-2", "web-3")
        job = repaired(cloud, "apart")
        assert job.state == "done"
        assert job.results["apart"].ok
        assert sorted(where(cloud, "web-1", "web-2", "web-3")) == ["host-1", "host-2", "host-3"]
        assert all(fact.incoming for name in cloud.all_ids() for fact in cloud.told_of(name, Started)[1:])
        cloud.sound()


def test_vms_are_brought_together_and_away_from_a_host() -> None:
    with Cloud(web=3, low=1) as cloud:
        low = cloud.vm("low-1").host
        lay_down(cloud, "tie", Rule.MUST_SAME_HOST, "web-1", "web-2", "web-3")
        lay_down(cloud, "away", Rule.MUST_NOT_HOSTS, "low-1", hosts=(low,))
        job = repaired(cloud, "tie", "away")
        assert (job.state, sorted(job.results)) == ("done", ["away", "tie"])
        assert len(set(where(cloud, "web-1", "web-2", "web-3"))) == 1
        assert cloud.vm("low-1").host != low
        cloud.sound()


def test_who_must_make_way_goes_first() -> None:
    with Cloud(web=3, low=0) as cloud:
        gather(cloud, "host-1", "web-1", "web-2")
        gather(cloud, "host-2", "web-3")
        lay_down(cloud, "one", Rule.MUST_HOSTS, "web-1", hosts=("host-1",))
        lay_down(cloud, "two", Rule.MUST_HOSTS, "web-2", hosts=("host-1", "host-2"))
        lay_down(cloud, "apart", Rule.MUST_DIFFERENT_HOSTS, "web-1", "web-2", "web-3")
        assert repaired(cloud, "apart").state == "done"
        assert where(cloud, "web-1", "web-2", "web-3") == ["host-1", "host-2", "host-3"]
        cloud.sound()


def test_nothing_moves_when_nothing_is_broken() -> None:
    with Cloud() as cloud:
        lay_down(cloud, "on", Rule.MUST_HOSTS, "web-1", hosts=("host-1", "host-2", "host-3"))
        assert repaired(cloud, "on").state == "done"
        assert cloud.jobs("vm.migrate") == []


def test_what_is_left_and_why_is_said_group_by_group() -> None:
    with Cloud(web=3, low=1) as cloud:
        gather(cloud, "host-1", "web-1", "low-1")
        assert cloud.do("vm.suspend", NameVMs(vms=("web-1",))).state == "done"
        lay_down(cloud, "away", Rule.MUST_NOT_HOSTS, "web-1", hosts=("host-1",))
        lay_down(cloud, "too", Rule.MUST_NOT_HOSTS, "low-1", hosts=("host-1",))
        job = repaired(cloud, "away", "too")
        assert job.state == "failed"
        assert "web-1 must be not on host-1, and is on host-1; web-1 is suspended and cannot move" in whys(job)["away"]
        assert job.results["too"].ok
        assert cloud.vm("low-1").host != "host-1"
        cloud.sound()


def test_a_group_that_binds_nobody_is_not_repaired() -> None:
    with Cloud() as cloud:
        lay_down(cloud, "off", Rule.MUST_NOT_HOSTS, "web-1", hosts=(cloud.vm("web-1").host,), enabled=False)
        assert whys(repaired(cloud, "off"))["off"] == "group off is disabled: enable it first"


def test_a_repair_that_is_cancelled_leaves_the_vms_whole() -> None:
    with Cloud(web=3, low=0) as cloud:
        gather(cloud, "host-1", "web-1", "web-2", "web-3")
        lay_down(cloud, "apart", Rule.MUST_DIFFERENT_HOSTS, "web-1", "web-2", "web-3")
        id = cloud.submit("group.repair", NameGroups(groups=("apart",)))
        cloud.advance(0.7)
        cloud.cancel(id)
        assert cloud.finish(id).state in ("cancelled", "done")
        cloud.advance(60.0)
        cloud.sound()


def test_a_repair_goes_on_when_the_process_that_works_on_it_is_killed() -> None:
    with Cloud(web=3, low=0) as cloud:
        gather(cloud, "host-1", "web-1", "web-2", "web-3")
        lay_down(cloud, "apart", Rule.MUST_DIFFERENT_HOSTS, "web-1", "web-2")
        id = cloud.submit("group.repair", NameGroups(groups=("apart",)))
        cloud.advance(0.5)
        worker = cloud.work(f"{id}/repair").lane
        cloud.machines[worker].kill("node")
        assert cloud.finish(id).state == "done"
        assert len(cloud.all(Group)) == 1
        assert len(set(where(cloud, "web-1", "web-2"))) == 2
        cloud.settle()
