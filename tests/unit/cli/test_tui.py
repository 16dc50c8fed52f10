"""ave tui and ave demo before anything is drawn: what is refused, and how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def ave(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ave.cli.main", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tui",), "the dashboard needs a terminal"),
        (("tui", "--run", "nowhere"), "the dashboard needs a terminal"),
        (("tui", "--run", "nowhere", "--context", "local"), "one of them"),
        (("tui", "--no-such-flag"), "no-such-flag"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_to_do(words: tuple[str, ...], said: str) -> None:
    answer = ave(*words)
    assert answer.returncode == 2
    assert said in answer.stderr + answer.stdout
    assert "Traceback" not in answer.stderr
