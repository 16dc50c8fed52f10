"""What costs a VM a restart on account of its host, and what does not: each exception of H7, and what is just beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ave.model.cluster import Lock
from ave.model.vm import VMState
from drivers.sim.facts import Disturbed, Gone, Powered, Resumed, Revoked, Started
from sim.invariants.h7_flapping_hosts import FlappingHosts
from tests.unit.sim.history import HOSTS, History, W, host, job, vm

HOUR_SECONDS, STEADY_SECONDS = 3600.0, 297.0


@pytest.fixture
def history() -> Iterator[History]:
    with History(FlappingHosts) as history:
        history.put(*map(host, HOSTS))
        yield history


def start(history: History, name: str, on: str, epoch: int = 1, job: str = "ha.rescue-1") -> None:
    history.saw(Started(name, on, epoch, epoch, 1024, False, job))


def twice_restarted(history: History) -> None:
    """One more on account of host-1 is one too many."""
    start(history, "web", "host-1", job="vm.start-1")
    down_and_up(history, 2)


def at_work(history: History, operation: str) -> None:
    history.put(job(f"{operation}-7", W.RUNNING, operation=operation), Lock(id="vm/web", job=f"{operation}-7"))


def is_over(history: History) -> None:
    history.put(Lock(id="vm/web"))


def down_and_up(history: History, times: int, pause: float = 300.0) -> None:
    for number in range(1, times + 1):
        history.wait(pause)
        history.saw(Powered("host-1", False))
        history.wait(1)
        start(history, "web", "host-1", number + 1)


def test_two_restarts_an_hour_are_well(history: History) -> None:
    start(history, "web", "host-1", job="vm.start-1")
    down_and_up(history, 2)
    down_and_up(history, 1, HOUR_SECONDS + 60)
    assert history.armed == 1


def test_a_third_restart_within_an_hour_breaks_h7(history: History) -> None:
    start(history, "web", "host-1", job="vm.start-1")
    with history.broken("web", "host-1"):
        down_and_up(history, 3)


def test_a_host_that_stands_for_five_minutes_between_does_not_flap(history: History) -> None:
    start(history, "web", "host-1", job="vm.start-1")
    for epoch in (2, 3, 4):
        history.put(host("host-1", epoch=epoch))
        down_and_up(history, 1)
    assert not history.armed


def test_one_that_stands_for_less_does(history: History) -> None:
    start(history, "web", "host-1", job="vm.start-1")
    for epoch in (2, 3):
        history.put(host("host-1", epoch=epoch))
        down_and_up(history, 1, STEADY_SECONDS - 5)
    history.put(host("host-1", epoch=4))
    with history.broken("web", "host-1"):
        down_and_up(history, 1, STEADY_SECONDS - 5)


def test_restarts_of_a_process_on_a_host_that_stands_do_not_count(history: History) -> None:
    for number in range(1, 6):
        start(history, "web", "host-1", number)
    assert not history.armed


def test_revivals_of_a_guest_that_fell_silent_are_not_on_account_of_its_host(history: History) -> None:
    start(history, "web", "host-1", job="vm.start-1")
    for epoch in (2, 3, 4, 5):
        history.wait(300)
        history.saw(Disturbed("node-stall", ("host-1",)))
        start(history, "web", "host-1", epoch, job="ha.revive-1")
    assert not history.armed


def test_a_third_restart_just_within_the_hour_breaks_h7(history: History) -> None:
    twice_restarted(history)
    with history.broken("web", "host-1"):
        down_and_up(history, 1, HOUR_SECONDS - 310.0)


def test_one_loss_counts_from_its_begin_however_long_until_it_is_known(history: History) -> None:
    """It had not stood for five minutes when it lost power; that its lease is revoked later changes nothing."""
    start(history, "web", "host-1", job="vm.start-1")
    for epoch in (2, 3, 4):
        history.put(host("host-1", epoch=epoch))
        history.wait(STEADY_SECONDS - 5)
        history.saw(Powered("host-1", False))
        history.wait(20)
        history.saw(Revoked("host-1"))
        if epoch == 4:
            break
        start(history, "web", "host-1", epoch)
    with history.broken("web", "host-1"):
        start(history, "web", "host-1", 4)


@pytest.mark.parametrize("by", ["crashed", "shutdown"])
def test_a_vm_that_ended_by_itself_was_not_ended_by_its_host(history: History, by: str) -> None:
    twice_restarted(history)
    history.wait(10)
    history.saw(Gone("web", "host-1", 3, by))
    history.saw(Powered("host-1", False))
    start(history, "web", "host-1", 4)


def test_one_that_its_host_ended_was(history: History) -> None:
    twice_restarted(history)
    history.wait(10)
    history.saw(Powered("host-1", False))
    history.saw(Gone("web", "host-1", 3))
    with history.broken("web", "host-1"):
        start(history, "web", "host-1", 4)


def test_an_end_by_itself_excuses_one_start_only(history: History) -> None:
    twice_restarted(history)
    history.saw(Gone("web", "host-1", 3, "crashed"))
    start(history, "web", "host-1", 4)
    with history.broken("web", "host-1"):
        down_and_up(history, 1)


def test_one_that_its_user_was_ending_was_not_ended_by_its_host(history: History) -> None:
    twice_restarted(history)
    history.wait(10)
    at_work(history, "vm.restart")
    history.saw(Powered("host-1", False))
    history.saw(Gone("web", "host-1", 3))
    is_over(history)
    start(history, "web", "host-1", 4)


def test_one_that_a_rescue_was_ending_was(history: History) -> None:
    twice_restarted(history)
    history.wait(10)
    at_work(history, "ha.rescue")
    history.saw(Powered("host-1", False))
    history.saw(Gone("web", "host-1", 3))
    with history.broken("web", "host-1"):
        start(history, "web", "host-1", 4)


def test_a_user_who_brings_a_vm_to_a_host_wants_it_there(history: History) -> None:
    twice_restarted(history)
    start(history, "web", "host-2", 4, job="vm.start-9")
    at_work(history, "vm.migrate")
    history.saw(Resumed("web", "host-1", 9, 5))
    is_over(history)
    down_and_up(history, 2)


@pytest.mark.parametrize("operation", ["ha.rescue", "vm.migrate"])
def test_one_that_nobody_asked_for_comes_there_at_its_old_account(history: History, operation: str) -> None:
    """Also if its user brings it to another host on the way."""
    twice_restarted(history)
    if operation == "vm.migrate":
        at_work(history, operation)
    history.saw(Resumed("web", "host-2", 8, 4))
    at_work(history, "ha.rescue")
    history.saw(Resumed("web", "host-1", 9, 5))
    is_over(history)
    with history.broken("web", "host-1"):
        down_and_up(history, 1)


def test_a_user_who_starts_a_vm_there_wants_it_there(history: History) -> None:
    twice_restarted(history)
    at_work(history, "vm.start")
    start(history, "web", "host-1", 4, job="vm.start-7")
    is_over(history)
    down_and_up(history, 2)


def test_a_restart_by_a_user_is_none(history: History) -> None:
    twice_restarted(history)
    history.wait(10)
    history.saw(Powered("host-1", False))
    start(history, "web", "host-1", 4, job="vm.start-9")


def test_a_copy_that_comes_in_is_no_restart(history: History) -> None:
    twice_restarted(history)
    history.wait(10)
    history.saw(Powered("host-1", False))
    history.saw(Started("web", "host-1", 4, 4, 1024, True, "ha.rescue-1"))


@pytest.mark.parametrize(
    "loss", [Powered("host-1", False), Revoked("host-1"), Disturbed("something", ("host-1",))], ids=str
)
def test_whatever_befalls_its_host_counts(history: History, loss: Powered | Revoked | Disturbed) -> None:
    twice_restarted(history)
    history.wait(10)
    history.saw(loss)
    with history.broken("web", "host-1"):
        start(history, "web", "host-1", 4)


@pytest.mark.parametrize("loss", [Powered("host-2", False), Disturbed("something", ("host-2",))], ids=str)
def test_what_befalls_another_host_does_not(history: History, loss: Powered | Disturbed) -> None:
    twice_restarted(history)
    history.wait(10)
    history.saw(loss)
    start(history, "web", "host-1", 4)


@pytest.mark.parametrize(("epoch", "elsewhere"), [(4, True), (5, False)], ids=["an old copy", "the VM itself"])
def test_an_old_copy_that_wakes_is_not_where_the_vm_runs(history: History, epoch: int, elsewhere: bool) -> None:
    twice_restarted(history)
    start(history, "web", "host-2", 5, job="vm.start-9")
    history.saw(Resumed("web", "host-1", 3, epoch))
    history.wait(10)
    history.saw(Powered("host-1", False))
    if elsewhere:
        start(history, "web", "host-3", 6)
    else:
        with history.broken("web", "host-1"):
            start(history, "web", "host-3", 6)


def test_another_vm_of_the_same_name_begins_anew(history: History) -> None:
    history.put(vm("web", "host-1"))
    twice_restarted(history)
    history.drop(vm("web", "host-1"))
    start(history, "web", "host-1", 1, job="vm.create-1")
    down_and_up(history, 2)


def test_one_that_is_stopped_and_not_brought_there_by_its_user_does_not(history: History) -> None:
    history.put(vm("web", "host-1"))
    twice_restarted(history)
    history.put(vm("web", state=VMState.STOPPED))
    start(history, "web", "host-2", 4, job="vm.start-9")
    history.saw(Powered("host-2", False))
    start(history, "web", "host-1", 5)
    with history.broken("web", "host-1"):
        down_and_up(history, 1)
