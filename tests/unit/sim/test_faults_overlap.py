"""Faults that overlap: the worst of those that are alike is in force, and the end of one ends no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ave.ha.timing import HUNG_SECONDS, LOOP_SECONDS
from ave.model.host import Host, HostState
from drivers.sim.facts import Wrote
from drivers.sim.storage import Flaw
from sim.faults import FAULTS
from tests.unit.sim.laboratory import HOST, World


class Alike(msgspec.Struct, frozen=True):
    """Two faults on the same thing, how it shows there, and with neither, the milder and the worse one."""

    mild: tuple[str, dict[str, Any]]
    bad: tuple[str, dict[str, Any]]
    shown: Callable[[World], Any]
    values: tuple[Any, Any, Any]


def _twice(name: str, shown: Callable[[World], Any], usual: Any, wrong: Any, **given: Any) -> Alike:
    return Alike((name, given), (name, given), shown, (usual, wrong, wrong))


def _more(name: str, key: str, mild: float, bad: float, shown: Callable[[World], Any], usual: float) -> Alike:
    return Alike((name, {key: mild}), (name, {key: bad}), shown, (usual, mild, bad))


def _volume(world: World) -> str:
    return f"{world.here(HOST)[0]}-disk-1"


def _halted(process: str, host: str = HOST) -> Callable[[World], bool]:
    return lambda world: world.machines[host].running[process].halted


ALIKE = (
    _more("lost-answers", "share", 0.1, 0.5, lambda world: world.store.lost_answers, 0.0),
    _more("store-lag", "seconds", 1.0, 2.0, lambda world: world.store.lag.seconds if world.store.lag else 0.0, 0.0),
    _more("store-slow", "seconds", 0.1, 0.2, lambda world: world.store.delay, 0.0),
    _twice("store-full", lambda world: world.store.full, usual=False, wrong=True),
    _more("slow-disk", "factor", 2.0, 3.0, lambda world: world.machines[HOST].disk_factor, 1.0),
    _more("slow-disk", "factor", 2.0, 3.0, lambda world: world.store.slow.get(HOST, 1.0), 1.0),
    _more("storage-slow", "factor", 2.0, 3.0, lambda world: world.storage.slow.get(HOST, 1.0), 1.0),
    _twice("storage-full", lambda world: world.storage.full, usual=False, wrong=True),
    _twice("storage-quorum-loss", lambda world: world.storage.quorate, usual=True, wrong=False),
    _twice("fs-readonly", lambda world: world.machines[HOST].read_only, usual=False, wrong=True),
    Alike(
        ("volume-error", {}),
        ("volume-silent", {}),
        lambda world: world.storage.flaws.get(_volume(world)),
        (None, Flaw.ERROR, Flaw.SILENT),
    ),
    _more("clock-drift", "rate", 1.0005, 0.999, lambda world: world.machines[HOST].clock.rate, 1.0),
    Alike(
        ("vm-hang", {"unkillable": False}),
        ("vm-hang", {"unkillable": True}),
        lambda world: world.machines[HOST].mute.get(world.here(HOST)[0]),
        (None, False, True),
    ),
    Alike(
        ("vm-network-loss", {"network": "vm"}),
        ("vm-network-loss", {"network": ""}),
        lambda world: world.machines[HOST].networks_down,
        ((), ("vm",), ("vm",)),
    ),
    _twice("listing-fails", lambda world: world.machines[HOST].listable, usual=True, wrong=False),
    _more("busy-memory", "factor", 20.0, 30.0, lambda world: world.machines[HOST].dirty_factor, 1.0),
    _twice("host-stall", _halted("node"), usual=False, wrong=True),
    _twice("node-stall", _halted("node"), usual=False, wrong=True, seen=False),
    _twice("guard-stall", _halted("guard"), usual=False, wrong=True),
    _twice("half-open", lambda world: HOST in world.network.half_open, usual=False, wrong=True),
    _twice("half-open", lambda world: world.network.whole, usual=True, wrong=False),
    _twice("storage-loss", lambda world: world.network.whole, usual=True, wrong=False),
    Alike(("storage-loss", {}), ("partition", {}), lambda world: world.network.whole, (True, False, False)),
    Alike(("half-open", {}), ("partition", {}), lambda world: world.network.whole, (True, False, False)),
    Alike(
        ("packet-loss", {"share": 0.1}),
        ("network-delay", {"seconds": 0.1}),
        lambda world: world.network.whole,
        (True, False, False),
    ),
)


def _begin(world: World, fault: tuple[str, dict[str, Any]]) -> Callable[[], None]:
    name, given = fault
    target = FAULTS[name].kind.target
    whom = {"host": (HOST,), "hosts": (HOST,), "vm": tuple(world.here(HOST)[:1])}.get(target, ())
    return world.begin(name, *whom, **given)


@pytest.mark.parametrize("bad_first", [False, True])
@pytest.mark.parametrize("bad_ends_first", [False, True])
@pytest.mark.parametrize("alike", ALIKE, ids=lambda alike: f"{alike.mild[0]} and {alike.bad[0]}")
def test_of_two_alike_the_worse_is_in_force_and_each_ends_itself(
    world: World, alike: Alike, bad_first: bool, bad_ends_first: bool
) -> None:
    usual, mild, bad = alike.values
    assert alike.shown(world) == usual
    if bad_first:
        end_bad, end_mild = _begin(world, alike.bad), _begin(world, alike.mild)
    else:
        end_mild, end_bad = _begin(world, alike.mild), _begin(world, alike.bad)
    assert alike.shown(world) == bad
    if bad_ends_first:
        end_bad()
        assert alike.shown(world) == mild
        end_mild()
    else:
        end_mild()
        assert alike.shown(world) == bad
        end_bad()
    assert alike.shown(world) == usual
    assert not any(world.impaired.values())


@pytest.mark.parametrize("name", ["storage-flap", "management-flap", "crash-loop"])
def test_what_comes_again_and_again_may_overlap_with_itself(world: World, name: str) -> None:
    given = {"process": "node", "seconds": 10.0} if name == "crash-loop" else {"period": 10.0}
    ends = [world.begin(name, HOST, **given) for _ in range(2)]
    for end in ends:
        world.advance(20.0)
        end()
    world.advance(LOOP_SECONDS)
    assert world.network.whole
    assert world.store.ledger.get(Host, HOST).state is HostState.ONLINE


def test_a_line_that_flaps_and_is_cut_is_cut_until_that_has_ended_too(world: World) -> None:
    flap, loss = world.begin("storage-flap", HOST, period=2.0), world.begin("storage-loss", HOST)
    for _ in range(10):
        assert world.during(0.7) == []
        assert not world.network.whole
    flap()
    assert not world.network.whole
    loss()
    assert world.network.whole


def test_a_host_that_crashed_twice_is_off_until_both_have_ended(world: World) -> None:
    first = world.begin("host-crash", HOST)
    second = world.begin("zone-crash", zone="c")
    first()
    world.advance(91.0)
    assert not world.machines[HOST].powered
    second()
    world.advance(91.0)
    assert world.machines[HOST].powered


def test_a_host_that_crashes_while_it_boots_does_not_come_up(world: World) -> None:
    world.begin("host-crash", HOST)()
    second = world.begin("host-crash", HOST)
    world.advance(200.0)
    assert not world.machines[HOST].powered
    second()
    world.advance(91.0)
    assert world.machines[HOST].powered


def test_a_host_that_is_off_does_not_reboot(world: World) -> None:
    world.begin("host-crash", HOST)
    world.begin("host-reboot", HOST, seconds=1.0)
    world.advance(30.0)
    assert not world.machines[HOST].powered


def test_writes_are_held_until_nobody_holds_them_any_more(world: World) -> None:
    ends = [world.begin("write-hold", HOST) for _ in range(2)]
    world.advance(10.0)
    for end in ends:
        assert all(fact.host != HOST for fact in world.during(10.0, Wrote))
        end()
    assert any(fact.host == HOST for fact in world.during(10.0, Wrote))


def test_a_leader_that_hangs_twice_goes_on_when_both_have_ended(world: World) -> None:
    leader = world.storage.leader
    assert leader is not None
    first, second = world.begin("leader-stall"), world.begin("node-stall", leader)
    first()
    assert world.machines[leader].running["node"].halted
    second()
    assert not world.machines[leader].running["node"].halted


def test_a_process_that_was_started_anew_hangs_only_because_of_what_came_later(world: World) -> None:
    machine = world.machines[HOST]
    first = world.begin("node-stall", HOST)
    machine.kill("node")
    world.advance(5.0)
    second = world.begin("node-stall", HOST)
    assert machine.running["node"].halted
    second()
    assert not machine.running["node"].halted, "what hung before was another process"
    first()
    assert not machine.running["node"].halted


def test_a_host_that_has_booted_anew_stands_still_only_because_of_what_came_later(world: World) -> None:
    machine = world.machines[HOST]
    first = world.begin("host-stall", HOST)
    world.begin("host-reboot", HOST, seconds=1.0)
    world.advance(2.0)
    assert not machine.running["node"].halted
    second = world.begin("host-stall", HOST)
    first()
    assert machine.running["node"].halted, "who stands still was another boot"
    second()
    assert not machine.running["node"].halted


def test_a_node_is_ended_by_the_guard_for_as_long_as_one_of_two_that_make_it_hang_is_seen(world: World) -> None:
    node = world.machines[HOST].running["node"]
    unseen = world.begin("node-stall", HOST, seen=False)
    world.begin("node-stall", HOST, seen=True)()
    world.advance(HUNG_SECONDS + 6.0)
    assert world.machines[HOST].running["node"] is node
    world.begin("node-stall", HOST, seen=True)
    unseen()
    world.advance(HUNG_SECONDS + 6.0)
    assert world.machines[HOST].running["node"] is not node
