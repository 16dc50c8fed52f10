"""A patch mutates what it says, and only for the time of its block; if that is not there it fails."""

from __future__ import annotations

import asyncio

import pytest

from tests.mutants.patch import applied, edit, swap

FACTOR = 10


def scaled(number: int) -> int:
    return number * FACTOR


class Thing:
    async def grown(self, by: int = 1) -> int:
        return by + 1

    @staticmethod
    def named() -> str:
        return "thing"


def test_an_edit_changes_the_words_of_a_function_wherever_it_is_known() -> None:
    known = scaled
    with applied([edit(scaled, {"number * FACTOR": "number + FACTOR"})]):
        assert known(2) == 12
    assert known(2) == 20


def test_an_edit_knows_methods_coroutines_and_what_is_decorated() -> None:
    with applied([edit(Thing.grown, {"by + 1": "by + 5"}), edit(Thing.named, {'"thing"': '"other"'})]):
        assert asyncio.run(Thing().grown()) == 6
        assert Thing.named() == "other"
    assert asyncio.run(Thing().grown()) == 2


@pytest.mark.parametrize("changes", [{"number / FACTOR": ""}, {"number": "2"}])
def test_words_that_are_not_there_once_are_not_edited(changes: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="times, not once"), applied([edit(scaled, changes)]):
        pass
    assert scaled(2) == 20


def test_two_edits_of_one_function_would_lose_one() -> None:
    twice = [edit(scaled, {"number *": "number +"}), edit(scaled, {"FACTOR": "3"})]
    with pytest.raises(AssertionError, match="edited already"), applied(twice):
        pass
    assert scaled(2) == 20


def test_a_swap_is_undone_also_after_an_error() -> None:
    sound = Thing.grown
    with pytest.raises(ZeroDivisionError), applied([swap(Thing, "grown", None)]):
        raise ZeroDivisionError
    assert Thing.grown is sound


def test_what_is_not_there_is_not_swapped() -> None:
    with pytest.raises(AssertionError, match="has no shrunk"), applied([swap(Thing, "shrunk", None)]):
        pass
