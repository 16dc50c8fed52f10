"""systemd itself reads the units of AVE, and has nothing to say against them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.cluster import confined

UNITS = Path(__file__).parents[2] / "packaging/systemd"
DAC_OVERRIDE, DAC_READ_SEARCH, KILL = 1, 2, 5  # capabilities, as the kernel counts them
EXPOSURE_MAX = 3.0  # as systemd counts, of 10; an unhardened service has 9.6


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Theirs, with the ave that is installed here: systemd looks whether there is such a program."""
    assert shutil.which("systemd-analyze"), "apt-get install systemd"
    ave = Path(sys.executable).with_name("ave")
    assert ave.is_file(), f"{ave} is not installed"
    for path in UNITS.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(UNITS)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(re.sub(r"(?<==)/\S+/bin/ave\b", str(ave), path.read_text()))
    return tmp_path


def analyze(*words: object) -> str:
    """Everything it says; it must not fail."""
    answer = subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == 0, said
    return said


def test_systemd_understands_every_line(units: Path) -> None:
    services = sorted(units.glob("ave-*.service"))
    assert len(services) == 3
    said = analyze("verify", "--man=no", "--recursive-errors=no", *services)
    assert not [line for line in said.splitlines() if "ave-" in line or str(units) in line], said


def test_systemd_would_complain_of_a_word_that_it_does_not_know(units: Path) -> None:
    node = units / "ave-node.service"
    node.write_text(node.read_text().replace("KillMode=process", "KillMode=nobody\nKilMode=process"))
    answer = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(node)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "kill mode" in answer.stderr
    assert "Unknown key 'KilMode'" in answer.stderr


def test_systemd_counts_little_exposure(units: Path) -> None:
    for service in sorted(units.glob("ave-*.service")):
        said = analyze("security", "--offline=yes", "--no-pager", service)
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
        assert found is not None, said
        assert float(found[1]) <= EXPOSURE_MAX


def test_a_cluster_of_these_tests_runs_with_what_the_units_leave() -> None:
    said = subprocess.run([*confined("node"), "cat", "/proc/self/status"], capture_output=True, text=True, check=True)
    rows = dict(line.split(":\t", 1) for line in said.stdout.splitlines())
    left = 1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH | 1 << KILL
    assert (int(rows["CapBnd"], 16), int(rows["CapEff"], 16), rows["NoNewPrivs"]) == (left, left, "1")
