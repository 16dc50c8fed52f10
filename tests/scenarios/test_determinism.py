"""Same seed and commit: the same summary and the same event log, byte for byte, in any process and on any Python."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.pythons import ROOT, environment, installed

SCENARIOS = ("ha/host-loss.yaml", "ha/two-host-loss.yaml", "jobs/failover-during-create.yaml")
PYTHONS = installed()


def hashes(python: Path, hash_seed: str, scenario: str, seed: int, out: Path) -> tuple[str, str]:
    """Of the summary and of the decompressed event log, made by a process of its own."""
    command = [
        str(python),
        "-m",
        "ave.cli.main",
        "sim",
        "run",
        f"scenarios/{scenario}",
        "--seed",
        str(seed),
        "--out",
        str(out),
    ]
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr + done.stdout
    events = gzip.decompress((out / "events.jsonl.gz").read_bytes())
    return _sha((out / "summary.json").read_bytes()), _sha(events)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_processes_with_other_hash_seeds_write_the_same_bytes(scenario: str, tmp_path: Path) -> None:
    python = next(iter(PYTHONS.values()))
    assert hashes(python, "0", scenario, 3, tmp_path / "a") == hashes(python, "4711", scenario, 3, tmp_path / "b")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_installed_python_writes_the_same_bytes(scenario: str, tmp_path: Path) -> None:
    written = {
        version: hashes(environment(version, python), "random", scenario, 3, tmp_path / version)
        for version, python in PYTHONS.items()
    }
    assert len(set(written.values())) == 1, written


def test_another_seed_is_another_story(tmp_path: Path) -> None:
    python = next(iter(PYTHONS.values()))
    assert hashes(python, "0", SCENARIOS[0], 3, tmp_path / "a") != hashes(python, "0", SCENARIOS[0], 4, tmp_path / "b")
