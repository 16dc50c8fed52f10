"""When a VM may stop or pause: each exception of H2, and what is just beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ave.ha.timing import PROFILES, RENEW_SECONDS
from ave.model.cluster import Lock
from drivers.sim.facts import Deposed, Disturbed, Elected, Gone, Paused, Powered, Resumed, Started
from drivers.sim.network import Line, Plane
from sim.invariants.h2_static_stability import StaticStability
from tests.unit.sim.history import History, vm

AFTERMATH_SECONDS = 300.0
HOST, OTHER = "host-2", "host-3"  # neither is the storage's leader
WITHOUT_SECONDS = PROFILES["seed"].give_up - 2 * RENEW_SECONDS  # for so long a lease surely lasts
PAUSED, GONE = Paused("web", HOST, 1), Gone("web", HOST, 1)
BOTH = pytest.mark.parametrize("stop", [PAUSED, GONE], ids=["paused", "gone"])


@pytest.fixture
def history() -> Iterator[History]:
    with History(StaticStability) as history:
        history.put(vm("web", HOST, epoch=1))
        history.saw(Started("web", HOST, 1, 1, 1024, False))
        history.wait(1)
        yield history


def locked(history: History, vm: str = "web") -> None:
    history.put(Lock(id=f"vm/{vm}", job="j"))


def free(history: History) -> None:
    history.put(Lock(id="vm/web"))


def paused_by_a_job(history: History) -> None:
    locked(history)
    history.saw(PAUSED)
    free(history)


@BOTH
def test_a_vm_that_stops_without_a_reason_breaks_h2(history: History, stop: Paused | Gone) -> None:
    history.disturb()
    with history.broken("web", HOST):
        history.saw(stop)


def test_it_is_at_stake_when_something_befalls_no_host_while_vms_run(history: History) -> None:
    history.disturb()
    assert history.armed == 0
    history.cluster.machines[HOST].add(vm("web", HOST), 1, incoming=False)
    history.saw(Disturbed("something", (HOST,)))
    assert history.armed == 0
    history.disturb()
    assert history.armed == 1


# What was done to its host, or to it


@BOTH
@pytest.mark.parametrize(
    "harm", [Disturbed("something", (HOST,)), Disturbed("something", (), ("web",))], ids=["host", "vm"]
)
def test_what_was_harmed_may_stop_however_much_later(history: History, harm: Disturbed, stop: Paused | Gone) -> None:
    history.saw(harm)
    history.wait(2 * AFTERMATH_SECONDS)
    history.saw(stop)


@BOTH
@pytest.mark.parametrize(
    "harm", [Disturbed("something", (OTHER,)), Disturbed("something", (), ("db",))], ids=["host", "vm"]
)
def test_what_befell_another_is_no_reason(history: History, harm: Disturbed, stop: Paused | Gone) -> None:
    history.saw(harm)
    with history.broken("web", HOST):
        history.saw(stop)


@pytest.mark.parametrize(
    "end", [Disturbed("something", (HOST,), over=True), Powered(HOST, True)], ids=["a fault is over", "power is back"]
)
def test_a_harm_shows_for_a_while_after_its_end_and_no_longer(history: History, end: Disturbed | Powered) -> None:
    history.saw(end)
    history.wait(AFTERMATH_SECONDS - 1)
    history.saw(PAUSED)
    history.saw(Resumed("web", HOST, 1, 1))
    history.wait(2)
    with history.broken("web", HOST):
        history.saw(PAUSED)


def test_the_end_of_one_harm_is_not_the_end_of_another(history: History) -> None:
    for what in ("one", "other"):
        history.saw(Disturbed(what, (HOST,), lasting=True))
    history.saw(Disturbed("one", (HOST,), lasting=True, over=True))
    history.wait(2 * AFTERMATH_SECONDS)
    history.saw(PAUSED)
    history.saw(Resumed("web", HOST, 1, 1))
    history.saw(Disturbed("other", (HOST,), lasting=True, over=True))
    history.wait(AFTERMATH_SECONDS + 1)
    with history.broken("web", HOST):
        history.saw(PAUSED)


def test_who_is_there_from_the_start_comes_back_from_nothing() -> None:
    with History(StaticStability) as history:
        history.saw(Powered(HOST, True))
        history.saw(Started("web", HOST, 1, 1, 1024, False))
        with history.broken("web", HOST):
            history.saw(PAUSED)


# A host without the storage or its leader


def cut(history: History, seconds: float) -> None:
    history.cluster.network.cut((HOST,), (Plane.STORAGE,))
    history.wait(seconds)


def heal(history: History) -> None:
    history.cluster.network.heal((HOST,), (Plane.STORAGE,))


def test_a_host_without_storage_may_pause_when_its_lease_may_have_ended(history: History) -> None:
    cut(history, WITHOUT_SECONDS)
    history.saw(PAUSED)


def test_not_before(history: History) -> None:
    cut(history, WITHOUT_SECONDS - 1)
    with history.broken("web", HOST):
        history.saw(PAUSED)


def test_when_it_is_back_that_may_still_show_for_a_while(history: History) -> None:
    cut(history, WITHOUT_SECONDS)
    heal(history)
    history.wait(AFTERMATH_SECONDS - 1)
    history.saw(PAUSED)
    history.saw(Resumed("web", HOST, 1, 1))
    history.wait(2)
    with history.broken("web", HOST):
        history.saw(PAUSED)


@pytest.mark.parametrize(("gone", "back"), [(RENEW_SECONDS + 1, 1), (1, RENEW_SECONDS)], ids=["early", "and renewed"])
def test_but_not_if_it_was_back_in_time(history: History, gone: float, back: float) -> None:
    cut(history, WITHOUT_SECONDS - gone)
    heal(history)
    history.wait(back)
    with history.broken("web", HOST):
        history.saw(PAUSED)


@pytest.mark.parametrize(("back", "renewed"), [(RENEW_SECONDS - 1, False), (RENEW_SECONDS, True)])
def test_who_is_back_for_less_than_a_renewal_was_not_back(history: History, back: float, renewed: bool) -> None:
    cut(history, WITHOUT_SECONDS - 20)
    heal(history)
    history.wait(back)
    cut(history, 20)
    if renewed:
        with history.broken("web", HOST):
            history.saw(PAUSED)
    else:
        history.saw(PAUSED)


def another_leads(history: History) -> None:
    history.cluster.storage.leader = None
    history.saw(Deposed("host-1"))
    history.cluster.storage.leader = OTHER
    history.saw(Elected(OTHER, 2))


@pytest.mark.parametrize(
    ("delay", "elected"), [(0.9, False), (0.6, True)], ids=["keeps its connection", "makes another"]
)
def test_on_a_slow_line_a_lease_is_renewed(history: History, delay: float, elected: bool) -> None:
    history.cluster.network.strain(HOST, Line(delay=delay))
    if elected:
        another_leads(history)
    history.wait(WITHOUT_SECONDS + 10)
    with history.broken("web", HOST):
        history.saw(PAUSED)


def test_on_a_very_slow_line_no_other_leader_is_reached(history: History) -> None:
    history.cluster.network.strain(HOST, Line(delay=0.9))
    another_leads(history)
    history.wait(WITHOUT_SECONDS)
    history.saw(PAUSED)


def test_without_a_leader_nobody_renews(history: History) -> None:
    history.cluster.storage.leader = None
    history.saw(Deposed("host-1"))
    history.wait(WITHOUT_SECONDS)
    history.saw(PAUSED)


# What stops nobody


@BOTH
def test_a_job_may_stop_what_it_has_locked(history: History, stop: Paused | Gone) -> None:
    locked(history)
    history.saw(stop)


@BOTH
def test_no_job_may_stop_what_it_has_not(history: History, stop: Paused | Gone) -> None:
    locked(history, "db")
    with history.broken("web", HOST):
        history.saw(stop)


def test_a_vm_may_end_by_itself(history: History) -> None:
    history.saw(Gone("web", HOST, 1, "crashed"))


@pytest.mark.parametrize("ran", [False, True])
def test_a_copy_may_go_that_never_ran(history: History, ran: bool) -> None:
    history.saw(Started("web", OTHER, 2, 1, 1024, True))
    copy = Gone("web", OTHER, 2)
    if ran:
        history.saw(Resumed("web", OTHER, 2, 2))
        with history.broken("web", OTHER):
            history.saw(copy)
    else:
        history.saw(copy)


def test_what_stands_still_may_go_when_the_right_was_given_away(history: History) -> None:
    paused_by_a_job(history)
    history.put(vm("web", OTHER, epoch=2))
    history.saw(GONE)


def test_what_stands_still_may_go_when_its_vm_was_deleted(history: History) -> None:
    paused_by_a_job(history)
    history.drop(vm("web"))
    history.saw(GONE)


def test_what_stands_still_may_not_go_while_it_has_the_right(history: History) -> None:
    paused_by_a_job(history)
    with history.broken("web", HOST):
        history.saw(GONE)


@pytest.mark.parametrize("paused", [False, True])
def test_what_runs_may_not_go_though_the_right_was_given_away(history: History, paused: bool) -> None:
    """Nor what was paused for a while."""
    if paused:
        paused_by_a_job(history)
        history.saw(Resumed("web", HOST, 1, 1))
    history.put(vm("web", OTHER, epoch=2))
    with history.broken("web", HOST):
        history.saw(GONE)
