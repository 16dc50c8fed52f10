"""What can never be kept is found before any VM suffers from it, and nothing else is said to be so."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ave.model.group import Aspect, GroupState, Rule
from ave.placement.contradictions import contradictions
from tests.unit.placement.clusters import group, host

EAST = tuple(host(f"e{n}", zone="east") for n in (1, 2))
WEST = tuple(host(f"w{n}", zone="west") for n in (1, 2))
ALL = EAST + WEST
MUSTS = [rule for rule in Rule if rule.must]


def test_vms_tied_together_through_others_cannot_also_be_kept_apart():
    rules = (
        group("pair", Rule.MUST_SAME_HOST, ("a", "b")),
        group("chain", Rule.MUST_SAME_HOST, ("b", "c")),
        group("apart", Rule.MUST_DIFFERENT_HOSTS, ("c", "a")),
    )
    assert contradictions(rules, ALL) == ["c and a must be on one host (chain, pair), and must not (apart)"]
    assert contradictions(rules[:2], ALL) == contradictions(rules[1:], ALL) == []


def test_rules_about_hosts_that_leave_none_are_named_with_their_vms():
    rules = (
        group("on", Rule.MUST_HOSTS, ("a",), hosts=("e1", "e2")),
        group("off", Rule.MUST_NOT_HOSTS, ("b", "x"), hosts=("e1",)),
        group("zone", Rule.MUST_ZONE, ("a",), zone="east"),
        group("tie", Rule.MUST_SAME_HOST, ("a", "b")),
        group("more", Rule.MUST_NOT_HOSTS, ("b",), hosts=("e2",)),
    )
    (why,) = contradictions(rules, ALL)
    assert why.startswith("no host is left for a, b (")
    for part in ("more: b must be not on e2", "off: b must be not on e1", "on: a must be on e1 or e2", "tie: a, b"):
        assert part in why
    assert contradictions(rules[:4], ALL) == []


def test_two_zones_are_one_too_many():
    rules = (
        group("one", Rule.MUST_ZONE, ("a",), zone="east"),
        group("two", Rule.MUST_ZONE, ("b",), zone="west"),
        group("tie", Rule.MUST_SAME_HOST, ("a", "b")),
    )
    assert contradictions(rules, ALL) == [
        "a must be in zone east (one), and b must be in zone west (two), and a, b must be on one host"
    ]
    assert contradictions(rules[:2], ALL) == []


def test_of_vms_that_cannot_all_be_apart_those_are_named_that_have_too_few_hosts():
    """By matching, not by counting: five VMs have four hosts, but it is these three that have only two."""
    apart = group("apart", Rule.MUST_DIFFERENT_HOSTS, ("a", "b", "c", "d"))
    east = group("east", Rule.MUST_ZONE, ("a", "c", "d"), zone="east")
    (why,) = contradictions((apart, east), ALL)
    assert why == (
        "a, c, d must be each on a host of its own (apart), and for these 3 there are only 2 hosts, e1, e2, by east"
    )
    assert contradictions((apart, replace(east, vms=("a", "c"))), ALL) == []
    assert contradictions((apart,), ALL[:3]) == [
        "a, b, c, d must be each on a host of its own (apart), and for these 4 there are only 3 hosts, e1, e2, w1"
    ]


def test_what_is_tied_together_needs_one_host_only():
    apart = group("apart", Rule.MUST_DIFFERENT_HOSTS, ("a", "b"))
    tie = group("tie", Rule.MUST_SAME_HOST, ("b", "c", "d"))
    assert contradictions((apart, tie), ALL[:2]) == []


def test_groups_that_can_be_kept_each_but_not_all_are_the_fewest_that_cannot():
    rules = (
        group("ab", Rule.MUST_DIFFERENT_HOSTS, ("a", "b")),
        group("bc", Rule.MUST_DIFFERENT_HOSTS, ("b", "c")),
        group("ca", Rule.MUST_DIFFERENT_HOSTS, ("c", "a")),
        group("cd", Rule.MUST_DIFFERENT_HOSTS, ("c", "d")),
    )
    assert contradictions(rules, EAST) == ["ab, bc, ca cannot all be kept: there are too few hosts for a, b, c"]
    assert contradictions(rules, ALL) == []


def test_rules_that_only_rank_or_are_disabled_contradict_nothing():
    rules = (
        group("one", Rule.PREFER_ZONE, ("a",), zone="east"),
        group("two", Rule.MUST_ZONE, ("a",), zone="west"),
        replace(group("three", Rule.MUST_ZONE, ("a",), zone="east"), state=GroupState.DISABLED),
    )
    assert contradictions(rules, ALL) == []


def test_a_large_cluster_is_asked_in_a_moment():
    many = [host(f"h{n}") for n in range(2000)]
    rules = [group(f"apart-{n}", Rule.MUST_DIFFERENT_HOSTS, [f"v{n}-{i}" for i in range(500)]) for n in range(4)]
    assert contradictions(rules, many) == []
    assert len(contradictions(rules, many[:499])) == 4


VMS, HOSTS = ("a", "b", "c", "d"), ("e1", "e2", "w1")


@st.composite
def some_must(draw, name):
    rule = draw(st.sampled_from(MUSTS))
    names = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True)
    return group(
        name,
        rule,
        draw(st.lists(st.sampled_from(VMS), min_size=1, unique=True)),
        hosts=tuple(draw(names)) if rule.aspect.names_hosts else (),
        zone=draw(st.sampled_from(("east", "west"))) if rule.aspect is Aspect.ZONE else "",
    )


def keeps(rule, where, zone_of):
    places = [where[vm] for vm in rule.vms]
    match rule.rule.aspect:
        case Aspect.HOSTS:
            return all(place in rule.hosts for place in places)
        case Aspect.NOT_HOSTS:
            return not any(place in rule.hosts for place in places)
        case Aspect.ZONE:
            return all(zone_of[place] == rule.zone for place in places)
        case Aspect.SAME_HOST:
            return len(set(places)) == 1
    return len(set(places)) == len(places)


@settings(max_examples=600)
@given(
    st.integers(0, 6).flatmap(lambda count: st.tuples(*(some_must(f"g{n}") for n in range(count)))),
    st.lists(st.sampled_from(HOSTS), min_size=1, unique=True),
)
def test_rules_are_contradictory_exactly_if_no_way_to_put_the_vms_keeps_them_all(rules, names):
    known = [one for one in ALL if one.id in names]
    zone_of = {one.id: one.zone for one in known}
    ways = (dict(zip(VMS, places, strict=True)) for places in product(zone_of, repeat=len(VMS)))
    possible = any(all(keeps(rule, where, zone_of) for rule in rules) for where in ways)
    assert (contradictions(rules, known) == []) is possible


@given(st.integers(0, 6).flatmap(lambda count: st.tuples(*(some_must(f"g{n}") for n in range(count)))))
def test_what_contradicts_is_said_in_the_same_words_whatever_the_order(rules):
    assert contradictions(rules, ALL) == contradictions(rules[::-1], ALL[::-1])
