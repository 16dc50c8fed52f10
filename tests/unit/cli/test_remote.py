"""``ave <noun> <verb>`` and a host that answers: what is shown, what is sent, and which code a shell reads."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ave.model.access import Grant, Role
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, WorkState
from tests.unit.cli.served import Ave, Served

ROOT = Path(__file__).parents[3]
NEW = ("--cpus", "1", "--memory", "512MiB")


def later(seconds: float, work: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, work)
    timer.start()
    return timer


# What is shown


def test_a_table_is_for_people(ave: Ave) -> None:
    told = ave("vm", "ls")
    assert told == (
        0,
        "NAME   STATE    HOST  CPUS  MEMORY  HA\n"
        "db-1   running  h1    2     4GiB    no\n"
        "web-1  running  h1    2     4GiB    yes\n"
        "web-2  stopped  h1    2     8GiB    yes\n",
        "",
    )
    assert ave("vm", "ls", "--no-headers", "--columns", "name,memory,epoch", "--sort", "-memory").out.splitlines() == [
        "web-2  8GiB  0",
        "web-1  4GiB  0",
        "db-1   4GiB  0",
    ]
    wide = ave("vm", "ls", "-o", "wide").out
    titles = ["NAME", "STATE", "HOST", "CPUS", "MEMORY", "HA", "PRIORITY", "NETWORKS", "VOLUMES", "LABELS"]
    assert wide.splitlines()[0].split() == titles
    assert "\x1b" not in wide


def test_json_and_yaml_are_what_the_api_says(ave: Ave, here: Served) -> None:
    page = json.loads(ave("api", "GET", "/v1/vms").out)
    assert json.loads(ave("vm", "ls", "-o", "json").out) == page
    assert yaml.safe_load(ave("vm", "ls", "-o", "yaml").out) == page
    one = json.loads(ave("api", "GET", "v1/vms/web-1").out)
    assert json.loads(ave("vm", "show", "web-1", "-o", "json").out) == one
    assert one["memory_mib"] == 4096


def test_csv_name_and_jsonpath_are_for_scripts(ave: Ave) -> None:
    rows = list(csv.DictReader(io.StringIO(ave("vm", "ls", "-o", "csv").out)))
    assert [row["memory_mib"] for row in rows] == ["4096", "4096", "8192"]
    assert rows[0]["labels"] == "app=db"
    assert ave("vm", "ls", "-o", "name").out == "vm/db-1\nvm/web-1\nvm/web-2\n"
    assert ave("vm", "ls", "-o", "jsonpath=$.items[*].id").out == "db-1\nweb-1\nweb-2\n"
    assert ave("vm", "show", "db-1", "-o", "jsonpath={.labels}").out == '{"app":"db"}\n'
    assert ave("vm", "ls", "-o", "jsonpath=$.items[").code == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("-l", "app=web"), ["web-1", "web-2"]),
        (("-l", "app in (db,web)", "-l", "app!=web"), ["db-1"]),
        (("--state", "running", "--ha", "true"), ["web-1"]),
        (("--state", "running", "--state", "stopped", "-q", "WEB"), ["web-1", "web-2"]),
        (("web-*",), ["web-1", "web-2"]),
        (("web-2", "vm/db-1"), ["db-1", "web-2"]),
        (("--limit", "2"), ["db-1", "web-1"]),
        (("--host", "nowhere"), []),
    ],
)
def test_a_list_is_cut_down(ave: Ave, words: tuple[str, ...], found: list[str]) -> None:
    assert ave("vm", "ls", *words, "-o", "jsonpath=$.items[*].id") == (0, "".join(f"{id}\n" for id in found), "")


def test_more_than_a_page_is_listed(ave: Ave, here: Served) -> None:
    here.put(*[Volume(id=f"v{number:04}", size_gib=1, state=VolumeState.READY) for number in range(1100)])
    told = ave("volume", "ls", "-o", "json")
    assert len(json.loads(told.out)["items"]) == 1101
    assert json.loads(told.out)["total"] == 1101


def test_one_thing_is_shown_field_by_field(ave: Ave) -> None:
    lines = dict(line.split(None, 1) for line in ave("vm", "show", "web-1").out.splitlines() if line.split(None, 1)[1:])
    assert (lines["memory_mib"], lines["labels"], lines["volumes"]) == ("4GiB", "app=web", "web-1-disk-1")
    several = ave("vm", "show", "web-1", "nobody", "db-1")
    assert several.code == 3
    assert [line.split()[0] for line in several.out.splitlines()] == ["NAME", "web-1", "db-1"]


# What is sent, and waiting


def test_an_operation_is_sent_with_its_fields_and_waited_for(ave: Ave, here: Served) -> None:
    ending = later(0.5, lambda: here.end({"web-3": Result(True), "web-4": Result(False, "no host fits")}))
    told = ave(
        "vm", "create", "web-3", "web-4", *NEW, "--disk", "1GiB", "--disk", "2GiB", "--label", "a=b", "--no-start"
    )
    ending.join()
    assert (told.code, told.out) == (1, "NAME   RESULT  WHY\nweb-3  ok      -\nweb-4  failed  no host fits\n")
    (job,) = here.jobs()
    assert job.arguments["start"] is False
    assert [new["id"] for new in job.arguments["vms"]] == ["web-3", "web-4"]
    new = job.arguments["vms"][0]
    assert list(new["disks_gib"]) == [1, 2]
    assert (new["memory_mib"], new["labels"]) == (512, {"a": "b"})
    assert f"{job.id}: " in told.err


def test_without_waiting_the_job_is_told_and_can_be_waited_for_later(ave: Ave, here: Served) -> None:
    id = ave("vm", "start", "web-2", "--no-wait").out.strip()
    assert [job.id for job in here.jobs()] == [id]
    late = ave("job", "wait", id, "--timeout", "0.3")
    assert late.code == 7
    assert f"ave job wait {id}" in late.err
    assert ave("vm", "stop", "web-1", "--timeout", "0.3").code == 7
    here.end({"web-2": Result(True)})
    told = ave("job", "wait", id, "-o", "json")
    assert (told.code, json.loads(told.out)["state"]) == (0, "done")
    assert ave("job", "wait", id, id).out.splitlines()[1].split() == ["web-2", "ok", "-"]


def test_a_job_that_failed_or_was_cancelled_is_a_failure(ave: Ave, here: Served) -> None:
    for state in (WorkState.FAILED, WorkState.CANCELLED):
        id = ave("vm", "start", "web-2", "--no-wait").out.strip()
        here.end({}, state)
        told = ave("job", "wait", id)
        assert (told.code, told.out.splitlines()[1].split()[:2]) == (1, [id, state.value])


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (("web-2", "db-1"), ["web-2", "db-1"]),
        (("web-*",), ["web-1", "web-2"]),
        (("-l", "app=db"), ["db-1"]),
        (("--all",), ["db-1", "web-1", "web-2"]),
        (("-",), ["web-2", "db-1"]),
    ],
)
def test_several_are_one_job(ave: Ave, here: Served, words: tuple[str, ...], about: list[str]) -> None:
    told = ave("vm", "suspend", *words, "--no-wait", stdin="vm/web-2\ndb-1 vm/web-2\n")
    assert told.code == 0, told.err
    (job,) = here.jobs()
    assert list(job.arguments["vms"]) == about


def test_a_dry_run_does_nothing(ave: Ave, here: Served) -> None:
    told = ave("vm", "delete", "web-1", "--dry-run")
    assert told.code == 0
    assert "nothing was done; this would lock vm/web-1" in told.err
    plan = json.loads(ave("vm", "create", "web-1", "web-9", *NEW, "--dry-run", "-o", "json").out)
    assert plan["refused"] == {"web-1": {"ok": False, "why": "there already is a VM web-1", "left": False}}
    assert ave("vm", "create", "web-1", *NEW, "--dry-run").code == 1
    assert here.jobs() == []


# Which code a shell reads


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("vm", "show", "web-3"), 3, "did you mean web-"),
        (("vm", "start", "wbe-1"), 3, "did you mean web-1?"),
        (("vm", "ls", "nobody"), 3, "there is no vm nobody"),
        (("vm", "start", "zzz-*"), 3, "there is no vm zzz-*"),
        (("vm", "start", "-l", "app=none"), 3, "there are no vms with app=none"),
        (("vm", "explain-placement", "web-3"), 3, "did you mean web-"),
        (("job", "show", "none"), 3, "there is no job none"),
        (("job", "cancel", "none"), 3, "there is no job none"),
        (("vm", "edit", "web-1", "--name", "n", "--if-version", "7"), 4, "is of version 1"),
        (("vm", "start"), 2, "which vms?"),
        (("vm", "start", "web-1", "--all"), 2, "one of them"),
        (("vm", "strat", "web-1"), 2, 'Did you mean "start"?'),
        (("vm", "start", "web-1", "--hots", "h1"), 2, "did you mean --host?"),
        (("vm", "create", "a", "--cpus", "1", "--memory", "lots"), 2, "--memory: lots is no size"),
        (("vm", "create", *NEW), 2, "what shall the new vms be called?"),
        (("vm", "edit", "web-1"), 2, "what shall be changed?"),
        (("vm", "ls", "--sort", "memroy"), 2, "did you mean memory?"),
        (("vm", "ls", "--columns", "stat"), 2, "did you mean state?"),
        (("vm", "ls", "-l", "app=="), 0, ""),
        (("vm", "ls", "-l", "(("), 2, "cannot be understood"),
        (("vm", "ls", "-o", "xml"), 2, "one of table"),
        (("vm", "delete", "web-1"), 2, "needs a yes"),
        (("vm", "poweroff", "--all"), 2, "needs a yes"),
        (("vm", "reset", "web-1"), 2, "needs a yes"),
        (("destroy", "web-1"), 2, "destroy is ave vm poweroff"),
        (("api", "GET", "/v1/nothing"), 3, "there is no /v1/nothing"),
        (("api", "POST", "/v1/vms", "-d", "{"), 2, "--data: "),
        (("wait", "vm/web-3", "--for", "state=running"), 3, "did you mean web-"),
        (("wait", "vm/web-2", "--for", "state=running", "--timeout", "0.3"), 7, "not state=running within 0.3 s"),
        (("wait", "vm/web-2", "--for", "stat=running"), 2, "did you mean state?"),
        (("wait", "web-2", "--for", "gone"), 2, "web-2 is no thing"),
        (("wait", "vms/web-1", "vm/db-1", "--for", "state=running"), 0, ""),
        (("wait", "vm/nobody", "--for", "gone"), 0, ""),
        (("--context", "http://127.0.0.1:1", "vm", "ls"), 6, "cannot be reached"),
        (("vm", "ls", "--context", "nowhere"), 2, "there is no context nowhere"),
        (("vm", "ls", "--context", "sim:0-host"), 2, "there is no context sim:0-host"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_codes_and_hints(ave: Ave, words: tuple[str, ...], code: int, says: str) -> None:
    told = ave(*words)
    assert told.code == code, told
    assert says in told.out + told.err
    assert told.err.count("hint: ") <= 1


def test_who_may_not_is_told_so(ave: Ave, here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    header = here.do(lambda lab: lab.token("ada", Grant(Role.VIEWER)))
    refused = ave("vm", "ls")
    assert refused.code == 5
    assert "AVE_TOKEN" in refused.err
    monkeypatch.setenv("AVE_TOKEN", header["Authorization"].removeprefix("Bearer "))
    assert ave("vm", "ls").code == 0
    assert ave("vm", "start", "web-2").code == 5
    assert ave("user", "ls").out.splitlines()[1:] == []
