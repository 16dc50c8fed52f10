"""Each bug in what people meet makes its test fail, and without it that passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.asked import ROWS, Asked


@pytest.mark.parametrize("mutant", ROWS, ids=lambda mutant: mutant.name)
def test_its_test_fails_and_passes_without_it(mutant: Asked, tmp_path: Path) -> None:
    with_it, without = tmp_path / "with", tmp_path / "without"
    with_it.mkdir()
    without.mkdir()
    with mutant.applied(), pytest.raises(AssertionError):
        mutant.test(with_it)
    mutant.test(without)
