"""``ave <noun> <verb>`` and a host that answers: what is shown, what is sent, and which code a shell reads."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ave.cli.main import main
from ave.model.access import Grant, Role
from ave.model.vm import VM, VMState
from ave.model.volume import Volume, VolumeState
from ave.model.work import Result, WorkState
from drivers.rest.server import Secret
from tests.unit.cli.served import Served, served

ROOT = Path(__file__).parents[3]
NEW = ("--cpus", "1", "--memory", "512MiB")


def vm(id: str, **fields: Any) -> VM:
    return VM(**{"id": id, "vcpus": 2, "memory_mib": 4096, "state": VMState.RUNNING, "host": "h1", **fields})


WEB_1 = vm("web-1", labels={"app": "web"}, volumes=("web-1-disk-1",))
WEB_2 = vm("web-2", labels={"app": "web"}, state=VMState.STOPPED, memory_mib=8192)
DB_1 = vm("db-1", labels={"app": "db"}, ha=False)
DISK = Volume(id="web-1-disk-1", size_gib=20, vm="web-1", state=VolumeState.READY)


class Told(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path) as found:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("AVE_CONTEXT", found.url)
        monkeypatch.delenv("AVE_TOKEN", raising=False)
        found.put(WEB_1, WEB_2, DB_1, DISK)
        yield found


@pytest.fixture
def ave(here: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def run(*words: str, stdin: str = "") -> Told:
        monkeypatch.setattr(sys, "argv", ["ave", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Told(int(ended.value.code or 0), said.out, said.err)

    return run


Ave = Callable[..., Told]


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


def test_who_leaves_a_wait_does_not_end_the_job(here: Served) -> None:
    command = [sys.executable, "-m", "ave.cli.main", "vm", "start", "web-2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        deadline = time.monotonic() + 30
        while not here.jobs():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert waiting.stderr is not None
        first = waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=30)
    (job,) = here.jobs()
    assert first.startswith(f"{job.id}: ")
    assert waiting.returncode == 130
    assert f"ave job wait {job.id}" in err
    assert job.state is WorkState.READY


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
    assert plan["refused"] == {"web-1": {"ok": False, "why": "there already is a VM web-1"}}
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


def test_another_host_is_asked_if_one_is_silent(
    ave: Ave, here: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert ave("context", "add", "lab", "http://127.0.0.1:1", here.url).code == 0
    monkeypatch.delenv("AVE_CONTEXT")
    assert ave("vm", "ls", "-o", "name").out.startswith("vm/db-1")
    assert ave("vm", "start", "web-2", "--no-wait").code == 0
    assert ave("wait", "vm/web-1", "--for", "state=running").code == 0
    told = ave("context", "ls", "-o", "json")
    assert [row["name"] for row in json.loads(told.out)["items"] if row["current"]] == ["lab"]
    assert ave("context", "rm", "lab").code == 0
    assert ave("context", "use", "lab").code == 2


def test_what_was_sent_and_not_answered_is_sent_again_and_done_once(ave: Ave, here: Served) -> None:
    """A host takes the request and dies before it answers; the next one knows the key."""
    with socket.socket() as relay:
        relay.bind(("127.0.0.1", 0))
        relay.listen()

        def take_and_hang_up() -> None:
            incoming, _ = relay.accept()
            with incoming, socket.create_connection(("127.0.0.1", int(here.url.rpartition(":")[2]))) as outgoing:
                text = b""
                while b"\r\n\r\n" not in text:
                    text += incoming.recv(65536)
                outgoing.sendall(text)
                outgoing.recv(65536)

        taking = threading.Thread(target=take_and_hang_up)
        taking.start()
        ave("context", "add", "lab", f"http://127.0.0.1:{relay.getsockname()[1]}", here.url)
        told = ave("vm", "start", "web-2", "--no-wait", "--context", "lab")
        taking.join(30)
    assert told.code == 0, told.err
    assert [job.id for job in here.jobs()] == [told.out.strip()]


def test_tls_is_checked_against_whom_the_context_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]
    named = ["-subj", "/CN=h1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *made, *named], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("AVE_CONTEXT", "")
    with served(tmp_path, Secret(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))) as here:
        codes = []
        for words in (
            ("context", "add", "unknown", here.url),
            ("context", "add", "known", here.url, "--ca-file", str(tmp_path / "cert.pem")),
            ("--context", "unknown", "host", "ls"),
            ("--context", "known", "host", "ls", "-o", "name"),
        ):
            monkeypatch.setattr(sys, "argv", ["ave", *words])
            with pytest.raises(SystemExit) as ended:
                main()
            codes.append(ended.value.code)
    assert codes == [0, 0, 6, 0]
    assert capsys.readouterr().out == "host/h1\n"


# A person at a terminal


def at_terminal(words: tuple[str, ...], answer: str) -> Told:
    """Of what a person types and reads there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ave.cli.main", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True) as run:
        os.close(theirs)
        os.write(ours, answer.encode())
        said, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    said += os.read(ours, 65536)
                except OSError:  # nobody holds the other end any more
                    break
        out, _ = run.communicate(timeout=60)
    os.close(ours)
    return Told(run.returncode, out, said.decode())


def test_what_goes_is_listed_before_it_goes(here: Served) -> None:
    kept = at_terminal(("vm", "delete", "web-1", "db-1"), "n\n")
    assert kept.code == 1
    assert "web-1  running" in kept.err
    assert "volume web-1-disk-1, 20GiB" in kept.err
    assert "delete these 2? [y/N]" in kept.err
    assert here.jobs() == []
    unknown = at_terminal(("vm", "delete", "web-1", "wbe-2"), "y\n")
    assert (unknown.code, here.jobs()) == (3, [])
    ending = later(3.0, lambda: here.end({"web-1": Result(True)}))
    gone = at_terminal(("vm", "delete", "web-1"), "y\n")
    ending.join()
    here.end({})
    assert gone.code == 0, gone
    assert "\x1b" not in kept.err + gone.err
    assert len(here.jobs()) == 1


def test_changes_are_seen_as_they_come(here: Served) -> None:
    command = [sys.executable, "-m", "ave.cli.main", "vm", "ls", "web-*", "-w", "--no-headers"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        seen = [watching.stdout.readline().split()[:2] for _ in range(2)]
        here.put(vm("db-9"), vm("web-9"))
        seen.append(watching.stdout.readline().split()[:2])
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
    assert seen == [["web-1", "running"], ["web-2", "stopped"], ["web-9", "running"]]
    assert (watching.returncode, err) == (130, "")


# Completion


def test_live_names_complete(ave: Ave, here: Served) -> None:
    def complete(*words: str) -> list[str]:
        told = subprocess.run(
            [sys.executable, "-m", "ave.cli.main", "__complete", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return [line.split("\t")[0] for line in told.stdout.splitlines()]

    assert [name for name in complete("vm", "show", "we") if name.startswith("we")] == ["web-1", "web-2"]
    assert "h1" in complete("vm", "migrate", "web-1", "--host", "")


def test_bash_completes_commands_and_names(here: Served, tmp_path: Path) -> None:
    shim = tmp_path / "bin" / "ave"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m ave.cli.main "$@"\n')
    shim.chmod(0o755)
    script = """
source <(ave completion bash)
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _ave; echo "${COMPREPLY[@]}"; }
complete_words ave vm cre
complete_words ave vm start web
"""
    environment = {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=100
    )
    assert run.stdout.split() == ["create", "web-1", "web-2"], run.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script(ave: Ave, shell: str) -> None:
    told = ave("completion", shell)
    assert told.code == 0
    assert "ave" in told.out
    assert "__complete" in told.out
