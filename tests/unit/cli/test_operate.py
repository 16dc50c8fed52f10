"""``ave vm``, ``ave host`` and so on against a live cluster of one real node, whose VMs are processes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest

from ave.cli import cluster
from ave.cli.main import app

ROOT = Path(__file__).parents[3]
UP_SECONDS = 60.0


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Ave = Callable[[str], Answer]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a cluster whose one host serves."""
    folder = tmp_path_factory.mktemp("cluster")
    url = f"sqlite:{folder}/store"
    (folder / "a.toml").write_text(
        f'[node]\nhost = "a"\n[store]\nurl = "{url}"\n[hypervisor]\nroot = "{folder}/root"\n'
        '[machine]\ncpus = 4\nmemory_mib = 8192\nnetworks = ["lan"]\n'
    )
    argv = [sys.executable, "-m", "ave.cli.main", "node", "--config", str(folder / "a.toml")]
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AVE_")}
    with (folder / "log").open("wb") as log, subprocess.Popen(argv, cwd=ROOT, env=mine, stderr=log) as node:
        deadline = monotonic() + UP_SECONDS
        asked = [sys.executable, "-m", "ave.cli.main", "host", "ls", "--store", url]
        while True:
            said = subprocess.run(asked, cwd=ROOT, env=mine, capture_output=True, text=True, check=False)
            if "online" in said.stdout:
                break
            assert monotonic() < deadline, said.stderr + (folder / "log").read_text()
            sleep(0.2)
        yield url
        node.terminate()
        node.wait(30)


@pytest.fixture
def ave(store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ave:
    monkeypatch.setenv("AVE_STORE__URL", store)
    monkeypatch.setattr(cluster, "CONFIG", ROOT / "no such file")

    def run(line: str) -> Answer:
        code = app(shlex.split(line), exit_on_error=False, print_error=True, result_action="return_value")
        return Answer(code, *capsys.readouterr())

    return run


def test_a_vm_is_made_stopped_and_deleted(ave: Ave) -> None:
    assert ave("network create lan --vlan 12") == (0, "lan is active\n", "")
    assert ave("vm create web-1 web-2 --memory 64MiB --disk 1GiB --network lan") == (
        0,
        "web-1 is running on a\nweb-2 is running on a\n",
        "",
    )
    rows = [line.split()[:5] for line in ave("vm ls").out.splitlines()]
    assert rows[0] == ["VM", "STATE", "HOST", "VCPUS", "MEMORY"]
    assert rows[1:] == [["web-1", "running", "a", "1", "64"], ["web-2", "running", "a", "1", "64"]]
    assert ave("vm suspend web-1").out == "web-1 is suspended on a\n"
    assert ave("vm resume web-1").out == "web-1 is running on a\n"
    assert ave("vm restart web-1 --force").out == "web-1 is running on a\n"
    assert ave("vm stop web-1 web-2 --force").code == 0
    assert [vm["state"] for vm in json.loads(ave("vm ls -o json").out)] == ["stopped", "stopped"]
    assert "web-1-disk-1" in ave("volume ls").out
    assert ave("vm delete web-1 web-2 --yes") == (0, "web-1 is gone\nweb-2 is gone\n", "")
    assert ave("network delete lan").out == "lan is gone\n"
    assert ave("volume ls -o json").out.strip() == "[]"


def test_a_volume_of_its_own_is_made_and_grows(ave: Ave) -> None:
    assert ave("volume create data-1 --size 1GiB").out == "data-1 is ready\n"
    assert ave("volume grow data-1 --size 2GiB").out == "data-1 is ready\n"
    assert ["data-1", "ready", "2", "GiB"] in [line.split() for line in ave("volume ls").out.splitlines()]
    assert ave("volume delete data-1 --yes").out == "data-1 is gone\n"


def test_what_fails_says_why_and_exits_1(ave: Ave) -> None:
    answer = ave("vm start nobody")
    assert (answer.code, answer.out) == (1, "")
    assert "there is no VM nobody" in answer.err
    assert ave("host drain nowhere").err.startswith("nowhere: there is no host nowhere")


def test_a_job_can_be_left_looked_at_and_waited_for(ave: Ave) -> None:
    job = ave("volume create slow --size 1GiB --no-wait").out.strip()
    assert job.startswith("volume.create-")
    assert ave(f"job wait {job}") == (0, "slow is ready\n", "")
    assert ["state", "done"] in [line.split() for line in ave(f"job show {job}").out.splitlines()]
    assert job in ave("job ls --all").out
    assert job not in ave("job ls").out
    answer = ave(f"job cancel {job}")
    assert (answer.code, answer.err) == (2, f"Job {job} is done already\n")
    assert json.loads(ave("volume delete slow --yes -o json").out)["results"] == {"slow": {"ok": True, "why": ""}}


def test_what_takes_longer_than_one_waits_goes_on_and_exits_7(ave: Ave) -> None:
    answer = ave("volume create late --size 1GiB --timeout 0")
    assert answer.code == 7
    job = answer.err.split()[0]
    assert ave(f"job wait {job}").out == "late is ready\n"
    assert ave("volume delete late --yes").code == 0


@pytest.mark.parametrize("line", ["vm show nobody", "host show nobody", "job show nobody"])
def test_what_is_not_there_exits_3(ave: Ave, line: str) -> None:
    answer = ave(line)
    assert answer.code == 3
    assert answer.err == f"there is no {line.split()[0]} nobody\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("vm create", "which VMs? Name one or more"),
        ("vm create x --memory 1.5GiB", "'1.5GiB' must be a size"),
        ("vm create x --disk 100MiB", "'100MiB' must be whole GiB"),
        ("vm delete web-1", "needs --yes"),
        ("volume delete data-1", "needs --yes"),
        ("vm ls --store sqlite:/nowhere/store", "there is no store sqlite:/nowhere/store"),
        ("vm ls --store file", "store.url"),
        ("job wait nothing", "there is no Job nothing"),
    ],
)
def test_bad_input_exits_2(ave: Ave, line: str, why: str) -> None:
    answer = ave(line)
    assert answer.code == 2
    assert why in answer.err


def test_a_store_that_cannot_be_reached_exits_6() -> None:
    argv = [sys.executable, "-m", "ave.cli.main", "vm", "ls", "--store", "mongodb://127.0.0.1:1/?replicaSet=rs"]
    answer = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (answer.returncode, answer.stdout) == (6, "")
    assert "127.0.0.1:1" in answer.stderr
