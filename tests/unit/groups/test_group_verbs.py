"""The verbs of placement groups in a simulated cluster of three hosts, on each of which VMs run."""

from typing import Any

import msgspec
import pytest

from ave.errors import Refused
from ave.groups.describe import CREATE
from ave.groups.switch import DELETE
from ave.jobs.verb import Found
from ave.model.group import Group, GroupState, Rule
from ave.model.host import Zone
from ave.model.work import Result
from ave.operations import DescribedGroup, DescribeGroups, MigrateVMs, NameGroups, NameVMs, StartVMs
from ave.verbs import VERBS
from tests.unit.hosts.lab import whys
from tests.unit.vms.world import Cloud


def group(id: str, rule: Rule, *vms: str, **more: Any) -> DescribedGroup:
    return DescribedGroup(id=id, rule=rule, vms=vms, **more)


def described(*groups: DescribedGroup) -> DescribeGroups:
    return DescribeGroups(groups=groups)


def names(*groups: str) -> NameGroups:
    return NameGroups(groups=groups)


APART = group("apart", Rule.MUST_DIFFERENT_HOSTS, "web-1", "web-2")
TIE = group("tie", Rule.MUST_SAME_HOST, "web-1", "web-2")


def by_id(cloud: Cloud) -> dict[str, Group]:
    return {one.id: one for one in cloud.all(Group)}


def test_a_group_lives_from_its_creation_to_its_deletion_and_is_found_by_the_scheduler() -> None:
    with Cloud() as cloud:
        done = cloud.do(
            "group.create", described(APART, group("soft", Rule.PREFER_HOSTS, hosts=("host-1",), enabled=False))
        )
        assert (done.state, sorted(done.results)) == ("done", ["apart", "soft"])
        known = by_id(cloud)
        assert known["apart"].vms == ("web-1", "web-2")
        assert known["apart"].enabled
        assert known["soft"].hosts == ("host-1",)
        assert not known["soft"].enabled
        wider = msgspec.structs.replace(APART, vms=("web-1", "web-2", "web-3"))
        assert cloud.do("group.edit", described(wider)).state == "done"
        assert by_id(cloud)["apart"].vms == ("web-1", "web-2", "web-3")
        assert cloud.do("group.disable", names("apart")).state == "done"
        assert by_id(cloud)["apart"].state is GroupState.DISABLED
        assert cloud.do("group.disable", names("apart")).state == "done"  # it is so already
        assert cloud.do("group.enable", names("apart", "soft")).state == "done"
        assert all(one.enabled for one in by_id(cloud).values())
        assert cloud.do("group.delete", names("apart", "soft")).state == "done"
        assert by_id(cloud) == {}
        cloud.sound()


def test_what_there_is_not_or_is_already_is_refused_by_name_and_changes_nothing() -> None:
    with Cloud() as cloud:
        cloud.put(Zone(id="east"))
        cloud.do("group.create", described(APART))
        before = by_id(cloud)
        asked = (
            ("group.create", described(APART), "apart", "there already is a placement group apart"),
            ("group.edit", described(TIE), "tie", "there is no placement group tie"),
            ("group.enable", names("tie"), "tie", "there is no placement group tie"),
            ("group.delete", names("tie"), "tie", "there is no placement group tie"),
            ("group.repair", names("tie"), "tie", "there is no placement group tie"),
            ("group.create", described(group("a", Rule.MUST_SAME_HOST, "web-1", "ghost")), "a", "there is no VM ghost"),
            ("group.create", described(group("a", Rule.MUST_HOSTS, hosts=("host-1", "host-9"))), "a", "no host host-9"),
            ("group.create", described(group("a", Rule.MUST_ZONE, zone="west")), "a", "there is no zone west"),
        )
        for operation, request, name, why in asked:
            job = cloud.do(operation, request)
            assert job.state == "failed"
            assert why in whys(job)[name], (operation, job.results)
        assert by_id(cloud) == before
        assert (
            cloud.do("group.create", described(group("a", Rule.MUST_ZONE, zone="east", enabled=False))).state == "done"
        )


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (group("", Rule.MUST_SAME_HOST), "placement group name ''"),
        (group("a/b", Rule.MUST_SAME_HOST), "placement group name"),
        (group("x" * 129, Rule.MUST_SAME_HOST), "placement group name"),
        (group("g", Rule.MUST_SAME_HOST, "a", ""), r"group g: vms\[1\] is empty"),
        (group("g", Rule.MUST_SAME_HOST, "a", "b", "a"), r"group g: vms\[2\]: a is named twice"),
        (group("g", Rule.MUST_HOSTS, hosts=("h", "h")), r"group g: hosts\[1\]: h is named twice"),
        (group("g", Rule.MUST_HOSTS, hosts=("h",), zone="z"), "never both"),
        (group("g", Rule.MUST_NOT_HOSTS), "group g: hosts: must-not-hosts needs at least one"),
        (group("g", Rule.PREFER_ZONE), "group g: zone: prefer-zone needs one"),
        (group("g", Rule.MUST_ZONE, hosts=("h",)), "group g: zone: must-zone needs one"),
        (group("g", Rule.MUST_SAME_HOST, hosts=("h",)), "group g: hosts: must-same-host names none"),
        (group("g", Rule.MUST_HOSTS, zone="z"), "group g: hosts: must-hosts needs at least one"),
        (group("g", Rule.PREFER_DIFFERENT_HOSTS, zone="z"), "group g: zone: prefer-different-hosts names none"),
    ],
)
@pytest.mark.parametrize("operation", ["group.create", "group.edit"])
def test_what_no_group_may_be_is_refused_whatever_there_is(operation: str, wrong: DescribedGroup, why: str) -> None:
    with pytest.raises(Refused, match=why):
        VERBS[operation].split(described(wrong), Found({(Group, wrong.id): None}))


def test_a_group_whose_lock_is_held_is_left_out() -> None:
    assert CREATE.split(described(APART), Found({})).steps == {}
    assert DELETE.split(names("apart"), Found({})).results == {}


def test_what_can_never_be_kept_is_refused_with_the_groups_and_vms_that_contradict_each_other() -> None:
    with Cloud() as cloud:
        assert cloud.do("group.create", described(APART)).state == "done"
        refused = cloud.do("group.create", described(TIE))
        assert refused.state == "failed"
        assert "web-1 and web-2 must be on one host (tie), and must not (apart)" in whys(refused)["tie"]
        off = msgspec.structs.replace(TIE, enabled=False)
        assert cloud.do("group.create", described(off)).state == "done"
        assert "must not (apart)" in whys(cloud.do("group.enable", names("tie")))["tie"]
        assert "must not (apart)" in whys(cloud.do("group.edit", described(TIE)))["tie"]
        assert not by_id(cloud)["tie"].enabled
        cloud.do("group.disable", names("apart"))
        assert cloud.do("group.enable", names("tie")).state == "done"
        cloud.settle()


def test_vms_that_outnumber_the_hosts_they_may_be_on_cannot_all_be_apart() -> None:
    with Cloud() as cloud:
        many = group("many", Rule.MUST_DIFFERENT_HOSTS, *cloud.all_ids())
        why = whys(cloud.do("group.create", described(many)))["many"]
        assert "low-1, web-1, web-2, web-3 must be each on a host of its own (many)" in why
        assert "for these 4 there are only 3 hosts, host-1, host-2, host-3" in why


def test_of_two_groups_of_one_request_that_contradict_each_other_one_is_refused() -> None:
    with Cloud() as cloud:
        job = cloud.do("group.create", described(APART, TIE))
        assert job.state == "failed"
        assert len(by_id(cloud)) == 1 == len(whys(job))


def test_an_old_contradiction_is_no_reason_to_refuse_another_group() -> None:
    with Cloud() as cloud:
        groups = [msgspec.structs.replace(one, enabled=True) for one in (APART, TIE)]
        cloud.put(
            *(
                Group(id=one.id, state=GroupState.ENABLED, rule=one.rule, vms=one.vms, said_by="somebody")
                for one in groups
            )
        )
        cloud.advance(5.0)
        other = group("other", Rule.MUST_NOT_HOSTS, "low-1", hosts=("host-1",))
        assert cloud.do("group.create", described(other)).state == "done"


def test_what_a_change_leaves_broken_is_said_in_its_result_and_in_the_log() -> None:
    with Cloud() as cloud:
        here = cloud.vm("web-1").host
        done = cloud.do("group.create", described(group("away", Rule.MUST_NOT_HOSTS, "web-1", "web-2", hosts=(here,))))
        assert done.state == "done"
        assert done.results["away"].ok
        assert f"web-1 must be not on {here}, and is on {here}" in done.results["away"].why
        assert cloud.told("group violated")[0]["group"] == "away"
        fine = cloud.do("group.create", described(group("fine", Rule.PREFER_NOT_HOSTS, "web-1", hosts=(here,))))
        assert fine.results["fine"] == Result(True)


def test_two_jobs_that_edit_groups_at_once_are_decided_one_after_the_other() -> None:
    with Cloud() as cloud:
        first = cloud.submit("group.create", described(APART), door="host-1")
        second = cloud.submit("group.create", described(TIE), door="host-2")
        third = cloud.submit("group.create", described(msgspec.structs.replace(APART, vms=("web-3",))), door="host-3")
        states = sorted(cloud.finish(job).state for job in (first, second, third))
        assert states == ["done", "failed", "failed"]
        assert len(by_id(cloud)) == 1
        edits = [
            cloud.submit(
                "group.edit", described(group(id, Rule.MUST_DIFFERENT_HOSTS, f"web-{n}", "low-1")), door=f"host-{n}"
            )
            for n in (1, 2, 3)
            for id in by_id(cloud)
        ]
        assert {cloud.finish(job).state for job in edits} == {"done"}
        cloud.settle()


def test_the_rule_binds_the_next_placement() -> None:
    with Cloud(web=3, low=0) as cloud:
        cloud.do("group.create", described(group("on", Rule.MUST_HOSTS, "web-1", hosts=("host-3",))))
        cloud.do("vm.poweroff", NameVMs(vms=("web-1",)))
        assert cloud.do("vm.start", StartVMs(vms=("web-1",))).state == "done"
        assert cloud.vm("web-1").host == "host-3"
        assert "PlacementGroupMustFilter" in str(whys(cloud.do("vm.migrate", MigrateVMs(vms=("web-1",)))))
        cloud.sound()
