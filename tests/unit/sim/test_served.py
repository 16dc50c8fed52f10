"""A served scenario without HTTP: whose API answers, faults from outside, and the same run again from its journal."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave import __version__
from ave.api.desk import Answer, Manner
from ave.api.problems import Invalid, NotFound, Taken
from ave.api.questions import Select, Show, ShowJob
from ave.errors import Refused, Unavailable
from ave.model.access import ROOT
from ave.operations import CreateVMs, NewVM
from ave.runtime import Task
from drivers.sim.runtime import SimRuntime
from sim.faults import FAULTS
from sim.journal import Ask, Entry, Head, Journal, JournalFile, Leave, Pause, Strike, read
from sim.scenario import problem
from sim.scenario.load import loads
from sim.scenario.model import Scenario
from sim.scenario.moment import read_fault
from sim.served import Served, replay
from sim.tables import CATALOGUE
from tests.served import documents

TEXT = """
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: served}
spec:
  seed: 5
  duration: 10m
  topology: {hosts: 4, cpu: 32, memory: 64GiB, masters: 3}
  workload:
    - {fleet: web, count: 8, vcpu: 2, memory: 4GiB, disk: 10GiB}
    - {fleet: ci, count: 20, vcpu: 1, memory: 1GiB, disk: 5GiB, arrive: {dist: poisson, rate: 120/h, batch: 2}}
  timeline:
    - {at: 30s, fault: vm-crash, target: {fleet: web, mode: one}}
"""


PLAIN = Manner()


def scenario(text: str = TEXT) -> Scenario:
    return loads(text, CATALOGUE, Path("served.yaml"))


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(scenario()) as served:
        yield served


def start(served: Served, name: str, request: Any, manner: Manner = PLAIN) -> tuple[Task[None], list[Any]]:
    """As the bridge does: at this instant, and whatever it raises is an answer too."""
    said: list[Any] = []

    async def ask() -> None:
        try:
            said.append(await served.ask(ROOT, name, request, manner))
        except Exception as error:
            said.append(error)

    task = served.runtime().spawn(ask(), name="test")
    served.advance(served.now)
    return task, said


def asked(served: Served, name: str, request: Any, seconds: float = 30.0) -> Any:
    _, said = start(served, name, request)
    served.advance(served.now + seconds)
    (answer,) = said
    return answer


def new_vms(*ids: str) -> CreateVMs:
    return CreateVMs(
        vms=tuple(NewVM(id=id, vcpus=1, memory_mib=512, networks=("vm-net",), disks_gib=(1,)) for id in ids)
    )


def test_another_host_takes_over_and_its_view_catches_up(served: Served) -> None:
    served.advance(5.0)
    assert served.host == "host-1"
    assert served.view.fed
    served.begin_fault({"fault": "host-crash", "target": "host-1", "for": "60s"})
    assert served.host == "host-2"
    served.advance(served.now + 1.0)
    early = asked(served, "vm.list", Select())  # the store has lost its primary with it
    assert isinstance(early, Unavailable)
    assert "host-2 does not hear the store" in str(early)
    answer = asked(served, "vm.list", Select())
    assert isinstance(answer, Answer)
    assert answer.value.total >= 8


def test_a_host_that_stands_still_is_left_too_and_its_view_is_read_no_more(served: Served) -> None:
    served.advance(5.0)
    served.begin_fault({"fault": "host-stall", "target": "host-1", "for": "20s"})
    assert served.host == "host-2"
    served.advance(served.now + 60.0)
    assert not served.broken
    assert asked(served, "host.list", Select()).value.total == 4


def test_the_api_of_a_named_host_is_gone_while_the_host_is_and_comes_back_with_it() -> None:
    with Served(scenario(), host="host-3") as served:
        served.advance(5.0)
        served.begin_fault({"fault": "host-crash", "target": "host-3", "for": "60s"})
        with pytest.raises(Unavailable, match="API of host-3 does not answer: it has no power"):
            served.runtime()
        assert not served.view.fed
        served.advance(served.now + 400.0)
        assert served.view.fed
        assert asked(served, "host.show", Show(id="host-3")).value.id == "host-3"


def test_who_is_served_must_be_there() -> None:
    with pytest.raises(Refused, match="no host host-9: host-1, host-2"):
        Served(scenario(), host="host-9")


@pytest.mark.parametrize(
    ("said", "pointer", "why"),
    [
        ({"fault": "host-crsh", "target": "host-1"}, "/fault", "did you mean \"host-crash\""),
        ({"target": "host-1"}, "/fault", "is missing"),
        ({"fault": "host-crash"}, "/target", "is missing"),
        ({"fault": "host-crash", "target": "host-7"}, "/target", "unknown host"),
        ({"fault": "host-crash", "target": ["host-1", "host-7"]}, "/target/1", "unknown host"),
        ({"fault": "host-crash", "target": "host-1", "for": 60}, "/for", "60"),
        ({"fault": "host-crash", "target": "host-1", "fro": "60s"}, "", "did you mean \"for\""),
        ({"fault": "host-crash", "target": "host-1", "at": "60s"}, "/at", "leave it out"),
        ({"fault": "vm-crash", "target": "wbe-1"}, "/target/0", "did you mean \"web-1\""),
        ({"fault": "clock-drift", "target": "host-1", "rate": 7}, "/rate", "between"),
        (["host-crash"], "", "must be an object"),
    ],
)  # fmt: skip
def test_what_no_scenario_may_say_is_refused_with_its_place(served: Served, said: Any, pointer: str, why: str) -> None:
    served.advance(1.0)
    before = documents(served)
    with pytest.raises(Invalid) as refused:
        served.begin_fault(said)
    assert [error for error in refused.value.errors if error.pointer.startswith(pointer) and why in error.detail]
    assert documents(served) == before
    assert served.faults()["under_way"] == []


def test_a_fault_ends_when_that_is_asked_for_or_by_itself(served: Served) -> None:
    served.advance(1.0)
    one = served.begin_fault({"fault": "store-slow", "seconds": "1s"})
    other = served.begin_fault({"fault": "busy-memory", "target": "host-2", "for": "10s"})
    assert [fault.id for fault in served.faults()["under_way"]] == [one.id, other.id]
    assert other.until == 11.0
    served.advance(12.0)
    assert [fault.id for fault in served.faults()["under_way"]] == [one.id]
    assert served.end_fault(one.id).until == 12.0
    with pytest.raises(NotFound, match="no fault fault-1 is under way"):
        served.end_fault(one.id)


def test_a_world_that_breaks_says_why_and_stands_still(served: Served) -> None:
    served.advance(1.0)

    async def fail() -> None:
        raise ValueError("on purpose")

    SimRuntime(served.story.cluster.world, "breaker").spawn(fail(), name="fail")
    served.advance(5.0)
    assert "on purpose" in served.broken
    now = served.now
    served.advance(50.0)
    assert served.now == now
    with pytest.raises(Unavailable, match="on purpose"):
        served.runtime()
    with pytest.raises(Taken, match="on purpose"):
        served.begin_fault({"fault": "host-crash", "target": "host-1"})


def test_nobody_waits_for_a_job_while_the_world_is_paused(served: Served) -> None:
    served.advance(1.0)
    _, said = start(served, "vm.create", new_vms("one"), Manner(wait=60.0))
    served.advance(served.now + 0.1)
    assert not said
    served.pause(True)
    served.advance(served.now)
    assert said[0].value.finished == 0
    _, shown = start(served, "job.show", ShowJob(id=said[0].value.id, wait=60.0))
    assert shown[0].value.id == said[0].value.id


def test_random_slices_with_faults_are_one_straight_run_of_the_journal(tmp_path: Path) -> None:
    chance = Random("slices")
    file = JournalFile(tmp_path / "journal.jsonl", Head(ave=__version__, scenario="served.yaml", seed=5, host=""))

    lists = {True: 0, False: 0}  # answered at once?

    def go(served: Served, seconds: float) -> None:
        end = served.now + seconds
        while served.now < end:
            served.advance(min(end, served.now + chance.choice((0.0, 1e-3, 0.02, 0.7)) * chance.random()))
            if chance.random() < 0.01:
                _, said = start(served, "vm.list", Select())
                lists[bool(said)] += 1
            if chance.random() < 0.01:
                start(served, "vm.show", Show(id="nobody"))  # asks the store, and so moves what its host draws

    with Served(scenario(), journal=Journal(file.write)) as served:
        go(served, 3.1)
        start(served, "vm.create", new_vms("a", "b"), Manner(wait=30.0))
        go(served, 2.0)
        served.begin_fault({"fault": "host-crash", "target": served.host, "for": "40s"})  # whose API it was
        go(served, 31.3)  # the store has a primary again
        task, _ = start(served, "vm.create", new_vms("c"), Manner(wait=50.0))
        go(served, 0.004)
        served.drop(task)
        served.advance(served.now)
        served.pause(True)
        start(served, "vm.create", new_vms("d"), Manner(wait=50.0))
        go(served, 0.2)
        served.pause(False)
        lag = served.begin_fault({"fault": "store-lag", "seconds": "2s"})
        served.begin_fault({"fault": "vm-crash", "target": {"fleet": "web", "mode": "fixed", "value": 2}})
        go(served, 60.0)
        served.end_fault(lag.id)
        go(served, 30.0)
        assert not served.broken
        first, end = documents(served), served.now
    file.close(end)

    head, entries, until = read(tmp_path / "journal.jsonl")
    assert (head.seed, until) == (5, end)
    assert {type(entry).__name__ for entry in entries} == {"Ask", "Leave", "Strike", "Relieve", "Pause"}
    assert sum(isinstance(entry, Ask) and entry.name == "vm.list" for entry in entries) == lists[False]
    assert lists[True]

    def again(entries: list[Entry]) -> str:
        with Served(scenario()) as served:
            replay(served, entries, until)
            assert not served.broken
            return documents(served)

    assert again(entries) == first
    without = [entry for entry in entries if not (isinstance(entry, Ask | Leave) and entry.n == asks(entries)[-1])]
    assert again(without) != first


def asks(entries: list[Entry]) -> list[int]:
    left = {entry.ask for entry in entries if isinstance(entry, Leave)}
    return [
        entry.n for entry in entries if isinstance(entry, Ask) and entry.name == "vm.create" and entry.n not in left
    ]


def test_who_asked_a_host_that_stood_still_and_left_is_in_the_journal_when_he_left() -> None:
    def run(journal: Journal, left: float) -> str:
        with Served(scenario(), host="host-1", journal=journal) as served:
            served.advance(5.0)
            task, _ = start(served, "vm.create", new_vms("a", "b"))
            served.advance(5.001)  # it has asked the store
            served.begin_fault({"fault": "host-stall", "target": "host-1", "for": "10s"})
            served.advance(5.0 + left)
            served.drop(task)
            served.advance(60.0)
            assert not served.broken
            return documents(served)

    entries: list[Entry] = []
    first = run(Journal(entries.append), 2.0)
    with Served(scenario(), host="host-1") as served:
        replay(served, sorted(entries, key=lambda entry: entry.n), 60.0)
        assert documents(served) == first
    assert [entry.t for entry in entries if isinstance(entry, Leave)] == [7.0]


def test_a_world_that_broke_breaks_again() -> None:
    with Served(scenario()) as served:
        served.advance(1.0)

        async def fail() -> None:
            raise ValueError("on purpose")

        SimRuntime(served.story.cluster.world, "breaker").spawn(fail(), name="fail")
        replay(served, [Strike(n=1, t=6.0, fault={"fault": "store-full"}), Pause(n=2, t=7.0, paused=True)], 60.0)
        assert "on purpose" in served.broken
        assert served.faults()["under_way"] == []


_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
_JSON = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
_KEYS = st.sampled_from(["fault", "target", "for", "at", "rate", "host", "zone", "share", "network", "action", "kind"])
_SAID = st.dictionaries(_KEYS | st.text(max_size=5), _JSON, max_size=5)
_KINDS = st.sampled_from(sorted(FAULTS))
_TARGETS = _JSON | st.sampled_from(["host-1", ["host-1", "host-2"], {"mode": "one"}, {"mode": "fixed", "value": 2}])


@given(
    _JSON
    | _SAID
    | st.builds(lambda said, kind, target: {**said, "fault": kind, "target": target}, _SAID, _KINDS, _TARGETS)
)
def test_whatever_is_said_is_a_fault_or_invalid(said: Any) -> None:
    said = msgspec.json.decode(msgspec.json.encode(said))
    topology = scenario().topology
    try:
        event = read_fault(said, CATALOGUE, topology, topology.networks)
    except problem.Invalid:
        return
    assert event.name == said["fault"]


@pytest.mark.parametrize("text", ["", "{}\n", '{"type":"end","t":1.0}\n', "no json\n"])
def test_what_is_no_journal_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(text)
    with pytest.raises(Refused, match="is no journal"):
        read(path)
