"""When a rescue is tried again."""

import pytest

from ave.ha.retry import Attempts, pause


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 10.0), (5, 10.0), (6, 60.0), (10, 60.0), (11, 100.0), (500, 100.0)]
)
def test_the_pause_after_an_attempt(attempt, seconds):
    assert pause(attempt) == seconds


def attempts(count: int) -> Attempts:
    made = Attempts()
    for number in range(count):
        made.begin(["vm"], float(number))
    return made


def test_who_was_never_tried_is_due_and_who_was_waits_for_its_pause():
    made = Attempts()
    assert made.due("vm", 0.0, 0)
    assert not made.any_due(0.0, 0)
    made.begin(["vm"], 100.0)
    assert not made.due("vm", 109.9, 0)
    assert made.due("vm", 110.0, 0)
    assert made.any_due(110.0, 0)


def test_room_that_returns_ends_the_wait_of_who_had_found_no_place():
    made = attempts(20)
    assert not made.due("vm", 19.0 + 99.0, 8)
    made.placeless(["vm", "unknown"], 7)
    assert not made.due("vm", 19.0 + 99.0, 7), "no room was freed since"
    assert made.due("vm", 19.0 + 10.0, 8)
    assert not made.due("vm", 19.0 + 9.0, 8), "but not more often than every 10 s"


def test_a_start_that_failed_for_another_reason_waits_whatever_room_there_is():
    made = attempts(12)
    made.placeless(["vm"], 1)
    made.begin(["vm"], 200.0)
    assert not made.due("vm", 299.0, 2)
    assert made.due("vm", 300.0, 2)


def test_who_runs_again_begins_anew():
    made = attempts(12)
    made.keep([])
    made.begin(["vm"], 0.0)
    assert made.due("vm", 10.0, 0)
