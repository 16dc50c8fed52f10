"""Two worlds are the same when every thing goes through the same states at about the same times; and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import LEAD, Work, WorkState
from sim.worlds.chronicle import GONE, Chronicle, Moment, histories
from sim.worlds.compare import Thing, compare


def story(what: str, *states: tuple[float, str]) -> list[Moment]:
    return [Moment(at, what, state) for at, state in states]


def only(simulated: list[Moment], real: list[Moment], entries: tuple[float, ...] = (0.0,)) -> Thing:
    (thing,) = compare(simulated, real, entries)
    return thing


def test_the_same_states_at_about_the_same_times_are_the_same() -> None:
    one = story("vm web-1", (0.0, "running on host-1"), (10.0, "stopped"))
    assert only(one, story("vm web-1", (0.0, "running on host-1"), (13.9, "stopped"))).passed


def test_another_order_is_not() -> None:
    one = story("job vm.start 1", (1.0, "ready"), (1.1, "running"), (1.2, "done"))
    other = story("job vm.start 1", (1.0, "ready"), (1.1, "done"), (1.2, "running"))
    thing = only(one, other)
    assert not thing.same_order
    assert not thing.passed


@pytest.mark.parametrize("missing", ["simulated", "real"])
def test_what_only_one_world_has_is_not(missing: str) -> None:
    shown = story("vm web-1", (1.0, "creating"))
    thing = only([], shown) if missing == "simulated" else only(shown, [])
    assert not thing.passed


def test_where_a_thing_begins_must_be_the_same_too() -> None:
    assert not only(story("vm web-1", (0.0, "running on host-1")), story("vm web-1", (0.0, "running on host-2"))).passed


@pytest.mark.parametrize(("real", "near"), [(20.1, True), (22.6, True), (22.7, False), (32.6, False)])
def test_a_fifth_and_two_seconds_are_allowed_and_counted_from_the_entry_before(real: float, near: bool) -> None:
    """20 s are long after the story's begin, but no time after the entry at 20 s."""
    one, other = (story("vm web-1", (0.0, "stopped"), (at, "starting on host-1")) for at in (20.1, real))
    assert only(one, other, (0.0, 20.0)).passed is near


def test_an_entry_between_the_two_is_no_begin() -> None:
    one, other = (story("vm web-1", (0.0, "stopped"), (at, "starting on host-1")) for at in (9.0, 10.5))
    (pair,) = only(one, other, (0.0, 10.0)).pairs
    assert pair.since == 0.0


def vm(**given: object) -> VM:
    return VM(id="web-1", vcpus=1, memory_mib=128, **given)  # type: ignore[arg-type]


def job(id: str, state: WorkState, **given: object) -> Work:
    return Work(id=id, job=id, function=LEAD, lane="host-1", state=state, **given)  # type: ignore[arg-type]


@dataclass
class Told:
    chronicle: Chronicle = field(default_factory=Chronicle)

    def at(self, at: float, kind: str, id: str, doc: object) -> None:
        self.chronicle.apply([(kind, id, doc)], at)

    @property
    def states(self) -> dict[str, list[str]]:
        return {what: [m.state for m in own] for what, own in histories(self.chronicle.moments).items()}


def test_a_chronicle_has_each_state_once_and_where_a_vm_is() -> None:
    told = Told()
    told.at(0.0, "vm", "web-1", vm(state=VMState.RUNNING, host="host-1"))
    told.at(1.0, "vm", "web-1", vm(state=VMState.RUNNING, host="host-1", epoch=7))
    told.at(2.0, "vm", "web-1", vm(state=VMState.RUNNING, host="host-2"))
    told.at(3.0, "vm", "web-1", vm(state=VMState.STOPPED, host="host-2"))
    told.at(4.0, "vm", "web-1", None)
    assert told.states == {"vm web-1": ["running on host-1", "running on host-2", "stopped", GONE]}


def test_what_was_before_the_story_is_only_where_it_begins() -> None:
    told = Told()
    for at, state in ((-9.0, HostState.JOINING), (0.0, HostState.ONLINE), (5.0, HostState.SUSPECT)):
        told.at(at, "host", "host-1", Host(id="host-1", cpus=1, memory_mib=1, state=state))
    assert told.states == {"host host-1": ["online", "suspect"]}


def test_jobs_are_numbered_as_they_come_but_not_old_ones_and_not_those_of_the_clock() -> None:
    told = Told()
    told.at(-1.0, "work", "old", job("old", WorkState.RUNNING, operation="vm.start"))
    told.at(1.0, "work", "old", job("old", WorkState.DONE, operation="vm.start"))
    told.at(2.0, "work", "b", job("b", WorkState.READY, operation="vm.start"))
    told.at(3.0, "work", "a", job("a", WorkState.READY, operation="vm.start"))
    told.at(4.0, "work", "b", job("b", WorkState.RUNNING, operation="vm.start"))
    told.at(5.0, "work", "c", job("c", WorkState.READY, operation="vm.synchronise"))
    told.at(6.0, "work", "t", Work(id="t", job="a", function="start", lane="host-1"))
    assert told.states == {"job vm.start 1": ["ready", "running"], "job vm.start 2": ["ready"]}


def test_starts_are_counted_from_the_begin_of_the_story() -> None:
    told = Told()
    told.at(0.0, "vm", "web-1", vm(state=VMState.STARTING, host="host-1"))
    assert told.chronicle.starts() == {}
    told.at(1.0, "vm", "web-1", vm(state=VMState.RUNNING, host="host-1"))
    told.at(2.0, "vm", "web-1", vm(state=VMState.STARTING, host="host-1"))
    assert told.chronicle.starts() == {"web-1": 1}
