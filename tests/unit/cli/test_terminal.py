"""A person at a terminal: questions, lines that change, Ctrl-C, TAB."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ave.model.work import Result, WorkState
from tests.unit.cli.served import Ave, Served, Told, vm

ROOT = Path(__file__).parents[3]


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
    ending = threading.Timer(3.0, lambda: here.end({"web-1": Result(True)}))
    ending.start()
    gone = at_terminal(("vm", "delete", "web-1"), "y\n")
    ending.join()
    here.end({})
    assert gone.code == 0, gone
    assert "\x1b" not in kept.err + gone.err
    assert len(here.jobs()) == 1


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


def test_what_others_wrote_steers_no_terminal(ave: Ave, here: Served) -> None:
    here.put(vm("evil", name="\x1b[2Jgone\x07", labels={"a": "\x1b]0;title\x07"}))
    for words in (("ls", "-o", "wide"), ("show", "evil"), ("ls", "--columns", "id,labels")):
        told = ave("vm", *words)
        assert "evil" in told.out
        assert not {"\x1b", "\x07"} & set(told.out)
    assert "\x1b" not in ave("vm", "show", "\x1b[2J").err


def test_a_pipe_that_is_closed_ends_it_quietly(here: Served) -> None:
    here.put(*[vm(f"vm-{number:04}") for number in range(900)])
    command = f"{sys.executable} -m ave.cli.main vm ls -o json | head -n 1"
    run = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert (run.stdout, run.stderr) == ("{\n", "")
