"""``ave real`` says what is missing before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from ave.cli import real


@pytest.mark.parametrize("command", [real.run, real.compare])
def test_without_a_checkout_there_is_no_bed(
    command: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(real, "__file__", str(tmp_path / "site-packages/ave/cli/real.py"))
    assert command(Path("any.yaml")) == 2  # type: ignore[operator]
    said = capsys.readouterr().err
    assert "tests/real of a source checkout" in said
    assert "run it in one" in said


def test_which_files_must_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert real.compare() == 2
    assert "ave real compare FILE" in capsys.readouterr().err
