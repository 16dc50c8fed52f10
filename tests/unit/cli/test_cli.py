"""``ave`` as its users meet it: a process with arguments, output and an exit code."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ave import __version__

ROOT = Path(__file__).parents[3]
AVE = [sys.executable, "-m", "ave.cli.main"]
HOST_LOSS = "scenarios/ha/host-loss.yaml"
HEADER = "vm,arrive_s,batch,vcpu,mem_gib,life_lo_s,life_hi_s,censored\n"


def ave(*words: object) -> subprocess.CompletedProcess[str]:
    command = [*AVE, *(str(word) for word in words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def scenario(folder: Path, *changes: tuple[str, str], of: str = HOST_LOSS) -> Path:
    """A shipped scenario with parts of its text replaced."""
    text = (ROOT / of).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "changed.yaml"
    path.write_text(text)
    return path


def test_the_version_is_told() -> None:
    assert ave("--version").stdout.strip() == f"ave {__version__}"


def test_an_unknown_command_gets_a_hint_and_exit_2() -> None:
    answer = ave("sim", "runn")
    assert answer.returncode == 2
    assert 'Did you mean "run"?' in answer.stdout + answer.stderr


def test_a_missing_file_is_named_and_nothing_is_run() -> None:
    answer = ave("sim", "run", "nope.yaml")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("nope.yaml:1:1: cannot be read")


def test_a_passed_run_says_so_and_exits_0() -> None:
    answer = ave("sim", "run", HOST_LOSS)
    assert answer.returncode == 0
    assert answer.stdout.rstrip().endswith("PASSED")


def test_a_missed_threshold_exits_99_and_is_named(tmp_path: Path) -> None:
    path = scenario(tmp_path, ("ha.recovery_time.max < 105s", "ha.recovery_time.max < 1s"))
    answer = ave("sim", "run", path)
    assert answer.returncode == 99
    assert "FAILED: ha.recovery_time.max < 1s" in answer.stdout


def test_an_invariant_that_was_promised_and_never_at_stake_exits_99(tmp_path: Path) -> None:
    path = scenario(tmp_path, ("arms: [S1", "arms: [H2, S1"))
    answer = ave("sim", "run", path)
    assert answer.returncode == 99
    assert "never put at stake, though the scenario promises to: H2" in answer.stdout


def test_every_problem_of_a_scenario_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    changes = (("host-crash", "host-crsh"), ("seed: 1", "seed: -1"), ("masters: 3", "masters: 3, hostz: 2"))
    answer = ave("sim", "run", scenario(tmp_path, *changes))
    assert answer.returncode == 2
    told = [line.partition("changed.yaml:")[2] for line in answer.stderr.splitlines()]
    assert told[0].startswith("9:3 spec.seed: ")
    assert told[1].endswith('spec.topology: unknown key "hostz", did you mean "hosts"?')
    assert told[2].endswith('spec.timeline[0].fault: unknown fault "host-crsh", did you mean "host-crash"?')
    assert len(told) == 3


def test_the_run_directory_holds_summary_report_command_and_recording(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert ave("sim", "run", HOST_LOSS, "--seed", 5, "--out", out).returncode == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "events.index.json",
        "events.jsonl.gz",
        "report.md",
        "repro.txt",
        "scenario.yaml",
        "summary.json",
    ]
    assert (out / "repro.txt").read_text().startswith(f"ave sim run {HOST_LOSS} --seed 5\n")
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["seed"], summary["passed"], summary["metrics"]["ha.waiting"]) == (5, True, 0.0)
    lines = gzip.decompress((out / "events.jsonl.gz").read_bytes()).splitlines()
    assert "keyframe" in json.loads(lines[0])
    assert any(kind == "vm" for _, _, kind, _ in (json.loads(line) for line in lines[1:200]))
    assert "# host-loss" in (out / "report.md").read_text()


def test_json_on_stdout_is_the_summary(tmp_path: Path) -> None:
    out = tmp_path / "run"
    answer = ave("sim", "run", HOST_LOSS, "-o", "json", "--out", out)
    assert json.loads(answer.stdout) == json.loads((out / "summary.json").read_text())


def test_a_violation_exits_98_with_its_causal_slice(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import sys\n"
        "from ave.jobs import locks\n"
        "locks.held_by_others = lambda known, job: {}\n"
        "from ave.cli.main import main\n"
        "sys.argv = ['ave', 'sim', 'run', 'scenarios/jobs/failover-during-create.yaml']\n"
        "main()\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, planted], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 98
    assert "VIOLATION of J4" in answer.stdout
    assert "lock vm/" in answer.stdout


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("1,300,0,2,NaN,300,300,0", "mem_gib"),
        ("1,300,0,-2,3.5,300,300,0", "vcpu"),
        ("1,300,0,two,3.5,300,300,0", "vcpu"),
        ("1,300,0,2,3.5", ""),
    ],
)
def test_a_bad_trace_row_is_named_with_its_column_and_can_be_skipped(tmp_path: Path, row: str, told: str) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(HEADER + "0,300,0,2,3.5,300,300,0\n" + row + "\n")
    capacity = "scenarios/capacity/small-cloud.yaml"
    refused = ave("sim", "run", capacity, "--trace", trace)
    assert refused.returncode == 2
    assert "row 3" in refused.stderr
    assert told in refused.stderr
    skipped = ave("sim", "run", capacity, "--trace", trace, "--skip-bad-rows")
    assert skipped.returncode == 0
    assert "1 bad rows of the trace were skipped" in skipped.stderr
    assert "row 3" in skipped.stderr


def test_ctrl_c_keeps_what_was_known_and_exits_130(tmp_path: Path) -> None:
    path = scenario(tmp_path, ("duration: 30m", "duration: 3000h"))
    out = tmp_path / "run"
    command = [*AVE, "sim", "run", str(path), "--out", str(out)]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while not (out / "events.jsonl.gz").is_file() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)
        run.send_signal(signal.SIGINT)
        told, _ = run.communicate(timeout=20)
    finally:
        run.kill()
    assert run.returncode == 130
    assert "INTERRUPTED" in told
    assert json.loads((out / "summary.json").read_text())["partial"] is True
    assert gzip.decompress((out / "events.jsonl.gz").read_bytes())


def test_ctrl_c_during_a_capacity_replay_keeps_what_was_placed(tmp_path: Path) -> None:
    command = [*AVE, "sim", "run", "scenarios/capacity/azure.yaml", "-o", "json"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    try:
        said = next(line for line in run.stderr if line.startswith("placing VMs:"))  # no sooner is there any to keep
        run.send_signal(signal.SIGINT)
        told, _ = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, said
    summary = json.loads(told)
    assert summary["partial"] is True
    assert 0 < summary["metrics"]["capacity.placed"] < 259_159


def test_the_faults_are_listed_with_their_parameters() -> None:
    told = ave("sim", "faults").stdout
    assert "host-crash" in told
    assert "factor=10.0 (1–10000)" in told


def test_every_shipped_scenario_is_valid() -> None:
    answer = ave("sim", "validate", *sorted((ROOT / "scenarios").rglob("*.yaml")))
    assert answer.returncode == 0
    assert "host-loss.yaml: valid (host-loss, 6 hosts)" in answer.stdout


def test_the_demo_tells_its_story_and_passes() -> None:
    answer = ave("demo")
    assert answer.returncode == 0
    for line in ("↯ host-1 loses power", "✕ host-1 is judged dead", "runs again, on", "PASSED"):
        assert line in answer.stdout
