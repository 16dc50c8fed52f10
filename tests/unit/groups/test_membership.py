"""A VM is in its placement groups from its creation to its deletion, and an earlier VM of its name leaves it nothing."""

from typing import Any

import pytest

from ave.errors import Refused
from ave.jobs.verb import Found
from ave.model.cluster import Role
from ave.model.group import Group, Rule
from ave.model.host import Host
from ave.model.vm import VM, VMState
from ave.operations import (
    CreateVMs,
    DescribedGroup,
    DescribeGroups,
    EditVM,
    EditVMs,
    MigrateVMs,
    NameGroups,
    NameVMs,
    NewVM,
    StartVMs,
)
from ave.ports.store import Change, Check, Replace, Watch
from ave.scheduler.mirror import Mirror
from ave.scheduler.role import SCHEDULER
from ave.vms import create
from tests.unit.hosts.lab import whys
from tests.unit.vms.world import Cloud


def new(*names: str, groups: tuple[str, ...] = (), **more: Any) -> CreateVMs:
    return CreateVMs(
        vms=tuple(
            NewVM(id=name, vcpus=1, memory_mib=1024, disks_gib=(1,), networks=("vm",), groups=groups, **more)
            for name in names
        )
    )


def lay_down(cloud: Cloud, id: str, rule: Rule, *vms: str, **more: Any) -> None:
    wish = DescribedGroup(id=id, rule=rule, vms=vms, **more)
    assert cloud.do("group.create", DescribeGroups(groups=(wish,))).state == "done"


def members(cloud: Cloud, group: str) -> tuple[str, ...]:
    found: Group = cloud.doc(Group, group)
    return found.vms


def test_vms_that_are_created_in_a_group_are_placed_by_its_rule() -> None:
    with Cloud() as cloud:
        lay_down(cloud, "tie", Rule.MUST_SAME_HOST)
        lay_down(cloud, "apart", Rule.MUST_DIFFERENT_HOSTS)
        assert cloud.do("vm.create", new("a-1", "a-2", "a-3", groups=("tie",))).state == "done"
        assert cloud.do("vm.create", new("b-1", "b-2", "b-3", groups=("apart",))).state == "done"
        assert members(cloud, "tie") == ("a-1", "a-2", "a-3")
        assert len({cloud.vm(f"a-{n}").host for n in (1, 2, 3)}) == 1
        assert len({cloud.vm(f"b-{n}").host for n in (1, 2, 3)}) == 3
        cloud.sound()


def test_a_group_of_which_the_scheduler_has_not_heard_yet_binds_its_vms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task to place them may come sooner than the news that they have come into the group."""

    async def hard_of_hearing(mirror: Mirror, watch: Watch) -> None:
        while True:
            for kind, id, doc in (await watch.next()).changes:
                if kind != "group":
                    mirror._apply[kind](id, doc)

    monkeypatch.setattr(Mirror, "follow", hard_of_hearing)
    with Cloud() as cloud:
        lay_down(cloud, "apart", Rule.MUST_DIFFERENT_HOSTS)
        for n in (1, 2, 3):
            assert cloud.do("vm.create", new(f"b-{n}", groups=("apart",))).state == "done"
        assert cloud.do("vm.migrate", MigrateVMs(vms=("b-1",), host=cloud.vm("b-2").host)).state == "failed"
        cloud.sound()


def test_a_vm_for_an_unknown_group_is_refused_and_leaves_the_known_ones_as_they_were() -> None:
    with Cloud() as cloud:
        lay_down(cloud, "tie", Rule.MUST_SAME_HOST, "web-1")
        job = cloud.do("vm.create", new("a-1", groups=("tie", "ghost")))
        assert whys(job) == {"a-1": "a-1 cannot be in placement group ghost: there is none"}
        assert members(cloud, "tie") == ("web-1",)
        assert cloud.doc(VM, "a-1") is None


def test_a_vm_that_its_groups_leave_no_host_is_not_created() -> None:
    with Cloud() as cloud:
        lay_down(cloud, "apart", Rule.MUST_DIFFERENT_HOSTS, "web-1", "web-2", "web-3")
        job = cloud.do("vm.create", new("a-1", groups=("apart",)))
        assert "for these 4 there are only 3 hosts" in whys(job)["a-1"]
        assert cloud.doc(VM, "a-1") is None
        assert cloud.do("vm.create", new("a-1")).state == "done"
        cloud.sound()


@pytest.mark.parametrize(("groups", "why"), [(("g", "g"), r"groups\[1\]: g is named twice"), (("",), "it is empty")])
def test_groups_are_named_once(groups: tuple[str, ...], why: str) -> None:
    with pytest.raises(Refused, match=why):
        create.split(new("a", groups=groups), Found({(VM, "a"): None}))


def test_a_deleted_vm_is_in_no_group_and_one_of_its_name_does_not_join_them_again() -> None:
    with Cloud() as cloud:
        lay_down(cloud, "tie", Rule.MUST_SAME_HOST, "web-1", "low-1")
        lay_down(cloud, "soft", Rule.PREFER_DIFFERENT_HOSTS, "web-1", "web-2", enabled=False)
        assert cloud.do("vm.delete", NameVMs(vms=("web-1",))).state == "done"
        assert (members(cloud, "tie"), members(cloud, "soft")) == (("low-1",), ("web-2",))
        cloud.commit(Change(Group, "tie", {}, {"vms": ("low-1", "web-1")}))  # as one that got past all this would be
        assert cloud.do("vm.create", new("web-1", groups=("soft",))).state == "done"
        assert (members(cloud, "tie"), members(cloud, "soft")) == (("low-1",), ("web-2", "web-1"))
        cloud.sound()


def test_a_vm_that_could_not_be_made_leaves_its_groups() -> None:
    with Cloud() as cloud:
        cloud.do("vm.create", CreateVMs(vms=new("a-1").vms, start=False))
        cloud.do("vm.edit", EditVMs(vms=(EditVM(id="a-1", detach=("a-1-disk-1",)),)))
        cloud.do("vm.delete", NameVMs(vms=("a-1",)))  # its disk stays, and with it the name
        lay_down(cloud, "tie", Rule.MUST_SAME_HOST, "web-1")
        assert cloud.do("vm.create", new("a-1", groups=("tie",))).state == "failed"
        assert members(cloud, "tie") == ("web-1",)
        assert cloud.doc(VM, "a-1") is None


def test_a_creation_in_a_group_and_changes_of_the_group_at_once_lose_neither() -> None:
    with Cloud() as cloud:
        lay_down(cloud, "near", Rule.PREFER_SAME_HOST)
        jobs = [cloud.submit("vm.create", new(f"a-{n}", groups=("near",)), door=f"host-{n}") for n in (1, 2, 3)]
        jobs += [cloud.submit("group.disable", NameGroups(groups=("near",)))]
        jobs += [cloud.submit("vm.create", new(f"b-{n}", groups=("near",)), door=f"host-{n}") for n in (1, 2, 3)]
        assert {cloud.finish(job).state for job in jobs} == {"done"}
        assert sorted(members(cloud, "near")) == ["a-1", "a-2", "a-3", "b-1", "b-2", "b-3"]
        assert not cloud.doc(Group, "near").enabled
        gone = [cloud.submit("vm.delete", NameVMs(vms=(f"a-{n}",)), door=f"host-{n}") for n in (1, 2, 3)]
        gone += [cloud.submit("group.enable", NameGroups(groups=("near",)))]
        assert {cloud.finish(job).state for job in gone} == {"done"}
        assert sorted(members(cloud, "near")) == ["b-1", "b-2", "b-3"]
        cloud.sound()


def test_a_group_that_is_deleted_while_vms_are_created_in_it_either_had_them_or_refuses_them() -> None:
    for wait in (0.0, 0.02, 0.05, 0.1):
        with Cloud() as cloud:
            lay_down(cloud, "near", Rule.MUST_SAME_HOST)
            made = cloud.submit("vm.create", new("a-1", groups=("near",)))
            cloud.advance(wait)
            gone = cloud.submit("group.delete", NameGroups(groups=("near",)), door="host-2")
            assert cloud.finish(gone).state == "done"
            job = cloud.finish(made)
            assert (job.state == "done") is (cloud.doc(VM, "a-1") is not None)
            assert cloud.all(Group) == []
            cloud.settle()


# Pins


def declare(cloud: Cloud, *hosts: str, cpus: int = 4) -> None:
    """What these machines say they are made of from the next report on."""
    for name in hosts:
        machine = cloud.machines[name]
        machine.facts = type(machine.facts)(
            **{field: getattr(machine.facts, field) for field in machine.facts.__struct_fields__}
            | {"exclusive_cpus": cpus, "nics_max": 32, "volumes_max": 64}
        )
    cloud.advance(320.0)


def test_a_host_declares_what_pinned_vms_may_have_and_they_go_there() -> None:
    with Cloud() as cloud:
        assert whys(cloud.do("vm.create", new("p-1", pinned=True)))["p-1"] == (
            "none of 3 hosts fits p-1: 3 by CpuPinningFilter. Cheapest change: let p-1 do without pinned CPUs"
        )
        declare(cloud, "host-2", "host-3")
        host = cloud.host("host-2")
        assert (host.exclusive_cpus, host.nics_max, host.volumes_max) == (4, 32, 64)
        assert cloud.do("vm.start", StartVMs(vms=("p-1",))).state == "done"
        assert cloud.vm("p-1").host in ("host-2", "host-3")
        cloud.sound()


def test_a_vm_is_pinned_or_not_while_it_is_stopped() -> None:
    with Cloud() as cloud:
        pin = EditVMs(vms=(EditVM(id="low-1", pinned=True),))
        assert "it can be pinned or unpinned while it is stopped" in whys(cloud.do("vm.edit", pin))["low-1"]
        cloud.do("vm.poweroff", NameVMs(vms=("low-1",)))
        assert cloud.do("vm.edit", pin).state == "done"
        assert cloud.vm("low-1").pinned


def test_a_vm_that_had_to_do_without_its_pins_has_them_again_where_it_is_migrated() -> None:
    with Cloud() as cloud:
        declare(cloud, "host-1", "host-2", "host-3")
        vm = cloud.vm("web-1")
        cloud.commit(Change(VM, vm.id, {"version": vm.version}, {"pinned": True, "unpinned": True}))
        assert cloud.do("vm.migrate", MigrateVMs(vms=("web-1",))).state == "done"
        moved = cloud.vm("web-1")
        assert (moved.pinned, moved.unpinned) == (True, False)
        cloud.sound()


# Room that nobody's Job holds


@pytest.mark.parametrize("state", [VMState.STOPPED, VMState.RUNNING])
def test_room_that_nobodys_job_holds_is_given_back_within_a_synchronisation(state: VMState) -> None:
    with Cloud() as cloud:
        if state is VMState.STOPPED:
            cloud.do("vm.poweroff", NameVMs(vms=("low-1",)))
        vm = cloud.vm("low-1")
        other = next(host for host in cloud.machines if host != vm.host)
        held = [
            Check(type, id, {"version": cloud.doc(type, id).version}) for type, id in ((Host, other), (Role, SCHEDULER))
        ]
        cloud.commit(Change(VM, vm.id, {"version": vm.version}, {"reserved": other, "reserved_under": 1}), *held)
        cloud.until(lambda: not cloud.vm("low-1").reserved, 45.0)
        assert cloud.vm("low-1").state is state
        cloud.sound()


def test_room_that_a_job_holds_is_left_to_it() -> None:
    with Cloud() as cloud:
        for _ in range(4):
            assert cloud.do("vm.migrate", MigrateVMs(vms=("web-1", "web-2", "web-3"))).state == "done"
        assert cloud.told("room given back") == []


def test_what_is_written_to_a_group_is_conditional_on_the_one_that_was_read() -> None:
    group = Group(id="g", version=7, rule=Rule.PREFER_SAME_HOST, vms=("x",))
    split = create.split(new("a", groups=("g",)), Found({(VM, "a"): None, (Group, "g"): group}))
    (write,) = [write for write in split.writes if isinstance(write, Replace)]
    assert (write.doc.version, write.doc.vms) == (7, ("x", "a"))
