"""``ave sim budget`` in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
AVE = [sys.executable, "-m", "ave.cli.main", "sim", "budget"]


def budget(*words: object, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [*AVE, *(str(word) for word in words)]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=110)


def test_the_same_seed_writes_the_same_bytes_however_many_processes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = budget("--seeds", 1, "--seed", 3, "--jobs", 1, "--out", one)
    second = budget("--seeds", 1, "--seed", 3, "--jobs", 2, "--out", two, "-o", "json", hash_seed="4711")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    names = ["downtime.svg", "report.md", "summary.json"]
    assert [path.name for path in sorted(one.iterdir())] == names
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert "Written by `ave sim budget --profile seed --seeds 1 --seed 3`." in (one / "report.md").read_text()
    assert json.loads(second.stdout) == json.loads((two / "summary.json").read_text())
    assert first.stdout.rstrip().endswith("Every start was in time, and no host was fenced that nothing had befallen.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", 0), "--seeds must be at least 1"),
        (("--jobs", 0), "--jobs must be at least 1"),
        (("--seed", -1), "--seed must be at least 0"),
        (("--profile", "hihg"), 'unknown profile "hihg", did you mean "high"?'),
        (("--give-up", 50), "--give-up and --verdict come together"),
        (("--give-up", 50, "--verdict", 80, "--profile", "high"), "instead of --profile"),
        (("--give-up", 50, "--verdict", 60), "profile custom is unsafe: a host may run its VMs until 67.05 s"),
        (("--out", "README.md/runs"), "README.md"),
    ],
)
def test_what_cannot_be_measured_is_said_and_nothing_is_run(words: tuple[object, ...], said: str) -> None:
    answer = budget(*words)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert said in answer.stderr


def test_times_of_ones_own_and_a_page_somewhere_else(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "own.md"
    answer = budget("--give-up", 30, "--verdict", 50, "--seeds", 1, "--jobs", 1, "--page", page)
    assert answer.returncode == 0, answer.stderr
    assert "### custom: gives up after 30 s, verdict after 50 s" in page.read_text()
    assert "(own.svg)" in page.read_text()
    assert page.with_suffix(".svg").read_text().startswith("<svg")


def test_ctrl_c_ends_it_with_what_is_known(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*AVE, "--seeds", "500", "--jobs", "2", "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not out.exists():  # made before the work begins
        time.sleep(0.05)
    time.sleep(8.0)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 130, stderr
    assert "INTERRUPTED after " in stdout
    assert "stopping; once more to end at once" in stderr
    assert json.loads((out / "summary.json").read_text())["partial"] is True
