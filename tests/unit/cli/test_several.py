"""Jobs one after the other, where VMs would go, what a Job has gone through, and colours."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ave.cli import main as commands
from ave.model.states import move
from ave.model.work import Result, Work, WorkState
from ave.ports.store import Replace
from tests.unit.api.lab import Lab
from tests.unit.cli.served import Ave, Served

NEW = ("--cpus", "1", "--memory", "512MiB")


@contextmanager
def ending(here: Served, *failing: str) -> Iterator[list[int]]:
    """Somebody ends every Job; yields how many were open at once, whenever he looked."""
    enough = threading.Event()
    seen: list[int] = []

    async def end(lab: Lab) -> None:
        opened = [work for work in await lab.store.find(Work) if work.state is WorkState.READY]
        seen.append(len(opened))
        for work in opened:
            results = {vm: Result(vm not in failing) for vm in work.arguments["vms"]}
            (led,) = await lab.store.commit(Replace(move(work, WorkState.RUNNING, "led")))
            await lab.store.commit(Replace(move(led, WorkState.DONE, "it is over", results=results)))

    def go_on() -> None:
        while not enough.wait(0.05):
            here.do(end)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield seen
    finally:
        enough.set()
        thread.join(30)


def test_without_a_word_it_is_one_job_and_with_parallel_one_each_and_no_more_at_a_time(ave: Ave, here: Served) -> None:
    with ending(here) as seen:
        told = ave("vm", "poweroff", "web-1", "web-2", "db-1", "--yes", "--parallel", "2")
    assert told.code == 0, told.err
    assert [line.split()[:2] for line in told.out.splitlines()[1:]] == [
        ["web-1", "ok"],
        ["web-2", "ok"],
        ["db-1", "ok"],
    ]
    assert sorted(work.arguments["vms"] for work in here.jobs()) == [["db-1"], ["web-1"], ["web-2"]]
    assert max(seen) <= 2


def test_fail_fast_begins_no_more_once_one_has_failed(ave: Ave, here: Served) -> None:
    with ending(here, "web-2"):
        told = ave("vm", "poweroff", "web-1", "web-2", "db-1", "--yes", "--fail-fast")
    assert told.code == 1
    assert [line.split()[:2] for line in told.out.splitlines()[1:]] == [["web-1", "ok"], ["web-2", "failed"]]
    assert "not begun, because one failed: db-1" in told.err
    assert len(here.jobs()) == 2


def test_what_cannot_even_become_a_job_has_failed_too(ave: Ave, here: Served) -> None:
    with ending(here):
        told = ave("vm", "start", "nobody", "web-2", "--parallel", "1")
    assert told.code == 3
    assert [line.split()[:2] for line in told.out.splitlines()[1:]] == [["web-2", "ok"]]
    assert ave("vm", "start", "web-1", "web-2", "--parallel", "1", "--no-wait").code == 2
    assert ave("vm", "start", "web-1", "web-2", "--parallel", "-1").code == 2


def test_who_does_not_wait_any_longer_is_told_how_to_come_back(ave: Ave, here: Served) -> None:
    told = ave("vm", "start", "web-1", "web-2", "--parallel", "2", "--timeout", "0.2")
    assert told.code == 7
    for work in here.jobs():
        assert work.id in told.err


def test_a_dry_run_says_where_each_would_go(ave: Ave) -> None:
    told = ave("vm", "create", "web-9", "big", *NEW, "--dry-run")
    assert told.code == 0
    assert "web-9 would go to h1" in told.out
    assert "big would go to h1" in told.out
    big = ave("vm", "create", "big", "--cpus", "1", "--memory", "64GiB", "--dry-run")
    assert "big would go nowhere: of 1 host, 1 has too little" in big.out
    plan = json.loads(ave("vm", "start", "web-2", "--dry-run", "-o", "json").out)
    assert plan["places"] == {"web-2": {"host": "h1", "why": ""}}
    assert json.loads(ave("vm", "delete", "web-2", "--dry-run", "-o", "json").out)["places"] == {}


def test_vms_of_one_plan_leave_each_other_room(ave: Ave) -> None:
    """One of 14 GiB fits beside those that are there, two of them do not."""
    told = ave("vm", "create", "one", "two", "--cpus", "1", "--memory", "14GiB", "--dry-run", "-o", "json")
    hosts = [place["host"] for place in json.loads(told.out)["places"].values()]
    assert sorted(hosts) == ["", "h1"]


def test_the_log_of_a_job_tells_step_by_step(ave: Ave, here: Served) -> None:
    job = ave("vm", "stop", "web-1", "--no-wait").out.strip()
    here.end({"web-1": Result(True)})
    told = ave("job", "logs", job)
    assert told.code == 0
    lines = [line.split(None, 2) for line in told.out.splitlines()]
    assert lines[0] == ["AT", "STEP", "WHAT"]
    assert lines[1][1:] == [job, "vm.shutdown, for h1"]
    assert lines[-1][2] == "running -> done: it is over"
    items = json.loads(ave("job", "log", job, "-o", "json").out)["items"]
    assert [item["what"] for item in items] == [line[2] for line in lines[1:]]
    assert ave("job", "logs", "nobody").code == 3
    assert ave("job", "logs").code == 2


@pytest.mark.parametrize("before", [True, False])
def test_colours_are_there_if_they_are_asked_for(ave: Ave, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    def listed(when: str) -> str:
        colour = ("--color", when)
        return ave(*colour, "vm", "ls").out if before else ave("vm", "ls", *colour).out

    monkeypatch.setattr(os, "environ", dict(os.environ))  # it is told to whoever reads these
    plain = ave("vm", "ls").out
    assert listed("never") == listed("auto") == plain
    painted = listed("always")
    assert "\x1b[32mrunning\x1b[0m" in painted
    assert "\x1b" not in plain
    assert ave("--color", "pink", "vm", "ls").code == 2


def test_ctrl_c_before_anything_has_begun_is_no_traceback(ave: Ave, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "app", interrupted)
    assert ave("--version") == (130, "", "")
