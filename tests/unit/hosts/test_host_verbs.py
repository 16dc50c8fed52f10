"""The decisions about hosts: which state leads to which steps, where the VMs of a host would go, and what is in the way."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.hosts.enter import ENTER
from ave.hosts.leave import EXIT
from ave.hosts.report import GROUP_SIZE, REPORT
from ave.jobs.verb import Found
from ave.model.cluster import lock_name
from ave.model.host import Host, HostState, Wish
from ave.model.vm import VM, VMState
from ave.operations import EnterMaintenance, ExitMaintenance, NameHosts
from ave.placement.view import View
from ave.ports.store import Replace
from ave.scheduler.maintenance import foresee
from ave.scheduler.role import SCHEDULER
from ave.scheduler.steps import CLOSE, CLOSED

GIB = 1024
HOSTS = [
    Host(id="h", cpus=8, memory_mib=64 * GIB, state=state, wish=wish, away=away, version=4)
    for state, wish, away in itertools.product(HostState, Wish, ((), ("a", "b")))
]
IDS = [f"{host.state}, {host.wish}{', some away' * bool(host.away)}" for host in HOSTS]


def found(host):
    return Found({(Host, "h"): host})


# Entering and leaving


@pytest.mark.parametrize("check_only", [False, True])
@pytest.mark.parametrize("host", HOSTS, ids=IDS)
def test_a_host_enters_from_online_or_from_where_an_earlier_attempt_left_it(host, check_only):
    split = ENTER.split(EnterMaintenance(host="h", check_only=check_only), found(host))
    assert split.writes == (), "the host is closed by the scheduler, and not before it looked"
    if host.state not in (HostState.ONLINE, HostState.ENTERING_MAINTENANCE):
        assert split.steps == {}
        assert split.results["h"].why == f"h is {host.state}: maintenance needs it online"
    else:
        close = split.steps[CLOSE]
        assert (close.role, close.arguments) == (SCHEDULER, {"host": "h", "check_only": check_only})
        assert set(split.steps) == ({CLOSE} if check_only else {CLOSE, "evacuate"})
        undo = "" if check_only else "host.reopen"
        assert {step.undo for step in split.steps.values()} == {undo}


@pytest.mark.parametrize("bring_back", [False, True])
@pytest.mark.parametrize("host", HOSTS, ids=IDS)
def test_a_host_leaves_from_maintenance_or_gives_up_the_wish_for_it(host, bring_back):
    split = EXIT.split(ExitMaintenance(host="h", bring_back=bring_back), found(host))
    if host.state in CLOSED:
        (write,) = split.writes
        assert isinstance(write, Replace)
        assert (write.doc.state, write.doc.wish, write.doc.away) == (HostState.ONLINE, Wish.SERVE, ())
        assert split.results["h"].ok
        returning = host.away if bring_back else ()
        assert [step.resource for step in split.steps.values() if step.resource] == list(returning)
    elif host.state is HostState.QUARANTINED:
        (write,) = split.writes
        assert isinstance(write, Replace)
        assert (write.doc.state, write.doc.wish, write.doc.away) == (HostState.ONLINE, Wish.SERVE, ())
        assert (write.doc.returns, split.results["h"].ok, split.steps) == (0, True, {})
    elif host.wish is Wish.MAINTENANCE:
        (write,) = split.writes
        assert isinstance(write, Replace)
        assert (write.doc.state, write.doc.wish, write.doc.away) == (host.state, Wish.SERVE, ())
        assert (split.results["h"].ok, split.steps) == (True, {})
        assert f"it is {host.state}" in split.results["h"].why
    else:
        assert (split.writes, split.steps) == ((), {})
        assert split.results["h"].why == f"h is {host.state}: to exit maintenance needs it maintenance"


@pytest.mark.parametrize("verb", [ENTER, EXIT], ids=lambda verb: verb.operation)
def test_a_host_that_does_not_exist_is_refused_by_name(verb):
    request = EnterMaintenance(host="h") if verb is ENTER else ExitMaintenance(host="h")
    split = verb.split(request, found(None))
    assert (split.steps, split.writes) == ({}, ())
    assert split.results["h"].why == "there is no host h"
    assert [lock_name(*resource) for resource in verb.resources(request)] == ["host/h"]


def test_every_wish_to_enter_ends_in_a_state_from_which_a_host_can_leave_again():
    for host in HOSTS:
        if host.wish is Wish.MAINTENANCE:
            assert EXIT.split(ExitMaintenance(host="h"), found(host)).results["h"].ok


# Where they would go


def view(hosts, vms):
    made = View()
    for host in hosts:
        made.put_host(host)
    for vm in vms:
        made.put_vm(vm)
    return made


def host(name, gib=16, state=HostState.ONLINE):
    return Host(id=name, cpus=16, memory_mib=gib * GIB, state=state, epoch=1)


def vm(name, gib=4, on="one", state=VMState.RUNNING, **facts):
    return VM(id=name, vcpus=1, memory_mib=gib * GIB, host=on, host_epoch=1, epoch=1, state=state, **facts)


def test_each_vm_of_the_host_is_told_where_it_goes_and_none_goes_to_the_host_itself():
    hosts = [host("one", 64), host("two"), host("three")]
    vms = [vm(f"web-{n}") for n in range(6)]
    facts = foresee(view(hosts, vms), hosts[0], vms, {})
    assert {id: fact.refusal for id, fact in facts.items()} == dict.fromkeys((each.id for each in vms), "")
    assert sorted(fact.host for fact in facts.values()) == ["three"] * 3 + ["two"] * 3


def test_who_finds_no_room_is_named_with_the_filters_that_turned_every_host_away():
    hosts = [host("one", 64), host("two", 4), host("three", 16, HostState.SUSPECT)]
    vms = [vm("a"), vm("b")]
    facts = foresee(view(hosts, vms), hosts[0], vms, {})
    assert sorted(fact.host for fact in facts.values()) == ["", "two"]
    (refusal,) = [fact.refusal for fact in facts.values() if fact.refusal]
    for expected in ("none of 3 hosts fits", "1 by HostAvailableFilter", "1 by MaintenanceFilter", "MemoryFilter"):
        assert expected in refusal


@pytest.mark.parametrize("state", VMState)
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("where", ["on it", "coming", "was on it"])
def test_what_is_in_the_way_is_said_by_state(state, busy, where):
    """Generated: every state, with and without a Job at work, on the host, on its way to it, or assigned and not there."""
    one = vm("v", state=state) if where == "on it" else vm("v", state=state, on="two", reserved="one")
    if where == "was on it":
        one = vm("v", state=VMState.STOPPED)
    hosts = [host("one"), host("two", 32)]
    facts = foresee(view(hosts, [one]), hosts[0], [one], {"v": "job-1"} if busy else {})
    if busy:
        assert facts["v"].refusal == "Job job-1 is at work on v: wait for its end"
    elif where != "on it" or not one.holds_memory:
        assert facts == {}
    elif state is VMState.RUNNING:
        assert facts["v"].host == "two"
    elif state is VMState.SUSPENDED:
        assert facts["v"].refusal == "v is suspended and cannot move: resume it, or force it off"
    else:
        assert facts["v"].refusal == f"v is {state}: wait until it runs or is stopped"


@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=12),
    rooms=st.lists(st.integers(0, 24), min_size=1, max_size=4),
)
def test_what_is_foreseen_fits_together_and_leaves_the_view_as_it_was(sizes, rooms):
    source = host("one", 256)
    others = [host(f"other-{n}", max(1, room)) for n, room in enumerate(rooms)]
    vms = [vm(f"v{n}", size) for n, size in enumerate(sizes)]
    seen = view([source, *others], vms)
    before = (seen.names[:], seen.free_mib.tolist(), seen.state.tolist())
    facts = foresee(seen, source, vms, {})
    assert (seen.names[:], seen.free_mib.tolist(), seen.state.tolist()) == before
    assert set(facts) == {each.id for each in vms}
    for other in others:
        there = sum(each.memory_mib for each in vms if facts[each.id].host == other.id)
        assert there <= other.memory_mib
    assert "one" not in [fact.host for fact in facts.values()]


# Reporting


def test_hosts_are_asked_in_groups_each_on_itself_and_nobody_is_locked():
    names = tuple(f"h{n}" for n in range(2 * GROUP_SIZE + 1))
    request = NameHosts(hosts=names)
    split = REPORT.split(request, Found({(Host, name): host(name) for name in names}))
    assert REPORT.resources(request) == ()
    assert [len(group) for group in split.groups.values()] == [GROUP_SIZE, GROUP_SIZE, 1]
    steps = [step for group in split.groups.values() for step in group.values()]
    assert [(step.function, step.host) for step in steps] == [("host.report", name) for name in names]


@pytest.mark.parametrize("state", HostState)
def test_only_a_host_whose_worker_answers_is_asked(state):
    split = REPORT.split(NameHosts(hosts=("h",)), found(host("h", state=state)))
    asked = state in (HostState.ONLINE, HostState.READ_ONLY, *CLOSED)
    assert bool(split.groups) is asked
    assert split.results == {} if asked else split.results["h"].ok


def test_a_host_that_is_gone_is_not_asked():
    split = REPORT.split(NameHosts(hosts=("h",)), found(None))
    assert (split.groups, split.results["h"].why) == ({}, "not asked: it is no host any more")
