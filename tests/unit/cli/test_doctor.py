"""``ave doctor`` as its users meet it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.doctor.table import CHECKS

ROOT = Path(__file__).parents[3]
AVE = [sys.executable, "-m", "ave.cli.main"]


def doctor(*words: object) -> subprocess.CompletedProcess[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AVE_")}
    command = [*AVE, "doctor", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=mine, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def well(tmp_path: Path) -> list[object]:
    """A host that has all it needs, as its VMs are processes and its store is a file."""
    return ["--host", "a", "--store", f"sqlite:{tmp_path}/store", "--root", tmp_path / "root"]


def test_a_host_that_has_what_it_needs_exits_0_and_is_not_touched(well: list[object], tmp_path: Path) -> None:
    answer = doctor(*well)
    assert answer.returncode == 0, answer.stdout
    assert re.search(r"^✓  store\.reach +SQLite: the first node makes", answer.stdout, re.MULTILINE)
    assert "0 failed" not in answer.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_lacks_something_exits_1_and_is_told_what_to_do(well: list[object], tmp_path: Path) -> None:
    well[3] = f"sqlite:{tmp_path}/gone/store"
    answer = doctor(*well)
    assert answer.returncode == 1
    told = re.search(r"^✕  store\.reach +(.*)\n +→ (.*)$", answer.stdout, re.MULTILINE)
    assert told is not None
    assert told[1] == f"store.url: there is no folder {tmp_path}/gone"
    assert told[2].startswith(f"mkdir -p {tmp_path}/gone")
    assert "1 failed" in answer.stdout


def test_json_has_every_check_with_what_to_do_where_something_is_wrong(well: list[object], tmp_path: Path) -> None:
    well[3] = f"sqlite:{tmp_path}/gone/store"
    rows = json.loads(doctor(*well, "-o", "json").stdout)
    assert [row["id"] for row in rows] == ["config.valid", *(check.id for check in CHECKS)]
    for row in rows:
        assert set(row) == {"id", "what", "status", "says", "fix"}
        assert row["says"]
        assert bool(row["fix"]) is (row["status"] in ("failed", "warning"))


def test_a_wrong_configuration_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "ave.toml"
    file.write_text('[node]\nhots = "a"\n')
    answer = doctor("--config", file)
    assert answer.returncode == 1
    assert re.search(rf"^✕  config\.valid +{file}: node\.host is missing", answer.stdout, re.MULTILINE)
    assert f"{file}:2: node.hots: unknown key, did you mean host?" in answer.stdout


def test_every_check_is_in_the_page() -> None:
    page = (ROOT / "docs/node.md").read_text(encoding="utf-8")
    section = page.partition("\n## Is this host ready?\n")[2].partition("\n## ")[0]
    told = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert told == ["config.valid", *(check.id for check in CHECKS)]


def test_an_unknown_word_is_bad_usage() -> None:
    assert doctor("--confg", "x").returncode == 2
