"""The model by itself: what is told becomes what is there, at once and only once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.model.vm import VM, VMState
from tui.held import HOLDING, Holdings
from tui.model import Model, State


def vm(id: str, state: str = "running", host: str = "h1", **fields: Any) -> dict[str, Any]:
    return {"id": id, "state": state, "host": host, "vcpus": 2, "memory_mib": 1024, **fields}


def task(id: str, job: str, submitted: float) -> dict[str, Any]:
    return {"id": id, "job": job, "submitted": submitted, "state": "ready"}


def told(*events: tuple[str, dict[str, Any]]) -> Model:
    model = Model()
    for event, body in events:
        model.feed(event, body, 0.0)
    model.flush()
    return model


def test_nothing_moves_between_two_flushes():
    model = told(("reset", {"vm": [vm("a"), vm("b")]}))
    revision = model.revision
    for number in range(1000):
        model.feed("delta", {"vm": [vm("a", memory_mib=number)], "gone": [["vm", "b"]]}, 0.0)
    assert (list(model.docs["vm"]), model.revision) == (["a", "b"], revision)
    assert model.flush()
    assert model.docs["vm"] == {"a": vm("a", memory_mib=999)}
    assert (model.revision, model.stamp["vm"]["a"], model.counts["vm"]) == (revision + 1, revision + 1, revision + 1)
    assert not model.flush()


def test_all_at_once_is_what_one_after_the_other_is():
    vms = [vm("a"), vm("b", "stopped"), vm("c", host="h2"), vm("a", "unknown")]
    tasks = [task("t1", "j", 1.0), task("t2", "j", 2.0), task("t3", "k", 3.0)]
    volumes = [{"id": "v"}]  # which has no state
    whole = told(("reset", {"vm": vms, "task": tasks, "volume": volumes}))
    parts = [
        ("delta", {name: [doc]}) for name, docs in (("vm", vms), ("task", tasks), ("volume", volumes)) for doc in docs
    ]
    slow = told(("reset", {"vm": [vm("d")]}))
    slow.feed("delta", {"gone": [["vm", "d"]]}, 0.0)
    for part in parts:
        slow.flush()
        slow.feed(*part, 0.0)
    slow.flush()
    for model in (whole, slow):
        assert model.docs["vm"] == {"a": vm("a", "unknown"), "b": vms[1], "c": vms[2]}
    assert whole.docs == slow.docs
    assert [+states for states in whole.states.values()] == [+states for states in slow.states.values()]
    assert {host: dict(held.vms) for host, held in whole.held.items()} == {
        host: dict(held.vms) for host, held in slow.held.items()
    }
    assert (whole.parts("j"), whole.parts("k")) == (slow.parts("j"), slow.parts("k"))
    assert set(whole.stamp["vm"].values()) == {whole.revision}


def test_what_went_and_came_back_is_there():
    model = told(("reset", {"vm": [vm("a")]}))
    model.feed("delta", {"gone": [["vm", "a"]]}, 0.0)
    model.feed("delta", {"vm": [vm("a", "stopped")]}, 0.0)
    model.flush()
    assert model.docs["vm"]["a"]["state"] == "stopped"
    assert +model.states["vm"] == {"stopped": 1}


def test_a_reset_forgets_all_but_never_takes_a_stamp_back():
    model = told(("reset", {"vm": [vm("a"), vm("b")], "task": [task("t", "j", 1.0)]}))
    stamp = model.stamp["vm"]["a"]
    model.feed("delta", {"vm": [vm("c")]}, 0.0)  # of before
    model.feed("reset", {"vm": [vm("a")]}, 0.0)
    model.flush()
    assert (list(model.docs["vm"]), model.docs["task"], model.parts("j")) == (["a"], {}, [])
    assert model.stamp["vm"]["a"] > stamp
    assert list(model.held["h1"].vms) == ["a"]
    assert model.resets == 2


def test_tasks_are_found_by_their_job_and_leave_with_the_word_for_jobs():
    model = told(
        ("reset", {"job": [{"id": "j", "state": "waiting"}], "task": [task("t2", "j", 2.0), task("t1", "j", 1.0)]})
    )
    assert [each["id"] for each in model.parts("j")] == ["t1", "t2"]
    model.feed("delta", {"task": [task("t3", "j", 3.0)]}, 0.0)
    model.feed("delta", {"gone": [["job", "t1"], ["job", "t3"], ["job", "never seen"]]}, 0.0)
    model.flush()
    assert [each["id"] for each in model.parts("j")] == ["t2"]
    model.feed("delta", {"gone": [["job", "j"], ["job", "t2"]]}, 0.0)
    model.flush()
    assert (model.docs["job"], model.docs["task"], model.parts("j")) == ({}, {}, [])


def test_lines_are_numbered_over_those_that_were_never_told():
    line = {"at": 3.0, "who": "host/h1", "event": "fenced", "fields": {"why": "silent"}}
    model = told(("reset", {"log": [line]}), ("delta", {"log_skipped": 40, "log": [line]}))
    first, last = model.log
    assert (first.about, first.what, first.why, first.level) == (("host", "h1"), "fenced", "silent", "bad")
    assert (last.number, model.logged) == (42, 42)


def test_the_past_of_a_chart_is_replaced_by_what_comes_again():
    model = told(("delta", {"sample": [{"t": 10.0, "a": 1.0}, {"t": 20.0, "a": 2.0}]}))
    model.feed("delta", {"sample": [{"t": 15.0, "a": 3.0, "b": 4.0}]}, 0.0)
    assert {name: list(points) for name, points in model.series.items()} == {
        "a": [(10.0, 1.0), (15.0, 3.0)],
        "b": [(15.0, 4.0)],
    }
    model.history({"t": [12.0, 13.0], "a": [5.0, None]}, [])  # of a host that has not been there for as long
    assert list(model.series["a"]) == [(10.0, 1.0), (12.0, 5.0)]
    model.history({"t": [1.0, 2.0], "a": [6.0, 7.0]}, [])
    assert list(model.series["a"]) == [(1.0, 6.0), (2.0, 7.0)]


@pytest.mark.parametrize(
    ("clock", "now"),
    [
        (None, 103.0),
        ({"now": 50.0, "speed": 60.0}, 50.0 + 120.0),  # it is told each second: no more is guessed than two
        ({"now": 50.0, "speed": "max", "pace": 10.0}, 70.0),
        ({"now": 50.0, "speed": 60.0, "paused": True}, 50.0),
        ({"now": 50.0, "speed": 60.0, "broken": "a bug"}, 50.0),
    ],
)
def test_time_goes_on_between_two_words_as_it_went(clock, now):
    model = told(("time", {"now": 100.0, "fed": True}))
    model.state = State.LIVE
    if clock is not None:
        model.feed("clock", clock, 0.0)
    assert model.now(3.0) == now
    model.state = State.LOST
    assert model.now(1000.0) == model.now(3.0) <= now


def test_what_holds_memory_is_what_the_control_plane_says():
    assert {state.value for state in VMState if VM(id="a", vcpus=1, memory_mib=1, state=state).holds_memory} == HOLDING


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.none()
            | st.builds(vm, st.just("x"), st.sampled_from(["running", "stopped", "unknown"]), st.sampled_from("xy")),
        )
    )
)
def test_what_is_held_is_the_sum_of_what_is_there(changes):
    holdings = Holdings()
    docs: dict[str, dict[str, Any]] = {}
    for id, doc in changes:
        holdings.change(id, docs.pop(id, None), doc)
        if doc is not None:
            docs[id] = doc
    for host in "xy":
        here = [doc for doc in docs.values() if doc["host"] == host and doc["state"] in HOLDING]
        held = holdings.by_host.get(host)
        assert (
            (len(held.vms), held.vcpus, held.memory_mib) == (len(here), 2 * len(here), 1024 * len(here))
            if held
            else not here
        )
