"""The invariants of rescues: paced, on hosts that are clear, never given up, and as many as can be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ave.model.cluster import Lock
from ave.model.group import Group, GroupState, Rule
from ave.model.host import HostState
from ave.model.vm import VM, Priority, VMState
from ave.model.work import Fact, Work
from ave.placement.purpose import Purpose
from ave.ports.hypervisor import DomainState
from ave.scheduler.steps import Placing
from drivers.sim.facts import Joined, Powered, Resumed, Started
from drivers.sim.guest import Guest
from drivers.sim.network import Line
from sim.invariants.calm import SETTLE_SECONDS
from sim.invariants.h3_storm_brake import IN_ALL, PER_HOST, StormBrake
from sim.invariants.h4_rejoins_empty import RejoinsEmpty
from sim.invariants.h5_paused_no_longer import PausedNoLonger
from sim.invariants.h6_never_given_up import UNTRIED_SECONDS, NeverGivenUp
from sim.invariants.h8_recovers_its_pace import JOBS, WINDOW_SECONDS, RecoversItsPace
from sim.invariants.p5_rescues_most import RescuesMost
from sim.invariants.s4_fenced_first import FencedFirst
from tests.unit.sim.history import HOSTS, History, W, host, job, of, task, vm

pytestmark = pytest.mark.usefixtures("hosts")


def web(on: str = "host-1", epoch: int = 1, **fields: Any) -> VM:
    return vm("web", on, **{"epoch": epoch, "host_epoch": 0, **fields})


def start(history: History, name: str, on: str, instance: int = 1, job: str = "ha.rescue-1") -> None:
    history.saw(Started(name, on, instance, instance, 1024, False, job))


# H3


def storm(history: History) -> None:
    for name in HOSTS:
        history.saw(Powered(name, False))


def burst(history: History, on: str, count: int) -> None:
    for number in range(count):
        start(history, f"{on}-{number}", on)


@of(StormBrake)
def test_starts_at_a_pace_are_well(history: History) -> None:
    burst(history, "host-1", 2 * PER_HOST)  # no storm
    storm(history)
    for _ in range(5):
        for name in HOSTS:
            burst(history, name, PER_HOST)
        history.wait(1)
    assert history.armed == 5 * len(HOSTS) * PER_HOST


@of(StormBrake)
def test_too_many_starts_on_a_host_break_h3(history: History) -> None:
    storm(history)
    with history.broken("host-1"):
        burst(history, "host-1", PER_HOST + 1)


@of(StormBrake)
def test_too_many_starts_in_all_break_h3(history: History) -> None:
    storm(history)
    names = [f"host-{number}" for number in range(1, 9)]
    with history.broken():
        for _ in range(PER_HOST):
            for name in names[: IN_ALL // PER_HOST + 1]:
                start(history, "web", name)


@of(StormBrake)
def test_hosts_that_die_far_apart_or_are_few_are_no_storm(history: History) -> None:
    for name in HOSTS:
        history.saw(Powered(name, False))
        history.put(host(name, state=HostState.FENCED))
        history.wait(40)
    burst(history, "host-1", 2 * PER_HOST)
    assert not history.armed


@of(StormBrake)
def test_a_start_before_a_more_urgent_one_breaks_h3(history: History) -> None:
    history.put(vm("first", priority=Priority.HIGH), vm("last", priority=Priority.LOW))
    history.put(task("ha.rescue-1", "start/first", W.READY, function="vm.start", resource="first"))
    history.wait(6)
    for name in HOSTS:
        history.put(host(name, state=HostState.FENCED))
    start(history, "last", "host-2")
    with history.broken("last", "first"):
        start(history, "last", "host-1")


# H4


def rejoined(history: History) -> None:
    machine = history.cluster.machines["host-1"]
    machine.facts = replace(machine.facts, boot="host-1/boot-2")
    history.cluster.storage.grant("host-1", "host-1/boot-2")
    history.saw(Joined("host-1", "host-1/boot-2"))


@of(RejoinsEmpty)
def test_a_start_on_a_host_that_is_clear_is_well(history: History) -> None:
    rejoined(history)
    history.put(web())
    start(history, "web", "host-1")
    assert history.armed == 1


@of(RejoinsEmpty)
def test_a_start_beside_an_older_domain_breaks_h4(history: History) -> None:
    history.cluster.machines["host-1"].add(vm("old"), 1, incoming=False)
    rejoined(history)
    with history.broken("web", "host-1"):
        start(history, "web", "host-1")


@of(RejoinsEmpty)
@pytest.mark.parametrize("state", [HostState.JOINING, HostState.FENCED, HostState.RECOVERED])
def test_a_start_on_a_host_that_is_not_cleared_breaks_h4(history: History, state: HostState) -> None:
    rejoined(history)
    history.put(host("host-1", state=state))
    with history.broken("web", "host-1"):
        start(history, "web", "host-1")


@of(RejoinsEmpty)
def test_a_start_without_a_lease_or_under_an_old_epoch_breaks_h4(history: History) -> None:
    rejoined(history)
    history.put(web(), host("host-1", epoch=2))
    with history.broken("web", "host-1"):
        start(history, "web", "host-1")
    history.put(web(host_epoch=2))
    history.cluster.storage.leases["host-1"].revoked = True
    with history.broken("web", "host-1"):
        start(history, "web", "host-1")


# H5


def paused(history: History) -> Guest:
    machine = history.cluster.machines["host-1"]
    history.cluster.storage.grant("host-1", machine.facts.boot)
    history.cluster.storage.leases["host-1"].renewed_at = -100.0
    history.put(web())
    guest = machine.add(web(), 1, incoming=False)
    machine.pause(guest)
    return guest


def renewing(history: History, seconds: int) -> None:
    for _ in range(seconds):
        history.cluster.storage.leases["host-1"].renewed_at = history.cluster.world.now
        history.wait(1)


@of(PausedNoLonger)
def test_a_vm_that_goes_on_in_time_is_well(history: History) -> None:
    guest = paused(history)
    history.wait(100)  # no lease
    renewing(history, 8)
    history.saw(Resumed("web", "host-1", guest.instance, 1))
    renewing(history, 20)
    assert history.armed == 1


@of(PausedNoLonger)
def test_a_vm_that_stands_still_with_a_lease_breaks_h5(history: History) -> None:
    paused(history)
    with history.broken("web", "host-1"):
        renewing(history, 20)


@of(PausedNoLonger)
def test_a_domain_that_outlives_its_hosts_fence_breaks_h5(history: History) -> None:
    paused(history)
    history.cluster.storage.leases["host-1"].revoked = True
    history.cluster.machines["host-1"].running.clear()  # nobody there who could do it
    history.wait(60)
    history.launch("host-1", 2)
    with history.broken("web", "host-1"):
        history.wait(20)


@of(PausedNoLonger)
def test_a_host_that_cannot_deal_with_what_is_paused_is_promised_time(history: History) -> None:
    """Its node hangs, its hypervisor does not say what is there, or its line is too slow to connect to the storage: the
    time begins when that is over."""
    paused(history)
    machine = history.cluster.machines["host-1"]
    history.cluster.storage.leader = "host-2"
    machine.listable = False
    renewing(history, 30)
    machine.listable = True
    machine.stall_process("node")
    renewing(history, 30)
    machine.unstall_process("node")
    machine.network.strain("host-1", Line(delay=0.7))
    renewing(history, 30)
    machine.network.relieve("host-1", Line(delay=0.7))
    machine.network.strain("host-1", Line(delay=0.1))
    with history.broken("web", "host-1"):
        renewing(history, 20 + 2 * int(SETTLE_SECONDS))  # the primary of the store is there


@of(PausedNoLonger)
@pytest.mark.parametrize("wanted", [web(state=VMState.SUSPENDED), web("host-2"), web(epoch=2)])
def test_what_shall_not_run_here_stands_still(history: History, wanted: VM) -> None:
    paused(history)
    history.put(wanted)
    renewing(history, 40)


def without_lease(history: History) -> Guest:
    guest = paused(history)
    history.wait(30)
    history.cluster.machines["host-1"].held_until = 0.0
    return guest


@of(PausedNoLonger)
def test_a_host_that_ends_a_vm_because_its_lease_is_over_breaks_h5(history: History) -> None:
    guest = without_lease(history)
    with history.broken("web", "host-1"):
        history.cluster.machines["host-1"].remove(guest)


@of(PausedNoLonger)
@pytest.mark.parametrize("wanted", [web("host-2"), web(state=VMState.UNKNOWN), web(host_epoch=1)])
def test_what_others_were_given_may_end_without_a_lease(history: History, wanted: VM) -> None:
    guest = without_lease(history)
    history.put(wanted)
    history.cluster.machines["host-1"].remove(guest)


@of(PausedNoLonger)
def test_a_fault_may_end_a_vm_without_a_lease(history: History) -> None:
    guest = without_lease(history)
    history.disturb()
    history.cluster.machines["host-1"].remove(guest)


# H6


def lost(history: History, **fields: Any) -> None:
    ran = replace(web(), **fields)  # not web(**fields), whose ``on`` says where it is
    history.put(ran)
    history.put(host("host-1", state=HostState.FENCED), replace(ran, state=VMState.UNKNOWN))


@of(NeverGivenUp)
def test_a_vm_that_is_tried_again_and_again_is_well(history: History) -> None:
    lost(history)
    for _ in range(4):
        history.wait(UNTRIED_SECONDS - 20)
        history.put(Lock(id="vm/web", job="ha.rescue-1"))
        history.put(Lock(id="vm/web"))
    history.end()
    assert history.armed == 1


@of(NeverGivenUp)
def test_a_vm_that_nobody_tries_breaks_h6(history: History) -> None:
    lost(history)
    with history.broken("web", "host-2"):
        history.wait(UNTRIED_SECONDS + 20)


@of(NeverGivenUp)
def test_a_wanted_vm_that_is_left_off_breaks_h6(history: History) -> None:
    lost(history)
    history.put(web(state=VMState.STOPPED))
    with history.broken("web", "host-2"):
        history.wait(UNTRIED_SECONDS + 20)


@of(NeverGivenUp)
@pytest.mark.parametrize("fields", [{"on": False}, {"ha": False}, {"memory_mib": 99_999}], ids=str)
def test_one_that_nobody_wants_or_can_have_may_wait(history: History, fields: dict[str, Any]) -> None:
    lost(history, **fields)
    history.wait(2 * UNTRIED_SECONDS)


# H8


def work_through(history: History, seconds: float, asked: int, done: int, name: str) -> None:
    """So many Jobs are asked for, evenly, and so many of them end; the others wait."""
    for number in range(asked):
        id = f"{name}-{number}"
        history.put(job(id, W.READY, operation="vm.start"))
        if number < done:
            history.put(job(id, W.RUNNING, operation="vm.start"))
            history.put(job(id, W.DONE, operation="vm.start"))
        history.wait(seconds / asked)


@of(RecoversItsPace)
@pytest.mark.parametrize(("asked", "done"), [(60, 60), (20, 20), (60, 55)], ids=["as before", "less to do", "nearly"])
def test_a_job_center_at_its_old_pace_is_well(history: History, asked: int, done: int) -> None:
    work_through(history, WINDOW_SECONDS, 60, 60, "before")
    history.disturb()
    history.wait(WINDOW_SECONDS + 2)
    work_through(history, WINDOW_SECONDS + 2, asked, done, "after")
    assert history.armed == 1


@of(RecoversItsPace)
def test_a_job_center_that_falls_behind_breaks_h8(history: History) -> None:
    work_through(history, WINDOW_SECONDS, 60, 60, "before")
    history.disturb()
    history.wait(WINDOW_SECONDS + 2)
    with history.broken("after-20"):
        work_through(history, WINDOW_SECONDS + 2, 60, 20, "after")


@of(RecoversItsPace)
def test_one_with_little_to_do_proves_nothing(history: History) -> None:
    work_through(history, WINDOW_SECONDS, JOBS - 5, JOBS - 5, "before")
    history.disturb()
    history.wait(WINDOW_SECONDS + 2)
    work_through(history, WINDOW_SECONDS + 2, 60, 0, "after")
    assert not history.armed


# P5


def placing(
    history: History, vms: dict[str, int], placed: dict[str, str], first: tuple[str, ...] = (), only: str = ""
) -> None:
    """A rescue of these VMs (GiB each) that found these places, on any host or on one alone."""
    batch = [
        vm(id, state=VMState.UNKNOWN, host="host-0", memory_mib=gib * 1024, priority="high" if id in first else "low")
        for id, gib in vms.items()
    ]
    history.put(*batch)
    asked = msgspec.to_builtins(Placing(vms=tuple(vms), purpose=Purpose.RESCUE, host=only))
    made: dict[str, Any] = {"function": "place", "arguments": asked}
    history.put(task("ha.rescue-1", "place", W.RUNNING, 1, **made))
    facts = {id: Fact(host=placed[id]) if id in placed else Fact(refusal="no room") for id in vms}
    ended: Work = task("ha.rescue-1", "place", W.DONE, 1, facts=facts, **made)
    history.put(*(replace(one, reserved=placed.get(one.id, "")) for one in batch))
    history.put(ended)


@of(RescuesMost)
def test_a_batch_that_places_all_it_can_or_one_less_is_well(history: History) -> None:
    full = {"a": "host-1", "b": "host-2", "c": "host-3"}
    placing(history, {"a": 5, "b": 5, "c": 5, "d": 4}, full)
    assert history.armed == 1
    placing(history, {"a": 5, "b": 5, "c": 3, "d": 5}, full)
    assert history.armed == 2


@of(RescuesMost)
def test_two_fewer_than_can_be_placed_break_p5(history: History) -> None:
    with history.broken("c", "d"):
        placing(history, {"a": 4, "b": 4, "c": 4, "d": 4}, {"a": "host-1", "b": "host-2"})


@of(RescuesMost)
def test_vms_that_stay_where_they_were_have_that_host_alone(history: History) -> None:
    history.put(host("host-1", state=HostState.FENCED))
    placing(history, {"a": 4, "b": 4, "c": 4, "d": 4}, {}, only="host-1")
    assert history.armed == 1
    with history.broken("a", "b", "c"):
        placing(history, {"a": 2, "b": 2, "c": 2}, {}, only="host-2")


@of(RescuesMost)
def test_the_less_urgent_in_the_place_of_the_urgent_break_p5(history: History) -> None:
    names = {"a": 8, "b": 8, "c": 4, "d": 4, "e": 8}
    with history.broken("a", "b"):
        placing(history, names, {"c": "host-1", "d": "host-2", "e": "host-3"}, first=("a", "b"))


@of(RescuesMost)
def test_of_many_as_many_as_by_first_fit_decreasing(history: History) -> None:
    many = {f"web-{number}": 2 for number in range(13)}
    placed = {f"web-{number}": f"host-{number % 3 + 1}" for number in range(12)}
    placing(history, many, placed)
    assert history.armed == 1
    with history.broken("web-11"):
        placing(history, many, {id: where for id, where in placed.items() if id != "web-11"})


@of(RescuesMost)
def test_a_batch_is_judged_only_by_what_held_all_the_time(history: History) -> None:
    history.put(Group(id="g", rule=Rule.MUST_DIFFERENT_HOSTS, vms=("a", "b"), state=GroupState.ENABLED))
    placing(history, {"a": 4, "b": 4, "c": 4, "d": 4}, {"a": "host-1"})
    assert not history.armed


# S4


def migrating(history: History) -> Guest:
    """The copy on host-2 is whole: both stand still. What runs on host-1 is returned."""
    history.put(web(epoch=1))
    source = history.cluster.machines["host-1"].add(web(epoch=1), 1, incoming=False)
    history.cluster.machines["host-2"].add(web(epoch=1), 2, incoming=True, job="vm.migrate-1")
    source.state = DomainState.PAUSED
    return source


def lose_the_copy(history: History) -> None:
    history.lose("host-2")
    machine = history.cluster.machines["host-2"]
    machine.remove(machine.guests["web"])


def rejoins(history: History, name: str) -> None:
    history.cluster.machines[name].powered = True
    history.saw(Joined(name, f"{name}/boot-2"))


def is_rescued(history: History, on: str = "host-3") -> None:
    history.put(web(on, epoch=3, state=VMState.STARTING))
    start(history, "web", on, instance=9)


@of(FencedFirst)
@pytest.mark.parametrize("lost_first", [False, True])
def test_a_target_that_is_lost_as_it_gets_the_right_is_who_is_to_be_proved_lost(
    history: History, lost_first: bool
) -> None:
    migrating(history)
    if lost_first:
        lose_the_copy(history)
    history.put(web("host-2", epoch=2))
    if not lost_first:
        lose_the_copy(history)
    rejoins(history, "host-2")
    is_rescued(history)
    assert history.armed == 1


@of(FencedFirst)
def test_a_rescue_while_the_lost_target_may_still_have_the_right_breaks_s4(history: History) -> None:
    migrating(history)
    history.put(web("host-2", epoch=2))
    lose_the_copy(history)
    rejoins(history, "host-1")  # proves nothing of host-2
    with history.broken("web", "host-2"):
        is_rescued(history)


@of(FencedFirst)
def test_a_target_that_is_lost_before_it_gets_the_right_proves_nothing_of_the_source(history: History) -> None:
    migrating(history)
    lose_the_copy(history)
    rejoins(history, "host-2")
    with history.broken("web", "host-1"):
        is_rescued(history, "host-2")


@of(FencedFirst)
@pytest.mark.parametrize("when", ["at the commit", "later"])
def test_a_source_that_runs_though_the_right_was_given_away_is_to_be_proved_lost(history: History, when: str) -> None:
    source = migrating(history)
    if when == "at the commit":
        source.state = DomainState.RUNNING
    history.put(web("host-2", epoch=2))
    lose_the_copy(history)
    if when == "later":
        history.saw(Resumed("web", "host-1", source.instance, 1))
    rejoins(history, "host-2")
    with history.broken("web", "host-1"):
        is_rescued(history)


@of(FencedFirst)
def test_a_copy_that_was_given_up_gets_no_right_of_a_later_start(history: History) -> None:
    migrating(history)
    machine = history.cluster.machines["host-2"]
    machine.remove(machine.guests["web"])
    history.put(web("host-2", epoch=2))
    rejoins(history, "host-2")
    with history.broken("web", "host-1"):
        is_rescued(history)


def boots_anew(history: History) -> None:
    """With what ran there gone, and without a lease."""
    history.put(web(epoch=1))
    machine = history.cluster.machines["host-1"]
    machine.add(web(epoch=1), 1, incoming=False)
    start(history, "web", "host-1", job="vm.start-1")
    history.lose("host-1")
    machine.remove(machine.guests["web"])
    machine.powered = True


@of(FencedFirst)
def test_a_host_that_boots_and_finds_nothing_of_a_vm_has_proved_that_it_does_not_run(history: History) -> None:
    boots_anew(history)
    history.put(web(epoch=1, state=VMState.UNKNOWN))
    is_rescued(history)
    assert history.armed == 1


@of(FencedFirst)
@pytest.mark.parametrize("what", ["not said", "without power", "untrue"])
def test_a_rescue_breaks_s4_if_it_is(history: History, what: str) -> None:
    boots_anew(history)
    machine = history.cluster.machines["host-1"]
    if what == "without power":
        machine.powered = False
    if what == "untrue":
        machine.add(web(epoch=1), 1, incoming=False)
    if what != "not said":
        history.put(web(epoch=1, state=VMState.UNKNOWN))
    with history.broken("web", "host-1"):
        is_rescued(history)
