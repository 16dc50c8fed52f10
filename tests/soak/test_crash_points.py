"""A worker is lost at every await of every type of Job: one test per case, and each tells how many points it has."""

from typing import Any

import pytest

from sim.crashpoints.campaign import Campaign
from sim.crashpoints.cases import CASES, Case


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_point_is_reached_and_none_is_stuck(case: Case, record_property: Any) -> None:
    report = Campaign(case).enumerate()
    runs = sum(tally.runs for tally in report.tallies.values())
    reached = sum(tally.reached for tally in report.tallies.values())
    record_property("note", f"{report.points:4} points, {reached} of {runs} runs reached theirs: {case.name}")
    assert report.points >= 10, "a Job has more awaits than that: somebody forgot to count"
    assert report.findings == [], "\n" + "\n".join(str(finding) for finding in report.findings)
    assert report.sound
