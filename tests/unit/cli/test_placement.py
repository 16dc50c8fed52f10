"""``ave plan`` and ``ave explain`` as their users meet them: words in, text and an exit code out."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ave.cli.main import app
from ave.kinds import KINDS, SCHEMA
from ave.model.group import Group, Rule
from ave.model.host import Host, HostState, Zone
from ave.model.states import move
from ave.model.vm import VM
from ave.ports.store import Insert
from docs.write_examples import COMMAND, PAGES, ROOT, renewed
from drivers.sqlite.store import SqliteStore

EXAMPLE = "docs/examples/snapshot.yaml"
NEW = "name=web-7,vcpus=4,memory=64GiB"


class Answer:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def ave(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)

    def run(words: str) -> Answer:
        code = app(shlex.split(words), exit_on_error=False, print_error=True, result_action="return_value")
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def cluster(tmp_path):
    def write(text: str, name: str = "cluster.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_shows_what_its_commands_print_today(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "```console" in text
    assert text == renewed(text), f"{page.name} is out of date: {COMMAND}"


def test_a_vm_that_fits_exits_0_and_one_that_does_not_exits_1(ave) -> None:
    fits = ave(f"plan place --snapshot {EXAMPLE} --vm name=v,vcpus=1,memory=1GiB")
    assert (fits.code, fits.err) == (0, "")
    assert fits.out.startswith("v (1 vCPU, 1.0 GiB) goes to host-4: of 7 hosts 5 can take it;")
    refused = ave(f"plan place --snapshot {EXAMPLE} --vm name=v,vcpus=1,memory=1TiB")
    assert (refused.code, refused.err) == (1, "")
    assert "Cheapest\nchange: make v 88.0 GiB or smaller." in refused.out


def test_a_vm_of_the_file_is_asked_about_as_its_state_suggests(ave) -> None:
    assert json.loads(ave(f"explain placement db-1 --snapshot {EXAMPLE} -o json").out)["purpose"] == "live"
    assert json.loads(ave(f"explain placement db-2 --snapshot {EXAMPLE} -o json").out)["purpose"] == "start"
    rescued = ave(f"explain placement db-1 --snapshot {EXAMPLE} -o json --purpose rescue")
    assert json.loads(rescued.out)["purpose"] == "rescue"


def test_json_has_every_host_with_every_filter(ave) -> None:
    answer = ave(f"plan place --snapshot {EXAMPLE} --vm {NEW},pinned=yes --explain -o json")
    told = json.loads(answer.out)
    hosts = told["explanations"]["web-7"]["hosts"]
    assert len(hosts) == 7
    assert all(len(host["verdicts"]) == 9 for host in hosts)
    assert told["refused"]["web-7"]["rejected"]["CpuPinningFilter"] == 2
    assert "needs 4 exclusive CPUs, has 0 exclusive CPUs free" in answer.out


def test_every_host_is_shown_on_demand_and_else_the_best_and_one_of_each_kind(ave, cluster) -> None:
    hosts = "\n".join(f"  - {{id: h-{n:03}, cpus: 8, memory: {8 if n < 100 else 64}GiB}}" for n in range(150))
    path = cluster(f"apiVersion: ave/v1\nkind: Snapshot\nhosts:\n{hosts}\n")
    short = ave(f"plan place --snapshot {path} --vm name=v,vcpus=1,memory=16GiB --explain").out
    assert "… and 45 more that could take it" in short
    assert "HostAvailableMemoryFilter    100  h-000: needs 16.0 GiB, has 8.0 GiB free of 8.0 GiB" in short
    assert short.count("\n") < 20
    long = ave(f"plan place --snapshot {path} --vm name=v,vcpus=1,memory=16GiB --explain --all").out
    assert long.count("\nh-") == 150
    assert max(map(len, (short + long).splitlines())) <= 100


def test_a_batch_of_many_is_placed_by_count(ave) -> None:
    answer = ave(f"plan place --snapshot {EXAMPLE} --vm name=v,vcpus=1,memory=1GiB --count 30")
    assert answer.code == 0
    assert "… and 10 more (--all shows every VM)" in answer.out
    assert "30 of 30 VMs placed" in answer.out


def test_a_vm_may_join_groups_of_the_file_and_ask_for_a_host(ave) -> None:
    answer = ave(f"plan place --snapshot {EXAMPLE} --vm name=db-3,vcpus=1,memory=1GiB,group=db-apart,host=host-2")
    assert answer.code == 1
    told = " ".join(answer.out.split())
    assert "6 are not the host that was named (host-2), 1 is ruled out by group db-apart" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("name=v,vcpus=0,memory=0", ["vcpus must be from 1 to 1,048,576, not 0", "memory must be from 1 to "]),
        ("name=v,vcpus=1,memory=-1", ["memory must be from 1 to 1,099,511,627,776, not -1"]),
        ("name=v,vcpus=x,memory=y", ["vcpus must be a number, not 'x'", "memory must be a size such as 64GiB"]),
        ("vcpus=1", ["name is missing", "memory is missing"]),
        ("name=v,vcpus=1,memory=1,vcpus=2", ["vcpus is given twice"]),
        ("name=v,vcpus=1,memory=1,disk=2", ["unknown key 'disk'; known are name, vcpus, memory"]),
        ("name=v,vcpus=1,memory=1,pinned=maybe", ["pinned is yes or no, not 'maybe'"]),
        ("name=,vcpus=1,memory=1", ["name needs a value: name=…", "name is missing"]),
        ("name=v,vcpus=1,memory=1,group=none", ["there is no group none in the snapshot"]),
        ("name=v,vcpus=1,memory=1,host=none", ["there is no host none in the snapshot"]),
        ("name=db-1,vcpus=1,memory=1", ["there is a VM db-1 already; ave explain placement db-1 asks about it"]),
        ("name=v,vcpus=1,memory=1 --count 0", ["--count: must be 1 or more, not 0"]),
        ("name=v,vcpus=1,memory=1 --count 1000000", ["a batch may have 100,000 VMs, this one has 1,000,000: split it"]),
        ("name=v,vcpus=1,memory=1 --vm name=v,vcpus=1,memory=1", ["--vm: v is named twice"]),
        (
            "name=v,vcpus=1,memory=1,host=host-1 --vm name=w,vcpus=1,memory=1",
            ["a batch asks for one host or for none, not for host-1, any"],
        ),
    ],
)
def test_a_wrong_vm_exits_2_with_a_line_per_mistake(ave, words: str, told: list[str]) -> None:
    answer = ave(f"plan place --snapshot {EXAMPLE} --vm {words}")
    assert (answer.code, answer.out) == (2, "")
    lines = answer.err.splitlines()
    assert len(lines) == len(told)
    assert all(text in line for text, line in zip(told, lines, strict=True))


def test_a_mistake_in_a_file_is_told_with_its_line_and_nothing_is_decided(ave, cluster) -> None:
    path = cluster(
        "apiVersion: ave/v1\nkind: Snapshot\nhosts:\n  - id: a\n    cpus: 4\n    memory: 8GB\n"
        "groups:\n  - id: g\n    rule: must-hosts\n    hosts: [a,\n      b]\n"
    )
    answer = ave(f"plan place --snapshot {path} --vm {NEW}")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines() == [
        f"{path}:6:5 hosts[0].memory: a: must be a size such as 64GiB, 512MiB or a whole number of MiB, not '8GB'",
        f"{path}:11:7 groups[0].hosts[1]: g: there is no host b",
    ]


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster.json"])
def test_a_file_that_is_none_is_named(ave, cluster, name: str) -> None:
    missing = ave(f"plan place --snapshot gone/{name} --vm {NEW}")
    assert missing.code == 2
    assert missing.err.startswith(f"gone/{name}")
    assert "cannot be read: No such file" in missing.err
    broken = cluster("{", name)
    assert ave(f"plan place --snapshot {broken} --vm {NEW}").code == 2
    newer = cluster('{"apiVersion": "ave/v1", "kind": "Snapshot", "schema": 9}', name)
    assert "9 is newer than 1" in ave(f"plan place --snapshot {newer} --vm {NEW}").err


def test_a_plain_answer_from_json_waits_for_no_library_that_it_does_not_need(cluster) -> None:
    hosts = [{"id": "a", "cpus": 8, "memory": "64GiB"}]
    path = cluster(json.dumps({"apiVersion": "ave/v1", "kind": "Snapshot", "hosts": hosts}), "cluster.json")
    script = (
        "import sys; from ave.cli.main import app\n"
        f"app(['plan', 'place', '--snapshot', {str(path)!r}, '--vm', {NEW!r}], result_action='return_value')\n"
        "print(*(name for name in ('networkx', 'yaml', 'sim', 'asyncio', 'rich.progress') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("web-7 (4 vCPUs, 64.0 GiB) goes to a:")
    assert done.stdout.splitlines()[-1] == ""


def test_an_empty_cluster_is_refused_when_something_is_to_be_placed(ave, cluster) -> None:
    answer = ave(f"plan place --snapshot {cluster('{apiVersion: ave/v1, kind: Snapshot}')} --vm {NEW}")
    assert (answer.code, answer.err) == (2, "hosts: is empty, so there is nothing to place on\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("explain placement v --snapshot a --run b", "which cluster? --snapshot FILE or --run RUN_DIR"),
        ("explain placement v --at 1", "--at is for --run"),
        (f"explain placement v --snapshot {EXAMPLE}", "there is no VM v in the snapshot"),
        (f"explain placement db-1 --snapshot {EXAMPLE} --at 3", "--at is for --run"),
        ("explain placement v --run docs", "docs has no recording"),
        ("explain placement v --run docs --purpose live", "--purpose is for --snapshot"),
        ("plan snapshot --run docs --at 1", "docs has no recording"),
        ("plan snapshot", "which cluster? --run RUN_DIR --at SECONDS, or --store URL"),
        ("plan snapshot --run docs --at 1 --store sqlite:x", "which cluster?"),
        ("plan snapshot --run docs", "--run and --at go together"),
        ("plan snapshot --store sqlite:gone/store", "there is no store sqlite:gone/store"),
        ("plan snapshot --store paper:x", "paper: is no store that AVE knows"),
    ],
)
def test_a_question_that_has_no_answer_exits_2(ave, words: str, told: str) -> None:
    answer = ave(words)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


def test_a_run_is_asked_why_and_its_cluster_taken_out(ave, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert ave(f"sim run scenarios/jobs/tight-memory.yaml -o json --out {run}").code in (0, 99)
    from sim import hindsight

    recording = hindsight.recording_of(run)
    refused = next(each for each in hindsight.decisions(recording) if not each.host)
    answer = ave(f"explain placement {refused.vm} --run {run} --at {refused.t}")
    assert answer.code == 1
    assert answer.out.startswith(f"decided at {refused.t:.3f} s, to {refused.purpose}")
    assert "Cheapest" in answer.out
    assert ave(f"explain placement nobody --run {run}").code == 2
    assert ave(f"plan snapshot --run {run} --at 1e9").code == 2
    taken = ave(f"plan snapshot --run {run} --at {refused.t}")
    assert taken.code == 0
    path = tmp_path / "taken.yaml"
    path.write_text(taken.out)
    asked = ave(f"plan place --snapshot {path} --vm name=another,vcpus=1,memory=1TiB")
    assert (asked.code, asked.err) == (1, "")


def test_a_live_cluster_is_put_on_paper_and_asked(ave, tmp_path: Path) -> None:
    host = Host(id="h", cpus=8, memory_mib=8192, boot="b", epoch=2)
    vm = VM(id="v", vcpus=1, memory_mib=1024)
    docs = [
        move(host, HostState.ONLINE, "joined"),
        Zone(id="east", primary=True),
        Group(id="g", rule=Rule.MUST_HOSTS, vms=("v",), hosts=("h",)),
        vm,
    ]

    async def fill() -> None:
        async with await SqliteStore.open(tmp_path / "store", KINDS, schema=SCHEMA) as store:
            await store.commit(*(Insert(doc) for doc in docs))

    asyncio.run(fill())
    taken = ave(f"plan snapshot --store sqlite:{tmp_path}/store")
    assert (taken.code, taken.err) == (0, "")
    path = tmp_path / "cluster.yaml"
    path.write_text(taken.out)
    assert ave(f"explain placement v --snapshot {path}").code == 0
    assert ave(f"plan place --snapshot {path} --vm name=w,vcpus=1,memory=64GiB").code == 1
