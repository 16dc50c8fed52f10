"""Bugs put in on purpose, each by one small patch at run time, must be caught by a scenario that ships."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ave.ha import monitor, timing
from ave.ha.verdict import judge
from ave.jobs import locks
from sim.outcome import VIOLATION, Outcome
from tests.scenarios.shipped import play

SEEDS = range(1, 6)


def caught(name: str) -> dict[str, str]:
    """Which invariants the scenario finds broken, and what each says first."""
    found: dict[str, str] = {}
    for seed in SEEDS:
        outcome: Outcome = play(name, seed)
        if outcome.violation is not None:
            assert outcome.exit_code == VIOLATION
            assert outcome.violation.slice, "a violation tells what led to it"
            found.setdefault(outcome.violation.invariant, outcome.violation.what)
    return found


def test_revoking_a_lease_without_waiting_for_it_to_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fence wait: the leader judges after 20 s what may run for 60."""

    def hasty(hosts: Any, evidence: Any, times: timing.Timing) -> Any:
        return judge(hosts, evidence, msgspec.structs.replace(times, verdict=20.0))

    monkeypatch.setattr(monitor, "judge", hasty)
    assert "S4" in caught("ha/partition-heals.yaml")


def test_rescuing_while_the_old_domain_still_runs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bug where the revocation is not what is looked at: two domains run at once."""
    from sim.invariants.s4_fenced_first import FencedFirst

    def hasty(hosts: Any, evidence: Any, times: timing.Timing) -> Any:
        return judge(hosts, evidence, msgspec.structs.replace(times, verdict=20.0))

    monkeypatch.setattr(monitor, "judge", hasty)
    monkeypatch.setattr(FencedFirst, "handlers", lambda self: {})
    assert "S2" in caught("ha/partition-heals.yaml")


def test_ignoring_the_locks_of_others_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "held_by_others", lambda known, job: {})
    assert "J4" in caught("jobs/failover-during-create.yaml")


def test_an_error_that_nobody_handles_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(known: Any, job: str) -> dict[str, str]:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(locks, "held_by_others", broken)
    assert "ZeroDivisionError: planted" in caught("jobs/tight-memory.yaml")["crash"]
