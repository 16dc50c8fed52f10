"""Each invariant of placement on a history that breaks it and on one that does not, and is at stake in both."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ave.model.cluster import Lock, Role
from ave.model.group import Group, GroupState, Rule
from ave.model.host import Host, HostState
from ave.model.vm import VMState
from ave.model.work import Fact
from drivers.sim.facts import Disturbed, Gone, Powered, Resumed, Started
from drivers.sim.network import Plane
from sim.invariants.h1_rescued_in_time import RescuedInTime
from sim.invariants.p1_placed_by_rule import PlacedByRule
from sim.invariants.p2_memory_fits import RELEASED_SECONDS, MemoryFits
from sim.invariants.p3_pins_not_shared import PinsNotShared
from sim.invariants.p4_old_terms_decide_nothing import OldTermsDecideNothing
from sim.invariants.p6_prefer_only_ranks import BACK_SECONDS, PreferOnlyRanks
from tests.unit.sim.history import HOSTS, History, W, host, job, of, task, vm

pytestmark = pytest.mark.usefixtures("hosts")


def group(rule: Rule, *vms: str, enabled: bool = True, **fields: Any) -> Group:
    return Group(id="g", rule=rule, vms=vms, state=GroupState.ENABLED if enabled else GroupState.DISABLED, **fields)


# P1


@of(PlacedByRule)
@pytest.mark.parametrize(
    "rule",
    [
        group(Rule.MUST_HOSTS, "web", hosts=("host-2",)),
        group(Rule.MUST_NOT_HOSTS, "web", hosts=("host-1",)),
        group(Rule.MUST_ZONE, "web", zone="west"),
        group(Rule.MUST_DIFFERENT_HOSTS, "web", "db"),
        group(Rule.MUST_SAME_HOST, "web", "app"),
    ],
    ids=lambda rule: rule.rule,
)
def test_a_place_that_breaks_a_must_rule_breaks_p1(history: History, rule: Group) -> None:
    history.put(vm("db", "host-1"), vm("app", "host-2"), rule)
    history.put(vm("web", reserved="host-2"))
    assert history.armed == 1
    with history.broken("web", "host-1"):
        history.put(vm("web", reserved="host-1"))


@of(PlacedByRule)
def test_a_rule_that_binds_nobody_or_only_ranks_is_no_must_rule(history: History) -> None:
    history.put(group(Rule.MUST_HOSTS, "web", hosts=("host-2",), enabled=False))
    history.put(vm("web", reserved="host-1"))
    history.put(group(Rule.PREFER_HOSTS, "web", hosts=("host-2",)))
    history.put(vm("web", reserved="host-3"))
    assert history.armed == 2


@of(PlacedByRule)
def test_who_is_on_its_way_to_a_host_counts_there(history: History) -> None:
    history.put(group(Rule.MUST_DIFFERENT_HOSTS, "web", "db"), vm("db", "host-1", "host-2"))
    with history.broken("web", "host-2"):
        history.put(vm("web", reserved="host-2"))


@of(PlacedByRule)
def test_vms_that_must_share_a_host_may_move_to_another_together(history: History) -> None:
    history.put(group(Rule.MUST_SAME_HOST, "web", "db"), vm("web", "host-1"), vm("db", "host-1"))
    history.put(vm("web", "host-1", "host-2"), vm("db", "host-1", "host-2"))
    assert history.armed == 2


@of(PlacedByRule)
@pytest.mark.parametrize("limit", [{"nics_max": 1}, {"volumes_max": 2}])
def test_a_place_beyond_a_limit_of_its_host_breaks_p1(history: History, limit: dict[str, int]) -> None:
    history.put(host("host-1", **limit), vm("db", "host-1", volumes=("db-1",)))
    with history.broken("web", "host-1"):
        history.put(vm("web", reserved="host-1", volumes=("web-1", "web-2")))


# P2


@of(MemoryFits)
def test_room_that_ends_with_its_job_is_well(history: History) -> None:
    history.put(job("j", W.WAITING), Lock(id="vm/web", job="j"))
    history.put(vm("web", reserved="host-1"))
    history.wait(2 * RELEASED_SECONDS)
    history.put(job("j", W.FAILED), Lock(id="vm/web"), vm("web"))
    history.wait(2 * RELEASED_SECONDS)


@of(MemoryFits)
def test_room_that_outlives_its_job_breaks_p2(history: History) -> None:
    history.put(job("j", W.WAITING), Lock(id="vm/web", job="j"))
    history.put(vm("web", reserved="host-1"))
    history.put(job("j", W.FAILED), Lock(id="vm/web"))
    history.wait(RELEASED_SECONDS - 2)
    with history.broken("web", "host-1", "j"):
        history.wait(5)


@of(MemoryFits)
@pytest.mark.parametrize("harm", ["lost", "hung", "unlistable", ""])
def test_room_on_a_host_that_takes_no_vm_goes_with_its_first_look(history: History, harm: str) -> None:
    history.put(job("j", W.FAILED), Lock(id="vm/web"), vm("web", reserved="host-1"))
    if harm == "lost":
        history.put(host("host-1", state=HostState.FENCED))
    if harm == "hung":
        history.cluster.machines["host-1"].stall_process("node")
    history.cluster.machines["host-1"].listable = harm != "unlistable"
    if harm:
        history.wait(2 * RELEASED_SECONDS)
    else:
        with history.broken("web", "host-1"):
            history.wait(2 * RELEASED_SECONDS)


@of(MemoryFits)
def test_room_that_another_job_takes_over_is_its_own(history: History) -> None:
    history.put(job("j", W.WAITING), Lock(id="vm/web", job="j"))
    history.put(vm("web", reserved="host-1"))
    history.put(job("j", W.FAILED), job("k", W.WAITING), Lock(id="vm/web", job="k"))
    history.wait(RELEASED_SECONDS - 5)
    history.put(vm("web", reserved="host-1", reserved_under=1))
    history.wait(2 * RELEASED_SECONDS)


# P3


@of(PinsNotShared)
def test_cpus_that_are_there_for_both_are_not_shared(history: History) -> None:
    history.cluster.machines["host-1"].add(vm("web", pinned=True), 1, incoming=False)
    history.cluster.machines["host-1"].add(vm("db", pinned=True, unpinned=True, vcpus=4), 1, incoming=False)
    history.cluster.machines["host-1"].add(vm("app", pinned=True), 1, incoming=False)
    assert history.armed == 1


@of(PinsNotShared)
@pytest.mark.parametrize("how", [{}, {"unpinned": True, "incoming": True}], ids=["starts", "arrives"])
def test_a_domain_that_gets_the_cpus_of_another_breaks_p3(history: History, how: dict[str, bool]) -> None:
    """Who arrives by a migration is pinned again, whatever it did without before."""
    machine = history.cluster.machines["host-1"]
    machine.add(vm("web", pinned=True, vcpus=3), 1, incoming=False)
    with history.broken("db", "host-1"):
        machine.add(vm("db", pinned=True, unpinned=how.get("unpinned", False)), 1, incoming=how.get("incoming", False))


@of(PinsNotShared)
def test_who_is_rescued_has_no_cpus_any_more_where_it_was_lost(history: History) -> None:
    history.put(vm("web", "host-1", state=VMState.UNKNOWN, reserved="host-2", pinned=True, vcpus=3))
    history.put(vm("db", reserved="host-1", pinned=True, vcpus=4))
    with history.broken("app", "host-1"):
        history.put(vm("app", "host-1", state=VMState.UNKNOWN, reserved="host-1", pinned=True))


@of(PinsNotShared)
def test_cpus_that_are_promised_twice_break_p3(history: History) -> None:
    history.put(vm("web", "host-1", pinned=True, vcpus=3))
    history.put(vm("db", reserved="host-1", pinned=True, unpinned=True))
    with history.broken("app", "host-1"):
        history.put(vm("app", reserved="host-1", pinned=True))


# P4


@of(OldTermsDecideNothing)
def test_what_the_newest_holder_decides_is_well(history: History) -> None:
    history.put(Role(id="scheduler", holder="host-1", term=1))
    history.put(vm("web", reserved="host-1", reserved_under=1))
    assert history.armed == 0
    history.put(Role(id="scheduler", holder="host-2", term=2))
    history.put(vm("web", "host-1", reserved_under=1))  # that it arrived is no decision
    history.put(vm("web", "host-1", reserved="host-2", reserved_under=2))
    assert history.armed == 1


@of(OldTermsDecideNothing)
def test_a_decision_of_an_earlier_holding_breaks_p4(history: History) -> None:
    """Also if it was the same host's, before its process was restarted."""
    history.put(Role(id="scheduler", holder="host-1", term=1))
    history.put(Role(id="scheduler", holder="host-1", term=1))
    with history.broken("web", "host-3"):
        history.put(vm("web", reserved="host-3", reserved_under=1))


# P6

PLACE: dict[str, Any] = {"function": "place", "arguments": {"vms": ["web"], "purpose": "start"}}
REFUSED: dict[str, Any] = {"facts": {"web": Fact(refusal="none of 3 hosts fits web")}, **PLACE}


@of(PreferOnlyRanks)
def test_a_refusal_while_a_host_fits_breaks_p6(history: History) -> None:
    history.put(group(Rule.PREFER_HOSTS, "web", hosts=("host-2",)), vm("web"))
    history.put(vm("a", "host-1", memory_mib=8192), vm("b", "host-2", memory_mib=8192))
    history.put(task("j", "place", W.RUNNING, 1, **PLACE))
    with history.broken("web", "host-3", "j"):
        history.put(task("j", "place", W.DONE, 1, **REFUSED))


@of(PreferOnlyRanks)
@pytest.mark.parametrize(
    "why",
    [
        [vm("c", "host-3", memory_mib=8192)],
        [host("host-3", state=HostState.MAINTENANCE)],
        [host("host-3", networks=())],
        [Group(id="must", rule=Rule.MUST_NOT_HOSTS, vms=("web",), hosts=("host-3",), state=GroupState.ENABLED)],
        [vm("c", "host-3", memory_mib=0, pinned=True, vcpus=3), vm("web", pinned=True)],
    ],
    ids=["memory", "maintenance", "network", "must rule", "pins"],
)
def test_a_refusal_while_no_host_fits_is_well(history: History, why: list[Any]) -> None:
    history.put(group(Rule.PREFER_HOSTS, "web", hosts=("host-2",)), vm("web"))
    history.put(vm("a", "host-1", memory_mib=8192), vm("b", "host-2", memory_mib=8192))
    history.put(*why)
    history.put(task("j", "place", W.RUNNING, 1, **PLACE))
    history.put(task("j", "place", W.DONE, 1, **REFUSED))
    assert history.armed == 1


@of(PreferOnlyRanks)
def test_a_host_that_fitted_only_for_a_while_is_not_held_against_a_refusal(history: History) -> None:
    history.put(group(Rule.PREFER_HOSTS, "web", hosts=("host-2",)), vm("web"))
    history.put(*(vm(f"on-{id}", id, memory_mib=8192) for id in HOSTS))
    history.put(vm("on-host-3"))
    history.put(task("j", "place", W.RUNNING, 1, **PLACE))
    history.put(vm("other", reserved="host-3", memory_mib=8192))
    history.put(vm("other"))
    history.put(task("j", "place", W.DONE, 1, **REFUSED))
    assert history.armed == 1


def rescued(history: History, to: str, epoch: int = 1) -> None:
    history.put(job(f"rescue-{to}", W.WAITING, operation="ha.rescue"), Lock(id="vm/web", job=f"rescue-{to}"))
    history.saw(Started("web", to, 1, epoch, 1024, False))


@of(PreferOnlyRanks)
def test_a_vm_that_is_moved_to_and_fro_by_nobodys_wish_breaks_p6(history: History) -> None:
    history.saw(Started("web", "host-1", 1, 1, 1024, False))
    rescued(history, "host-2")
    history.wait(60)
    with history.broken("web", "host-1", "host-2"):
        rescued(history, "host-1")


@of(PreferOnlyRanks)
def test_a_copy_that_wakes_on_a_host_that_stood_still_is_no_vm_that_moved_back(history: History) -> None:
    history.saw(Started("web", "host-1", 1, 1, 1024, False))
    history.put(job("rescue", W.WAITING, operation="ha.rescue"), Lock(id="vm/web", job="rescue"))
    history.saw(Started("web", "host-2", 2, 2, 1024, False))
    history.saw(Resumed("web", "host-1", 1, 1))
    assert history.armed == 1


@of(PreferOnlyRanks)
def test_a_user_or_the_loss_of_a_host_may_bring_a_vm_back(history: History) -> None:
    history.saw(Started("web", "host-1", 1, 1, 1024, False))
    rescued(history, "host-2")
    history.saw(Powered("host-2", False))
    rescued(history, "host-1")
    rescued(history, "host-3")
    history.put(job("j", W.WAITING, operation="vm.migrate"), Lock(id="vm/web", job="j"))
    history.saw(Started("web", "host-1", 2, 2, 1024, True))
    history.saw(Resumed("web", "host-1", 2, 2))
    history.wait(BACK_SECONDS + 1)
    rescued(history, "host-3", epoch=3)
    assert history.armed == 4


@of(PreferOnlyRanks)
@pytest.mark.parametrize("operation", ["vm.restart", "ha.rescue"])
def test_what_its_user_ended_may_be_started_where_it_was_before(history: History, operation: str) -> None:
    history.saw(Started("web", "host-1", 1, 1, 1024, False))
    rescued(history, "host-2", epoch=2)
    history.put(job("j", W.WAITING, operation=operation), Lock(id="vm/web", job="j"))
    history.saw(Gone("web", "host-2", 2))
    if operation == "vm.restart":
        rescued(history, "host-1", epoch=3)
        assert history.armed == 2
    else:
        with history.broken("web", "host-1", "host-2"):
            rescued(history, "host-1", epoch=3)


@of(PreferOnlyRanks)
@pytest.mark.parametrize("operation", ["vm.migrate", "ha.evacuate"])
def test_a_vm_whose_copy_is_lost_where_its_user_sent_it_may_be_started_there(history: History, operation: str) -> None:
    """Explore 411: the right was handed over in the moment in which the target booted."""
    history.saw(Started("web", "host-1", 1, 1, 1024, False))
    rescued(history, "host-2", epoch=2)
    history.put(job("j", W.WAITING, operation=operation), Lock(id="vm/web", job="j"))
    history.saw(Started("web", "host-1", 2, 3, 1024, True))
    history.put(vm("web", "host-1", epoch=3))
    history.saw(Gone("web", "host-1", 2))
    if operation == "vm.migrate":
        rescued(history, "host-1", epoch=4)
        assert history.armed == 1
        with history.broken("web", "host-2", "host-1"):  # that was one move, and excuses no other one
            rescued(history, "host-2", epoch=5)
    else:
        with history.broken("web", "host-1", "host-2"):
            rescued(history, "host-1", epoch=4)


# H1, whose promise ends where the rules leave no room

BOUND = [
    [group(Rule.MUST_HOSTS, "web", hosts=("host-1",))],
    [group(Rule.MUST_NOT_HOSTS, "web", hosts=("host-2", "host-3"))],
    [group(Rule.MUST_DIFFERENT_HOSTS, "web", "db", "a", "b"), vm("a", "host-2"), vm("b", "host-3")],
    [host("host-2", nics_max=1), host("host-3", networks=()), vm("a", "host-2")],
]
FREE = [
    [],
    [group(Rule.MUST_HOSTS, "web", hosts=("host-1", "host-2"))],
    [group(Rule.MUST_DIFFERENT_HOSTS, "web", "db")],
    [group(Rule.MUST_SAME_HOST, "web", "db")],
    [group(Rule.PREFER_NOT_HOSTS, "web", hosts=("host-2", "host-3"))],
]


def lose(history: History, *docs: Any) -> None:
    machine = history.cluster.machines["host-1"]
    for name in ("web", "db"):
        history.put(vm(name, "host-1", memory_mib=1024))
        machine.add(vm(name), 1, incoming=False)
    for each in docs:
        if isinstance(each, Host):
            facts = history.cluster.machines[each.id].facts
            more = {"nics_max": each.nics_max, "networks": each.networks}
            history.cluster.machines[each.id].facts = msgspec.structs.replace(facts, **more)
    history.put(*docs)
    history.saw(Powered("host-1", False))
    machine.powered = False
    for name in ("web", "db"):
        history.put(vm(name, "host-1", memory_mib=1024, state=VMState.UNKNOWN))


def time_passes(history: History) -> None:
    history.wait(300)
    history.end()


@of(RescuedInTime)
def test_who_has_run_all_the_time_may_be_restarted_later(history: History) -> None:
    history.put(vm("web", "host-1", memory_mib=1024))
    machine = history.cluster.machines["host-1"]
    machine.add(vm("web"), 1, incoming=False)
    history.saw(Disturbed("storage-full", harms=("host-1",)))
    history.wait(300)
    assert history.armed == 1
    machine.remove(machine.guests["web"])  # its user has it restarted
    history.disturb()
    history.end()


@of(RescuedInTime)
@pytest.mark.parametrize("docs", BOUND, ids=range(len(BOUND)))
def test_a_lost_vm_that_its_rules_leave_no_host_is_promised_nothing(history: History, docs: list[Any]) -> None:
    lose(history, *docs)
    time_passes(history)
    assert history.armed == 2


@of(RescuedInTime)
@pytest.mark.parametrize("docs", FREE, ids=range(len(FREE)))
def test_a_lost_vm_that_may_run_elsewhere_and_does_not_breaks_h1(history: History, docs: list[Any]) -> None:
    lose(history, *docs)
    with history.broken("web", "host-1"):
        time_passes(history)


@of(RescuedInTime)
@pytest.mark.parametrize("harm", ["read_only", "full", ""])
def test_hosts_whose_file_system_takes_no_writes_are_no_place_for_a_lost_vm(history: History, harm: str) -> None:
    for name in ("host-2", "host-3"):
        if harm:
            setattr(history.cluster.machines[name], harm, True)
    lose(history)
    if harm:
        time_passes(history)
    else:
        with history.broken("web", "host-1"):
            time_passes(history)


@of(RescuedInTime)
def test_while_the_leaders_node_hangs_nobody_is_rescued_and_then_in_time(history: History) -> None:
    history.cluster.storage.leader = "host-2"
    history.cluster.machines["host-2"].stall_process("node")
    lose(history)
    history.wait(600)
    history.cluster.machines["host-2"].unstall_process("node")
    with history.broken("web", "host-1"):
        history.wait(300)
        history.end()


@of(RescuedInTime)
def test_a_host_that_does_not_reach_the_store_is_no_place_for_a_lost_vm(history: History) -> None:
    history.cluster.network.cut(("host-2",), (Plane.MANAGEMENT,))
    lose(history, group(Rule.MUST_HOSTS, "web", "db", hosts=("host-1", "host-2")))
    time_passes(history)
    assert history.armed == 2
