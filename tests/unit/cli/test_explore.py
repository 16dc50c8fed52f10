"""Exploring, shrinking and sweeping from the command line, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FAILING = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: failing}
spec:
  duration: 3m
  topology: {hosts: 3, cpu: 8, memory: 32GiB}
  workload:
    - {fleet: web, count: 3, vcpu: 1, memory: 1GiB}
  timeline:
    - {at: 20s, fault: store-failover}
    - {at: 30s, fault: host-crash, target: host-3}
    - {at: 40s, fault: storage-failover}
  thresholds:
    - {expr: "ha.lost == 0"}
"""


def ave(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ave.cli.main", "sim", *(str(word) for word in words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    path = tmp_path / "failing.yaml"
    path.write_text(FAILING)
    return path


def test_a_short_campaign_is_void_and_says_why(tmp_path: Path) -> None:
    out = tmp_path / "found"
    answer = ave("explore", "--seeds", 1, "--hours", 0.25, "--jobs", 1, "--out", out)
    assert answer.returncode == 99
    assert "VOID: never at stake: " in answer.stdout
    assert sorted(path.name for path in out.iterdir()) == ["hashes.txt", "report.md", "seeds.jsonl"]
    again = ave("explore", "--seeds", 1, "--hours", 0.25, "--jobs", 1, "--out", out, "--resume", "-o", "json")
    assert json.loads(again.stdout)["seeds"] == 1
    assert len((out / "seeds.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", 0), "--seeds must be at least 1"),
        (("--seeds", 1, "--hours", 0.1), "--hours must be between 0.25 and 240"),
        (("--seeds", 1, "--jobs", 0), "--jobs must be at least 1"),
        (("--seeds", 1, "--resume"), "--resume needs --out DIR"),
        (("--seeds", 1, "--faults", "host-crsh"), 'unknown fault "host-crsh", did you mean "host-crash"?'),
    ],
)
def test_what_cannot_be_explored_is_said(words: tuple[object, ...], said: str) -> None:
    answer = ave("explore", *words)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_missed_threshold_is_cut_down_to_the_fault_that_makes_it_miss(failing: Path, tmp_path: Path) -> None:
    ave("run", failing, "--out", tmp_path / "run", "--seed", 4)
    for file, left in ((failing, "failing-shrunk.yaml"), (tmp_path / "run", "run/shrunk.yaml")):
        answer = ave("shrink", file, "--seeds", 1)
        assert answer.returncode == 0, answer.stderr
        assert "1 faults are left" in answer.stderr
        assert "host-crash" in answer.stdout
        assert answer.stdout == (tmp_path / left).read_text()
        assert ave("run", tmp_path / left).returncode == 99


def test_nothing_is_cut_down_where_nothing_fails(tmp_path: Path) -> None:
    answer = ave("shrink", "scenarios/ha/two-host-loss.yaml", "--out", tmp_path / "left.yaml")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "nothing breaks in this scenario" in answer.stderr
    assert "is not the directory of a run" in ave("shrink", tmp_path).stderr


def test_a_sweep_has_a_row_for_each_step(failing: Path, tmp_path: Path) -> None:
    answer = ave("sweep", failing, "--vary", "timeline[1].at=30s..50s/10s", "--jobs", 1, "--out", tmp_path / "out")
    assert answer.returncode == 99
    assert "0 of 3 runs passed" in answer.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [row["given"] for row in summary["rows"]] == [{"timeline[1].at": f"{at}s"} for at in (30, 40, 50)]
    assert (tmp_path / "out" / "repro.txt").read_text().startswith("ave sim sweep ")


def test_one_value_is_set_and_one_seed_repeated(failing: Path) -> None:
    answer = ave("run", failing, "--set", "thresholds[0].expr=ha.lost >= 0", "--repeat", 2, "--jobs", 1, "-o", "json")
    assert answer.returncode == 0, answer.stderr
    assert [run["seed"] for run in json.loads(answer.stdout)["runs"]] == [0, 1]
    assert "there is no" in ave("run", failing, "--set", "timeline[9].at=3s").stderr
    assert "PLACE=VALUE" in ave("run", failing, "--set", "profile").stderr
    assert "--repeat must be at least 1" in ave("run", failing, "--repeat", 0).stderr
