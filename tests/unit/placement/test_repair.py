"""Violations are what the must filter would turn away; a repair leaves none, or says whom it leaves where they are."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ave.model.group import Aspect, Rule
from ave.model.vm import VMState
from ave.placement.groups import BREAKS
from ave.placement.repair import repair
from ave.placement.violations import violations
from tests.unit.placement.clusters import GIB, columns, group, host, view, vm

HOSTS, VMS = ("a", "b", "c", "d"), tuple(f"v{n}" for n in range(6))
MUSTS = [rule for rule in Rule if rule.must]


@st.composite
def some_must(draw, name):
    rule = draw(st.sampled_from(MUSTS))
    places = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True)
    return group(
        name,
        rule,
        draw(st.lists(st.sampled_from(VMS), min_size=1, max_size=4, unique=True)),
        hosts=tuple(draw(places)) if rule.aspect.names_hosts else (),
        zone=draw(st.sampled_from(("east", "west"))) if rule.aspect is Aspect.ZONE else "",
    )


@st.composite
def some_vm(draw, name):
    state = draw(
        st.sampled_from((VMState.RUNNING, VMState.RUNNING, VMState.RUNNING, VMState.SUSPENDED, VMState.STOPPED))
    )
    return vm(name, draw(st.sampled_from((1, 8, 20))), state=state, host=draw(st.sampled_from(HOSTS)))


hosts = [host(name, 64, zone="east" if name in "ab" else "west") for name in HOSTS]
rules = st.integers(1, 4).flatmap(lambda count: st.tuples(*(some_must(f"g{n}") for n in range(count))))
tenants = st.tuples(*map(some_vm, VMS))


@given(tenants, rules)
def test_a_rule_is_violated_exactly_where_the_filter_would_not_let_its_vms_be(vms, groups):
    seen = view(hosts, vms, groups)
    broken = {violation.group for violation in violations(seen)}
    for rule in groups:
        wrong = False
        for one in vms:
            if one.id in rule.vms and seen.seats(one.id).hosts:
                breaks = BREAKS[rule.rule.aspect](rule, one, seen)
                wrong = wrong or (breaks is not None and bool(breaks[seen.rows[one.host]] > 0))
        assert (rule.id in broken) is wrong


@settings(max_examples=300)
@given(tenants, rules, st.data())
def test_a_repair_leaves_no_named_rule_broken_but_by_those_it_says_are_stuck(vms, groups, data):
    named = data.draw(st.lists(st.sampled_from([one.id for one in groups]), min_size=1, unique=True))
    known = {one.id: one for one in vms}
    seen = view(hosts, vms, groups)
    before, kept = columns(seen), {one.id for one in groups} - {violation.group for violation in violations(seen)}
    plan = repair(seen, known, named)
    assert columns(seen) == before
    after = dict(known)
    for move in plan.moves:
        for name in move.vms:
            assert after[name].state is VMState.RUNNING
            assert after[name].host != move.host
            after[name] = replace(after[name], host=move.host)
    result = violations(view(hosts, after.values(), groups))
    for violation in result:
        if violation.group in named or violation.group in kept:
            assert any(name in plan.stuck for name in violation.vms), (violation, plan)
    if not plan.broken:
        assert plan.moves == ()
    used = {
        name: sum(one.memory_mib for one in after.values() if one.host == name and one.holds_memory) for name in HOSTS
    }
    arrived = {move.host for move in plan.moves}
    assert all(used[name] <= 64 * GIB for name in arrived)
