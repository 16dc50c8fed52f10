"""A recorded run that can be asked: it shows what was, at any moment, and to its last sound byte."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ave.api.desk import Manner
from ave.api.gate import Open
from ave.api.problems import NotFound, Taken
from ave.api.questions import ExplainVM, Select, Show
from ave.kinds import KINDS
from ave.operations import NameVMs, StartVMs
from sim.recorder import Recorder
from sim.recording import Recording
from sim.replay import Replay
from sim.scenario.load import loads
from sim.served import Served
from sim.showing import Showing
from sim.tables import CATALOGUE

SCENARIO = """
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: replayed, description: a host dies}
spec:
  seed: 3
  duration: 200s
  topology: {hosts: 4, cpu: 32, memory: 64GiB}
  workload:
    - {fleet: web, count: 12, vcpu: 2, memory: 4GiB, disk: 20GiB}
    - {fleet: ci, count: 40, vcpu: 1, memory: 1GiB, arrive: {dist: poisson, rate: 720/h}, life: {dist: fixed, value: 30s}}
  timeline: [{at: 30s, fault: host-crash, target: host-2, for: 90s}]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run, and what its API showed of every tenth second."""
    folder = tmp_path_factory.mktemp("run")
    seen: dict[Any, Any] = {}
    recorder = Recorder(folder / "events.jsonl.gz", KINDS, lambda: seen.get("now", 0.0))
    with Served(loads(SCENARIO, CATALOGUE, Path("x")), recorder=recorder, host="host-1") as served:
        for number in range(21):
            for part in range(10):  # the clock of a recorder is the world's
                seen["now"] = 10.0 * number + part
                served.advance(seen["now"])
            seen["now"] = 10.0 * number + 9.5
            served.advance(seen["now"])
            seen[number] = shown(served.view)
    recorder.close()
    return folder, seen


def shown(view):
    return {kind: {id: doc.version for id, doc in docs.items()} for kind, docs in view.projection.docs.items()}


def ask(replay, name, request, **manner):
    caller = asyncio.run(Open().caller(""))
    return asyncio.run(replay.ask(caller, name, request, Manner(**manner))).value


def recording(run):
    return Recording(run[0] / "events.jsonl.gz")


def test_it_shows_what_was_shown(run):
    replay = Replay(recording(run))
    for number in (3, 4, 9, 20, 5, 0):
        replay.seek(10.0 * number + 9.5)
        assert shown(replay.view) == run[1][number]
    replay.seek(39.5)
    replay.advance(99.5)
    assert shown(replay.view) == run[1][9]


def test_lists_and_explanations_are_answered_and_nothing_is_changed(run):
    replay = Replay(recording(run))
    replay.seek(29.0)
    assert ask(replay, "vm.list", Select(q="web")).total == 12
    assert ask(replay, "host.show", Show(id="host-2")).state == "online"
    where = ask(replay, "vm.explain-placement", ExplainVM(id="web-1"))
    assert {host.host for host in where.hosts} == {"host-1", "host-2", "host-3", "host-4"}
    replay.seek(90.0)
    assert ask(replay, "host.show", Show(id="host-2")).state != "online"
    with pytest.raises(NotFound):
        ask(replay, "vm.show", Show(id="nobody"))
    with pytest.raises(Taken, match="has happened"):
        ask(replay, "vm.delete", NameVMs(vms=("web-1",)))
    with pytest.raises(Taken, match="has happened"):
        ask(replay, "job.cancel", Show(id="x"))
    for wish in (replay.faults, lambda: replay.begin_fault({}), lambda: replay.end_fault("x")):
        with pytest.raises(Taken):
            wish()
    assert ask(replay, "vm.start", StartVMs(vms=("web-1",)), dry_run=True).operation == "vm.start"


def test_its_log_and_its_marks_are_of_then(run):
    replay = Replay(recording(run))
    replay.seek(40.0)
    replay.advance(100.0)
    lines = replay.view.projection.lines(0).lines
    assert ("fault", "host-crash") in [(line.who, line.event) for line in lines]
    assert ("host/host-2", "suspect") in [(line.who, line.event) for line in lines]
    assert all(line.at <= 100.0 for line in lines)
    replay.seek(100.0)
    assert any(80.0 < line.at < 100.0 for line in replay.view.projection.lines(0).lines)
    assert [(mark.t, mark.text) for mark in replay.marks()] == [(30.0, "host-crash host-2")]


def test_time_stays_within_it(run):
    replay = Replay(recording(run))
    assert (replay.now, replay.begin) == (0.0, 0.0)
    replay.seek(1e9)
    assert replay.now == replay.end == 209.5
    replay.seek("live")
    assert replay.now == replay.end
    assert replay.peek() == float("inf")
    replay.advance(1e9)
    assert replay.now == replay.end
    jumps = replay.jumps
    replay.seek(-5.0)
    assert (replay.now, replay.jumps) == (0.0, jumps + 1)


@pytest.mark.parametrize("how", ["cut", "damaged", "index lost"])
def test_what_is_damaged_plays_to_the_damage_and_says_so(run, how, tmp_path):
    whole = (run[0] / "events.jsonl.gz").read_bytes()
    half = len(whole) * 2 // 3
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes({"cut": whole[:half], "damaged": whole[:half] + b"\xff" * 64 + whole[half + 64 :]}.get(how, whole))
    if how != "index lost":
        (tmp_path / "events.index.json").write_bytes((run[0] / "events.index.json").read_bytes())
    replay = Replay(Recording(path))
    while replay.peek() < float("inf"):
        replay.advance(replay.now + 7.0)
    assert bool(replay.damage) == (how != "index lost")
    assert replay.now <= replay.end <= 209.5
    replay.seek(replay.end)
    assert len(replay.view.projection.docs["host"]) == 4
    replay.seek(1e9)
    assert replay.now == replay.end


def test_the_past_of_a_world_that_goes_on(tmp_path):
    path = tmp_path / "events.jsonl.gz"
    clock = {"now": lambda: 0.0}
    recorder = Recorder(path, KINDS, lambda: clock["now"]())

    def recorded():
        recorder.flush()
        return Recording(path)

    with Served(loads(SCENARIO, CATALOGUE, Path("x")), recorder=recorder) as served:
        clock["now"] = lambda: served.now
        world = Showing(served, recorded)
        world.advance(29.0)
        before = shown(world.view)
        world.advance(100.0)
        now = shown(world.view)
        world.pause(True)
        world.seek(29.0)
        assert (world.past, world.now, world.end, world.jumps) == (True, 29.0, 100.0, 1)
        assert shown(world.view) == before != now
        with pytest.raises(Exception, match="has happened"):
            world.begin_fault({"fault": "host-crash", "target": "host-1"})
        world.pause(False)
        world.advance(60.0)
        assert (world.past, world.now, served.now) == (True, 60.0, 100.0)
        world.seek(31.0)
        world.advance(150.0)  # it comes to the present first
        assert (world.past, world.now, world.jumps) == (False, 100.0, 3)
        assert shown(world.view) == now
        world.advance(150.0)
        assert served.now == 150.0
        world.seek(120.0)
        world.seek("live")
        assert (world.past, world.now) == (False, 150.0)
        world.seek(1e6)
        assert world.now == 150.0
        assert not served.broken
    recorder.close()


def test_the_charts_of_the_api_are_in_a_recording(run):
    columns = Replay(recording(run)).view.history.columns()
    assert min(columns["hosts.online"]) < 4
    assert set(columns) >= {"t", "vms.running", "memory.share", "jobs.active"}
    assert msgspec.json.encode(columns)
