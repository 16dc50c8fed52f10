"""Two worlds are the same when every thing goes through the same states at about the same times; and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.model.work import LEAD, Work, WorkState
from drivers.sim.physics import BED, SERVERS
from sim.expect import Met
from sim.scenario.load import load, loads
from sim.tables import CATALOGUE
from sim.worlds.chronicle import GONE, Chronicle, Moment, histories
from sim.worlds.compare import Thing, compare, entries
from sim.worlds.measures import MEASURES, taken
from sim.worlds.page import Compared, line, page
from sim.worlds.simulated import play


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


SHIPPED = Path(__file__).parents[3] / "scenarios/both"


def test_the_simulator_is_like_itself_and_a_page_says_so() -> None:
    scenario = load(SHIPPED / "power.yaml", CATALOGUE)
    outcome, moments = play(scenario)
    things = compare(moments, moments, entries(scenario))
    met = list(outcome.expected)
    compared = Compared("scenarios/both/power.yaml", "power", "said so", things, met, met)
    assert compared.passed
    assert line(compared).endswith(": the same")
    text = page([compared])
    assert "1 of them at the same times" in text
    assert "| [power](../scenarios/both/power.yaml) | said so |" in text
    assert "running on host-1 → suspended on host-1 1.0 / 1.0 → running on host-1 5.0 / 5.0" in text


def test_a_page_says_what_differs() -> None:
    one = story("vm web-1", (0.0, "running on host-1"), (9.0, "stopped"))
    late = story("vm web-1", (0.0, "running on host-1"), (19.0, "stopped"))
    other = story("vm web-1", (0.0, "running on host-1"), (9.0, "gone"))
    wrong = Met("web-1 off", "it is running", False)
    texts = [line(Compared("f", "n", "d", compare(one, real, [0.0]), [], [wrong])) for real in (late, other)]
    assert "vm web-1 stopped at 9.0 s, on the bed at 19.0 s" in texts[0]
    assert "simulated running on host-1 → stopped; on the bed running on host-1 → gone" in texts[1]
    assert all("web-1 off, on the bed: it is running" in text for text in texts)


def test_every_measure_is_of_a_scenario_that_ships_and_has_what_it_measures() -> None:
    found = {}
    for name in {measure.scenario for measure in MEASURES}:
        scenario = load(SHIPPED / f"{name}.yaml", CATALOGUE)
        _, moments = play(scenario)
        found[name] = compare(moments, moments, entries(scenario))
    seconds = {each.measure.phrase: each.simulated for each in taken(found)}
    assert len(seconds) == len(MEASURES)
    assert all(each is not None and each > 0.0 for each in seconds.values()), seconds


def test_hardware_sets_the_times_and_only_those(tmp_path: Path) -> None:
    text = (SHIPPED / "shutdown.yaml").read_text()
    servers = loads(text.replace("hardware: bed", "hardware: servers"), CATALOGUE, tmp_path / "s.yaml")
    (_, quick), (_, slow) = play(loads(text, CATALOGUE, tmp_path / "b.yaml")), play(servers)
    ends = [next(m.at for m in moments if m.state == "stopped") for moments in (quick, slow)]
    assert BED.shutdown[0] < ends[0] - 1.0 < BED.shutdown[1] + 0.5
    assert SERVERS.shutdown[0] < ends[1] - 1.0 < SERVERS.shutdown[1] + 0.5
