"""A snapshot file: what may be in it, and how its mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from msgspec.structs import replace

from ave.model.group import Group, GroupState, Rule
from ave.model.host import Host, HostState, Zone
from ave.model.vm import VM, VMState
from ave.placement.snapshot import SCHEMA, BadSnapshot, Snapshot, mib, read, written
from docs.write_schema import COMMAND, FILE, schema
from tests.unit.placement.clusters import clusters, columns, tenants, view

HEAD = {"apiVersion": "ave/v1", "kind": "Snapshot"}
A, B = {"id": "a", "cpus": 4, "memory": "8GiB"}, {"id": "b", "cpus": 4, "memory": 8192, "zone": "east"}
WEB = {"id": "web", "vcpus": 1, "memory": "1GiB"}


def mistakes(**lists) -> list[str]:
    with pytest.raises(BadSnapshot) as caught:
        read(HEAD | lists)
    return str(caught.value).splitlines()


def group(**facts) -> dict:
    return {"id": "g", "rule": "must-different-hosts", "vms": ["web"]} | facts


def test_what_is_not_written_is_as_usual() -> None:
    groups = [{"id": "g", "rule": "must-hosts", "vms": ["web", "db"], "hosts": ["a"]}]
    vms = [WEB | {"host": "a"}, {"id": "db", "vcpus": 2, "memory": 512}]
    made = read(HEAD | {"hosts": [A, B], "zones": [{"id": "east", "primary": True}], "groups": groups, "vms": vms})
    assert made == Snapshot(
        hosts=(
            Host(id="a", cpus=4, memory_mib=8192, state=HostState.ONLINE),
            Host(id="b", cpus=4, memory_mib=8192, state=HostState.ONLINE, zone="east"),
        ),
        zones=(Zone(id="east", primary=True),),
        groups=(Group(id="g", state=GroupState.ENABLED, rule=Rule.MUST_HOSTS, vms=("web", "db"), hosts=("a",)),),
        vms=(
            VM(id="web", vcpus=1, memory_mib=1024, host="a", state=VMState.RUNNING),
            VM(id="db", vcpus=2, memory_mib=512, state=VMState.STOPPED),
        ),
    )


@given(clusters, tenants)
def test_what_is_written_is_read_as_the_same_cluster(hosts, vms):
    there = {each.id for each in hosts}
    kept = tuple(vm for vm in vms if {vm.host, vm.reserved} <= there | {""} and (vm.host or not vm.holds_memory))
    sound = tuple(replace(each, exclusive_cpus=min(each.exclusive_cpus, each.cpus), reserve_mib=0) for each in hosts)
    again = read(written(Snapshot(hosts=sound, vms=kept)))
    assert columns(again.view()) == columns(view(sound, kept))


def test_the_published_schema_is_that_of_the_structs() -> None:
    assert FILE.is_file(), COMMAND
    assert FILE.read_text(encoding="utf-8") == schema(), f"{FILE.name} is out of date: {COMMAND}"


@pytest.mark.parametrize(("size", "number"), [("64GiB", 65536), ("512MiB", 512), ("2TiB", 2 << 20), (77, 77)])
def test_a_size_has_a_unit_or_is_in_mib(size, number):
    assert mib(size) == number


@pytest.mark.parametrize("size", ["64GB", "-1GiB", "1.5GiB", "GiB", "", "64", True, None, 1.5])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="must be a size such as 64GiB"):
        mib(size)


def test_all_mistakes_are_told_at_once_and_none_follows_from_another() -> None:
    bad = {"id": "x", "cpus": 0, "memory": "64GB", "nics": 3}
    assert mistakes(
        hosts=[A, bad], groups=[group(vms=["web"], hosts=["x"])], vms=[WEB | {"vcpus": -1, "host": "x"}]
    ) == [
        "hosts[1].nics: x: unknown key; known are id, cpus, memory, reserve, state, zone, cpu_model, networks,"
        " exclusive_cpus, nics_max, volumes_max",
        "hosts[1].cpus: x: expected int >= 1, not 0",
        "hosts[1].memory: x: must be a size such as 64GiB, 512MiB or a whole number of MiB, not '64GB'",
        "vms[0].vcpus: web: expected int >= 1, not -1",
        "groups[0]: g: must-different-hosts names neither hosts nor a zone",
    ]


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"hosts": [A | {"memory": 0}]}, "hosts[0].memory: a: must be from 1 to 1,099,511,627,776 MiB, not 0"),
        ({"hosts": [A | {"memory": -5}]}, "hosts[0].memory: a: must be from 1 to 1,099,511,627,776 MiB, not -5"),
        ({"hosts": [A | {"reserve": "8GiB"}]}, "hosts[0].reserve: a: keeps all of its memory for itself"),
        ({"hosts": [A | {"exclusive_cpus": 5}]}, "hosts[0].exclusive_cpus: a: 5 of 4 CPUs"),
        ({"hosts": [A, A]}, "hosts[1].id: a is already hosts[0]"),
        ({"hosts": [{"id": "a", "memory": 1}]}, "hosts[0].cpus: a: is missing"),
        ({"hosts": [B], "zones": [{"id": "west"}]}, "hosts[0].zone: b: there is no zone east"),
        ({"hosts": ["a"]}, "hosts[0]: must be a mapping"),
        ({"hosts": {"a": A}}, "hosts: must be a list"),
        ({"vms": [WEB | {"host": "gone"}]}, "vms[0].host: web: there is no host gone"),
        ({"vms": [WEB | {"state": "running"}]}, "vms[0].host: web: is running, which it can be only on a host"),
        ({"vms": [WEB, WEB]}, "vms[1].id: web is already vms[0]"),
        (
            {"vms": [WEB | {"memory": "0GiB"}]},
            "vms[0].memory: web: must be from 1 to 1,099,511,627,776 MiB, not '0GiB'",
        ),
        ({"groups": [group()]}, "groups[0].vms[0]: g: there is no VM web"),
        ({"vms": [WEB], "groups": [group(vms=["web", "web"])]}, "groups[0].vms[1]: g: names web twice"),
        (
            {"hosts": [A], "groups": [group(rule="must-hosts", vms=[], hosts=["a", "gone"])]},
            "groups[0].hosts[1]: g: there is no host gone",
        ),
        (
            {"hosts": [A], "groups": [group(rule="must-hosts", vms=[], hosts=["a", "a"])]},
            "groups[0].hosts[1]: g: names a twice",
        ),
        (
            {"hosts": [B], "groups": [group(rule="must-hosts", vms=[], hosts=["b"], zone="east")]},
            "groups[0]: g: names hosts and a zone: one policy has either",
        ),
        ({"groups": [group(rule="must-hosts", vms=[])]}, "groups[0].hosts: g: must-hosts needs hosts"),
        ({"groups": [group(rule="must-zone", vms=[])]}, "groups[0].zone: g: must-zone needs a zone"),
        ({"groups": [group(rule="prefer-zone", vms=[], zone="x")]}, "groups[0].zone: g: there is no zone x"),
        ({"extra": 1}, "extra: unknown key; known are apiVersion, kind, schema, hosts, zones, groups, vms"),
        ({"kind": "Scenario"}, "kind: must be one of Snapshot, not 'Scenario'"),
    ],
)
def test_a_mistake_names_its_place_the_object_and_the_field(lists, told):
    assert mistakes(**lists) == [told]


def test_rules_that_cannot_be_kept_together_are_refused_with_who_contradicts_whom() -> None:
    near, far = group(id="near", rule="must-same-host", vms=["web", "db"]), group(id="far", vms=["web", "db"])
    told = mistakes(hosts=[A], vms=[WEB, WEB | {"id": "db"}], groups=[near, far])
    assert told
    assert all(line.startswith("groups: ") for line in told)
    assert any("near" in line and "far" in line for line in told)


def test_a_newer_schema_is_refused_by_name_and_nothing_else_is_read() -> None:
    assert mistakes(schema=SCHEMA + 1, hosts="?") == [
        "schema: 2 is newer than 1, the newest that this ave reads: use a newer ave"
    ]


def test_a_group_may_name_a_vm_that_is_about_to_be_placed() -> None:
    assert read(HEAD | {"groups": [group()]}, coming=["web"]).groups[0].vms == ("web",)


@pytest.mark.parametrize("raw", [None, [], "text", 3])
def test_what_is_no_mapping_is_no_snapshot(raw):
    with pytest.raises(BadSnapshot, match="a snapshot is a mapping"):
        read(raw)


def test_the_example_of_the_documentation_names_its_schema() -> None:
    example = Path(__file__).parents[3] / "docs" / "examples" / "snapshot.yaml"
    assert f"$schema=../{FILE.name}" in example.read_text(encoding="utf-8")
