"""Whom urgent work may wait for: each exception of J9, and what is just beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ave.model.cluster import Role
from drivers.sim.network import Line, Plane
from sim.invariants.j9_room_for_the_urgent import RoomForTheUrgent
from tests.unit.sim.history import History, W, of, task

pytestmark = of(RoomForTheUrgent)

STOPS, SETTLE_SECONDS = 10, 15.0


Deed = Callable[[History], None]


def busy(history: History, pieces: int, operation: str = "vm.create") -> None:
    for number in range(pieces):
        history.put(task("crowd", f"{operation}-{number}", W.RUNNING, 1, operation=operation))


def test_urgent_work_that_is_claimed_at_once_is_well(history: History) -> None:
    busy(history, 80)
    history.wait(30)
    history.put(task("stop", "a", W.READY, operation="vm.poweroff"))
    history.wait(4)
    history.put(task("stop", "a", W.RUNNING, 1, operation="vm.poweroff"))
    history.wait(30)
    assert history.armed == 1


def crowded(history: History) -> None:
    busy(history, 100)


def stopping(history: History) -> None:
    """One stop less than a host has room for."""
    busy(history, STOPS - 1, "vm.shutdown")


def leaderless(history: History) -> None:
    """Only the lanes of roles need a leader."""
    history.wait(30)
    history.cluster.storage.leader = None


@pytest.mark.parametrize(
    ("operation", "before"),
    [
        ("vm.poweroff", crowded),
        ("vm.shutdown", crowded),
        ("ha.rescue", crowded),
        ("vm.poweroff", stopping),
        ("vm.poweroff", leaderless),
    ],
)
def test_urgent_work_that_waits_breaks_j9(history: History, operation: str, before: Deed) -> None:
    before(history)
    history.wait(30)
    history.put(task("stop", "a", W.READY, operation=operation))
    with history.broken("stop/a", "host-1"):
        history.wait(7)


def test_stops_wait_for_stops_but_rescues_for_nobody(history: History) -> None:
    busy(history, 80)
    busy(history, 10, "vm.shutdown")
    history.wait(30)
    history.put(task("stop", "a", W.READY, operation="vm.poweroff"))
    history.wait(60)
    history.put(task("rescue", "a", W.READY, operation="ha.rescue"))
    with history.broken("rescue/a"):
        history.wait(7)


def test_the_lane_of_a_host_that_is_away_promises_nothing(history: History) -> None:
    history.wait(30)
    history.lose("host-2")
    history.put(task("stop", "a", W.READY, host="host-2", operation="vm.poweroff"))
    history.wait(60)


def test_a_worker_that_hangs_is_promised_time_from_when_it_moves(history: History) -> None:
    history.wait(30)
    history.cluster.machines["host-2"].stall_process("node")
    history.put(task("stop", "a", W.READY, host="host-2", operation="vm.poweroff"))
    history.wait(60)
    history.cluster.machines["host-2"].unstall_process("node")
    history.put(task("stop", "b", W.READY, host="host-2", operation="vm.poweroff"))
    with history.broken("stop", "host-2"):
        history.wait(30)


def test_a_host_whose_line_to_the_store_comes_and_goes_is_promised_time(history: History) -> None:
    """Nothing is said when it goes: it is looked at. Once it stays, the work must begin."""
    cluster = history.cluster
    away = next(host for host in cluster.machines if cluster.store.reign is None or host != cluster.store.reign.host)
    history.put(task("stop", "a", W.READY, host=away, operation="vm.poweroff"))
    for _ in range(6):
        cluster.network.cut((away,), (Plane.MANAGEMENT,))
        history.wait(10)
        cluster.network.heal((away,), (Plane.MANAGEMENT,))
        history.wait(10)
    with history.broken("stop/a", away):
        history.wait(25)


def test_more_than_a_hundred_at_once_break_j9(history: History) -> None:
    busy(history, 100)
    history.put(task("crowd", "vm.create-0", W.DONE, 1))
    history.put(task("other", "a", W.RUNNING, 1))
    with history.broken("other/b"):
        history.put(task("other", "b", W.RUNNING, 1))


def started_anew(history: History) -> None:
    history.launch("host-1", start=2)


def another_changed(history: History) -> None:
    history.launch("host-2", start=2)
    history.cluster.network.strain("host-2", Line(delay=0.3))


@pytest.mark.parametrize(
    ("befalls", "more"),
    [
        pytest.param(started_anew, 4, id="its worker is started anew"),
        pytest.param(another_changed, 0, id="another's is"),
        pytest.param(History.disturb, SETTLE_SECONDS + 4, id="whatever is done to the world"),
    ],
)
def test_what_gives_a_worker_more_time_and_what_does_not(history: History, befalls: Deed, more: float) -> None:
    history.wait(30)
    history.put(task("stop", "a", W.READY, operation="vm.poweroff"))
    history.wait(4)
    befalls(history)
    history.wait(more)
    with history.broken("stop/a"):
        history.wait(3)


@pytest.mark.parametrize(("delay", "late"), [(0.2, False), (0.3, True)])
def test_a_host_whose_line_to_the_store_is_slow_promises_nothing(history: History, delay: float, late: bool) -> None:
    history.wait(30)
    history.cluster.network.strain("host-2", Line(delay=delay))
    history.put(task("stop", "a", W.READY, host="host-2", operation="vm.poweroff"))
    if late:
        history.wait(60)
        history.cluster.network.relieve("host-2", Line(delay=delay))
        history.wait(SETTLE_SECONDS + 4)
    with history.broken("stop/a"):
        history.wait(7)


def test_the_lane_of_a_role_that_nobody_has_promises_nothing(history: History) -> None:
    history.put(Role(id="scheduler", holder="host-1"))
    history.wait(30)
    history.cluster.storage.leader = None
    history.put(task("rescue", "a", W.READY, host="scheduler", handler="", operation="ha.rescue"))
    history.wait(60)
    history.cluster.storage.leader = "host-1"
    with history.broken("rescue/a"):
        history.wait(7)


def test_who_takes_a_role_is_promised_time_from_then(history: History) -> None:
    history.put(Role(id="scheduler", holder="host-1"))
    history.wait(30)
    history.put(task("rescue", "a", W.READY, host="scheduler", handler="", operation="ha.rescue"))
    history.wait(4)
    history.cluster.storage.leader = "host-2"
    history.put(Role(id="scheduler", holder="host-2"))
    history.wait(4)
    with history.broken("rescue/a", "host-2"):
        history.wait(3)


def test_a_leader_that_hangs_before_it_has_taken_the_role_is_promised_time_from_when_it_moves(history: History) -> None:
    """With the draw of that day explore 23: who had the role before may not claim, and nobody else may have it."""
    history.put(Role(id="scheduler", holder="host-1"))
    history.wait(30)
    history.cluster.machines["host-2"].stall_process("node")
    history.cluster.storage.leader = "host-2"
    history.put(task("rescue", "a", W.READY, host="scheduler", handler="", operation="ha.rescue"))
    history.wait(60)
    history.cluster.machines["host-2"].unstall_process("node")
    history.wait(SETTLE_SECONDS + 4)
    with history.broken("rescue/a", "host-2"):
        history.wait(3)


def test_a_leader_that_does_not_take_the_role_breaks_j9(history: History) -> None:
    history.put(Role(id="scheduler", holder="host-1"))
    history.wait(30)
    history.put(task("rescue", "a", W.READY, host="scheduler", handler="", operation="ha.rescue"))
    history.cluster.storage.leader = "host-2"
    with history.broken("rescue/a", "host-2"):
        history.wait(8)
