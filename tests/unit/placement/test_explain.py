"""An explanation says what was decided and nothing else, and what it proposes works."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ave.errors import NoFit, Refused
from ave.model.group import Rule
from ave.model.host import HostState
from ave.model.vm import VMState
from ave.placement.batch import place_batch
from ave.placement.explain import explain, explain_batch
from ave.placement.explanation import CHOSEN, TURNED_AWAY, Change, Explanation
from ave.placement.filters import Filter
from ave.placement.place import place
from ave.placement.plugged import Plugged
from ave.placement.purpose import Purpose
from ave.placement.told import sentence, told
from tests.unit.placement.clusters import (
    GIB,
    batches,
    clusters,
    columns,
    group,
    groups,
    host,
    host_names,
    primaries,
    some_vm,
    tenants,
    view,
    vm,
)

RUNNING = VMState.RUNNING
MEMORY = ("HostAvailableMemoryFilter",)
purposes = st.sampled_from(Purpose)
wishes = st.tuples(st.one_of(st.just(""), host_names), st.lists(host_names, max_size=2).map(tuple))


def answer(decide, *args, **options):
    try:
        return decide(*args, **options)
    except NoFit as refusal:
        return refusal


def change(explained: Explanation) -> Change:
    assert explained.change is not None
    return explained.change


def counted(explained):
    """By which filter each host was turned away first, read off the hosts' own records."""
    counts: dict[str, int] = {}
    for each in explained.hosts:
        failed = [verdict.filter for verdict in each.verdicts if not verdict.passed]
        assert (each.outcome == TURNED_AWAY) == bool(failed)
        if failed:
            assert each.by == failed[0]
            counts[failed[0]] = counts.get(failed[0], 0) + 1
    return counts


@given(clusters, tenants, some_vm("v3"), purposes, wishes, groups, primaries)
@settings(max_examples=400)
def test_an_explanation_agrees_with_the_decision(hosts, vms, of, purpose, wish, rules, primary):
    only, exclude = wish
    seen = view(hosts, vms, rules, primary)
    before = columns(seen)
    decided = answer(place, seen, of, purpose, only=only, exclude=exclude)
    explained = explain(seen, of, purpose, only=only, exclude=exclude)
    assert columns(seen) == before, "explaining leaves the view as it was"
    assert len(explained.hosts) == len(hosts)
    assert counted(explained) == decided.rejected == explained.rejected
    chosen = [each for each in explained.hosts if each.outcome == CHOSEN]
    if isinstance(decided, NoFit):
        assert (chosen, explained.choice) == ([], None)
        assert (explained.change is None) == (not hosts)
    else:
        assert [each.host for each in chosen] == [decided.host] == [explained.hosts[0].host]
        assert chosen[0].score.score == decided.score
        over = [each.by for each in explained.hosts if each.by in decided.passed_over]
        assert {name: over.count(name) for name in decided.passed_over} == decided.passed_over
        fitting = [each for each in explained.hosts if each.outcome != TURNED_AWAY]
        assert len(fitting) == decided.fitting
    assert sum(each.hosts for each in explained.fates) <= len(hosts)
    assert sentence(explained).startswith("v3 (")


@given(clusters, tenants, some_vm("v3"), purposes, groups)
@settings(max_examples=300)
def test_the_cheapest_change_of_memory_lets_the_vm_in(hosts, vms, of, purpose, rules):
    of = replace(of, memory_mib=of.memory_mib + 60)
    seen = view(hosts, vms, rules)
    least = explain(seen, of, purpose).change
    if least is None or least.filters != MEMORY:
        return
    seen.lift(of.id)
    free = int(seen.free_mib[seen.rows[least.host]])
    if f"make v3 {free:,} MiB or smaller" in least.words:
        assert place(seen, replace(of, memory_mib=free), purpose, only=least.host).host == least.host
    if "free " in least.words and " and " not in least.words:
        short = of.memory_mib - free
        assert f"free {short:,} MiB on {least.host}" in least.words
        at = next(each for each in hosts if each.id == least.host)
        seen.put_host(replace(at, memory_mib=at.memory_mib + short))
        assert place(seen, of, purpose).host == least.host


@given(clusters, tenants, batches, purposes, groups, primaries, st.booleans(), st.integers(0, 13))
@settings(max_examples=150)
def test_a_vm_of_a_batch_is_explained_as_it_was_decided(hosts, vms, batch, purpose, rules, primary, urgent, number):
    seen = view(hosts, vms, rules, primary)
    before = columns(seen)
    wanted = batch[number % len(batch)].id
    decided = place_batch(seen, batch, purpose, by_priority=urgent)
    again, found = explain_batch(seen, batch, purpose, [wanted], by_priority=urgent)
    explained = found[wanted]
    assert columns(seen) == before
    assert (list(again.placed.items()), again.plan, again.gained) == (
        list(decided.placed.items()),
        decided.plan,
        decided.gained,
    )
    assert explained.plan == decided.plan
    assert explained.choice == decided.placed.get(wanted)
    if wanted in decided.refused:
        assert explained.rejected == counted(explained) == decided.refused[wanted].rejected
    assert told(decided).startswith(f"{len(decided.placed)} of ")


def test_a_refusal_reads_like_a_sentence_one_can_act_on():
    hosts = [host(f"host-{n}", 64) for n in (1, 3, 4, 7, 8)]
    hosts += [host("host-2", 256), *(host(f"host-{n}", 256, state=HostState.MAINTENANCE) for n in (5, 6))]
    vms = [vm(f"v{n}", 6 if n == 3 else 20, state=RUNNING, host=f"host-{n}") for n in (1, 3, 4, 7, 8)]
    vms.append(vm("db-1", 4, state=RUNNING, host="host-2"))
    seen = view(hosts, vms, [group("db-apart", Rule.MUST_DIFFERENT_HOSTS, ("db-1", "web-7"))])
    assert sentence(explain(seen, vm("web-7", 64, 4), Purpose.START)) == (
        "web-7 (4 vCPUs, 64.0 GiB) fits none of 8 hosts: 5 have too little free memory (host-3 has most, 58.0 GiB: 6.0 GiB"
        " short), 2 are in maintenance (host-5, host-6), 1 is ruled out by group db-apart, which must be each on a host of"
        " its own (db-1 is on host-2). Cheapest change: free 6.0 GiB on host-3, or make web-7 58.0 GiB or smaller."
    )


def test_a_placement_says_who_was_turned_away_who_was_passed_over_and_by_how_little():
    hosts = [host(name) for name in "abcd"] + [host("off", state=HostState.FENCED)]
    vms = [vm("x", 8, 4, RUNNING, host="b"), vm("mate", 1, 1, RUNNING, host="d")]
    seen = view(hosts, vms, [group("far", Rule.PREFER_DIFFERENT_HOSTS, ("mate", "new"))])
    explained = explain(seen, vm("new"), Purpose.START)
    assert [(each.host, each.outcome, each.by) for each in explained.hosts] == [
        ("a", "chosen", ""),
        ("c", "passed over", "tie"),
        ("b", "passed over", "score"),
        ("d", "passed over", "PlacementGroupPriorFilter"),
        ("off", "turned away", "HostAvailableFilter"),
    ]
    assert [each.why for each in explained.hosts[1:]] == [
        "as good, and behind a by name",
        "would be more loaded",
        "group far should be each on a host of its own: mate is on d",
        "is fenced",
    ]
    assert sentence(explained) == (
        "new (2 vCPUs, 4.0 GiB) goes to a: of 5 hosts 4 can take it; 1 is not online (fenced: off);"
        " 1 breaks a rule that should be kept (d). c is as good, and behind a by name."
    )


def test_a_vm_larger_than_any_host_is_told_so_and_which_size_would_do():
    seen = view([host("a", 64), host("b", 32)], [vm("x", 10, state=RUNNING, host="a")])
    assert change(explain(seen, vm("big", 256), Purpose.START)).words == "make big 54.0 GiB or smaller"


def test_a_full_host_smaller_than_the_vm_needs_two_changes():
    seen = view([host("a", 64)], [vm("x", 64, state=RUNNING, host="a")])
    assert (
        change(explain(seen, vm("big", 256), Purpose.START)).words
        == "make big 64.0 GiB or smaller and free 64.0 GiB on a"
    )


@pytest.mark.parametrize(
    ("facts", "wish", "words"),
    [
        ({}, {"cpu_model": "new"}, "let v do with CPU model old, that of h"),
        ({}, {"networks": ("san",)}, "give h the network san, or take v off it"),
        ({}, {"pinned": True}, "free 1 exclusive CPU on h, or let v do without pinned CPUs"),
        ({}, {"networks": ("front",) * 3}, "give v 2 virtual NICs or fewer"),
        ({}, {"volumes": ("a", "b")}, "free 1 volume on h, or give v 1 volume or fewer"),
        ({"state": HostState.MAINTENANCE}, {}, "end the maintenance of h"),
        ({"state": HostState.SUSPECT}, {}, "bring h online, which is suspect"),
        ({}, {"memory_gib": 65}, "make v 63.0 GiB or smaller"),
    ],
)
def test_every_filter_knows_what_would_satisfy_it(facts, wish, words):
    limits: dict = {"nics_max": 2, "volumes_max": 2, "exclusive_cpus": 2, "cpu_model": "old", "networks": ("front",)}
    other = vm("other", 1, 1, RUNNING, host="h", pinned=True, volumes=("z",))
    seen = view([host("h", 64, **limits, **facts)], [other])
    explained = explain(seen, vm("v", **wish), Purpose.START)
    assert change(explained).words == words
    assert explained.hosts[0].why


@pytest.mark.parametrize(
    ("rule", "places", "words"),
    [
        (Rule.MUST_HOSTS, {"hosts": ("gone",)}, "add h to group g, or take v out of group g"),
        (Rule.MUST_NOT_HOSTS, {"hosts": ("h",)}, "take h out of group g, or take v out of group g"),
        (Rule.MUST_SAME_HOST, {}, "move away-1 to h, or take v out of group g"),
        (Rule.MUST_DIFFERENT_HOSTS, {}, "move here-1 off h, or take v out of group g"),
        (Rule.MUST_ZONE, {"zone": "west"}, "take v out of group g"),
    ],
)
def test_every_rule_of_a_group_knows_what_would_satisfy_it(rule, places, words):
    mates = ("away-1",) if rule is Rule.MUST_SAME_HOST else ("here-1",)
    vms = [vm("here-1", state=RUNNING, host="h"), vm("away-1", state=RUNNING, host="lost")]
    seen = view([host("h", zone="east")], vms, [group("g", rule, (*mates, "v"), **places)])
    assert change(explain(seen, vm("v"), Purpose.START)).words == words


def test_a_host_that_the_user_named_is_cheapest_left_unnamed():
    seen = view([host("a"), host("small", 2)])
    explained = explain(seen, vm("v"), Purpose.START, only="small")
    assert change(explained).words == "ask for a instead of small, or for no host by name"
    assert "is not the host that was named (small)" in sentence(explained)


def test_of_two_hosts_the_one_with_fewer_failed_filters_is_cheaper():
    seen = view([host("a", 3, state=HostState.MAINTENANCE), host("b", 2)])
    assert change(explain(seen, vm("v"), Purpose.START)).host == "b"


def test_an_empty_cluster_is_said_to_be_empty():
    explained = explain(view([]), vm("v"), Purpose.START)
    assert sentence(explained) == "v (2 vCPUs, 4.0 GiB) fits nowhere: the cluster has no host."
    assert explained.change is None


def test_a_size_that_is_no_half_gib_is_told_exactly():
    seen = view([replace(host("h"), memory_mib=8191)])
    assert "(h has 7.9 GiB: 0.1 GiB short)" in sentence(explain(seen, vm("v", 8), Purpose.START))
    odd = replace(vm("v"), memory_mib=8 * GIB + 1)
    assert "(h has 8,191 MiB: 2 MiB short)" in sentence(explain(seen, odd, Purpose.START))


def test_a_batch_says_what_packing_gained_and_who_was_left_out():
    seen = view([host("a", 8), host("b", 8)])
    batch = place_batch(seen, [vm("s1", 4), vm("s2", 4), vm("l", 8), vm("xl", 64)], Purpose.START)
    assert told(batch) == (
        "3 of 4 VMs placed, packed, which places 1 more than spreading them would.\n"
        "Not placed: xl: of 2 hosts, 2 have too little free memory."
    )


def test_a_vm_that_is_not_of_the_batch_is_refused():
    with pytest.raises(Refused, match="w is not of the batch"):
        explain_batch(view([host("a")]), [vm("v")], Purpose.START, ["w"])


def test_a_filter_of_others_is_told_by_its_phrase() -> None:
    odd = Filter("OddFilter", "has an odd name", lambda unit, seen, purpose: np.array([n != "a" for n in seen.names]))
    explained = explain(view([host("a")]), vm("v"), Purpose.START, plugged=Plugged((odd,)))
    assert explained.hosts[0].why == "has an odd name"
    assert "1 has an odd name (a). Cheapest change: see to it that a no longer has an odd name." in sentence(explained)


def test_vms_that_must_share_a_host_are_explained_as_one() -> None:
    seen = view([host("a", 8), host("b", 8)], groups=[group("pair", Rule.MUST_SAME_HOST, ("x", "y"))])
    _, found = explain_batch(seen, [vm("x", 5), vm("y", 5)], Purpose.START, ["x", "y"])
    assert found["x"] is found["y"]
    assert sentence(found["x"]).startswith(
        "x + y (4 vCPUs, 10.0 GiB) fits none of 2 hosts: 2 have too little free memory"
    )


def test_vms_that_must_and_must_not_share_a_host_are_told_so() -> None:
    rules = [group("near", Rule.MUST_SAME_HOST, ("x", "y")), group("far", Rule.MUST_DIFFERENT_HOSTS, ("x", "y"))]
    _, found = explain_batch(view([host("a")], groups=rules), [vm("x"), vm("y")], Purpose.START, ["x"])
    assert sentence(found["x"]) == (
        "x + y (4 vCPUs, 8.0 GiB) fits none of 1 host: 1 is ruled out by group far, which must be each on a host of its own"
        " (they must also share one). Cheapest change: take x out of group far, and take y out of group far."
    )


def test_a_packed_vm_is_told_to_go_where_least_is_left() -> None:
    seen = view([host("a", 8), host("b", 12)])
    batch, found = explain_batch(seen, [vm("s1", 4), vm("s2", 4), vm("l", 12)], Purpose.START, ["s1"])
    assert batch.plan == "compact"
    assert sentence(found["s1"]).startswith("s1 (2 vCPUs, 4.0 GiB) goes to a: ")


def test_a_rescue_without_cpus_of_its_own_says_so() -> None:
    explained = explain(view([host("a")]), vm("v", pinned=True), Purpose.RESCUE)
    assert sentence(explained).endswith("It has to do without CPUs of its own.")


def test_a_host_in_the_other_zone_is_passed_over_by_name() -> None:
    seen = view([host("a", zone="east"), host("b", zone="west")], primary=["east"])
    explained = explain(seen, vm("v"), Purpose.START)
    assert (explained.hosts[1].by, explained.hosts[1].why) == ("ZoneFilter", "is in zone west")


def test_hosts_that_two_groups_rule_out_are_told_by_group() -> None:
    rules = [group("g", Rule.MUST_NOT_HOSTS, ["v"], hosts=("a", "b")), group("z", Rule.MUST_ZONE, ["v"], zone="x")]
    explained = explain(view([host("a", zone="x"), host("b", zone="x"), host("c")], (), rules), vm("v"), Purpose.START)
    assert explained.fates[0].says == (
        "are ruled out by groups (2 by g, which must be not on a or b; 1 by z, which must be in zone x (c in no zone))"
    )
