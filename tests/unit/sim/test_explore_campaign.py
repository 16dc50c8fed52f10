"""A campaign adds up, goes on where it stood, and says when it proved nothing. Short ones, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.explore import campaign as campaigns
from sim.explore.campaign import Asked, Campaign, explore
from sim.explore.journal import Journal, key_of
from sim.explore.limit import Overrun, cpu_limit
from sim.explore.page import hashes, report, verdict
from sim.explore.phases import PHASES, QUIET
from sim.explore.trial import Trial, play, wish
from sim.invariants import TABLE
from sim.outcome import INTERRUPTED, PASSED, THRESHOLD, VIOLATION
from sim.story import Story
from sim.violation import Violation

HOURS = 0.3
ALL_ARMED = {invariant.id: 1 for invariant in TABLE}


def summed(*trials: Trial) -> Campaign:
    campaign = Campaign(asked=Asked(seeds=len(trials)))
    for trial in trials:
        campaign.add(trial)
    return campaign


def test_the_same_seed_gives_the_same_trace_and_another_another() -> None:
    first, again, other = (play(seed, wish(hours=HOURS)) for seed in (1, 1, 2))
    assert first == again
    assert first.hash != other.hash


def test_a_run_that_differs_in_one_moment_has_another_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivers.sim import physics

    before = play(1, wish(hours=HOURS)).hash
    monkeypatch.setattr(physics, "JOURNAL_SECONDS", physics.JOURNAL_SECONDS * 1.001)
    assert play(1, wish(hours=HOURS)).hash != before


def test_a_fault_is_counted_with_what_it_struck() -> None:
    trial = play(1, wish(hours=HOURS))
    assert trial.struck == {kind: trial.struck[kind] for kind in trial.phases}
    assert all(phase in (QUIET, *PHASES) for counts in trial.phases.values() for phase in counts)
    assert all(sum(counts.values()) >= trial.struck[kind] for kind, counts in trial.phases.items())


def test_a_campaign_is_the_sum_of_its_trials_and_is_sound_if_everything_was_at_stake() -> None:
    one = Trial(seed=1, hash="a", seconds=10.0, struck={"x": 2}, phases={"x": {"quiet": 2}}, armed=ALL_ARMED)
    two = Trial(seed=2, hash="b", seconds=5.0, struck={"x": 1, "y": 1}, phases={"x": {"quiet": 1}}, armed={"S1": 3})
    campaign = summed(one, two)
    assert (campaign.seeds, campaign.seconds, campaign.struck) == (2, 15.0, {"x": 3, "y": 1})
    assert campaign.phases["x"] == {"quiet": 3}
    assert campaign.armed["S1"] == 4
    assert (campaign.exit_code, verdict(campaign)) == (PASSED, "PASSED")
    assert hashes(campaign) == "1 a\n2 b\n"


def test_a_campaign_in_which_something_was_never_at_stake_is_void() -> None:
    campaign = summed(Trial(seed=1, armed=ALL_ARMED | {"P3": 0}))
    assert (campaign.exit_code, verdict(campaign)) == (THRESHOLD, "VOID: never at stake: P3")


def test_a_campaign_with_a_seed_that_did_not_end_is_void() -> None:
    campaign = summed(Trial(seed=1, armed=ALL_ARMED), Trial(seed=2, unfinished=True))
    assert campaign.exit_code == THRESHOLD
    assert "did not end: 2" in verdict(campaign)


def test_a_seed_that_goes_round_in_circles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def circle(*_: Any, **__: Any) -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:
                raise AssertionError("nothing under test may swallow it") from None

    monkeypatch.setattr(Story, "play", circle)
    campaign = explore(Asked(seeds=1, hours=HOURS, limit=0.2))
    assert campaign.unfinished == [1]


def test_the_limit_leaves_nothing_behind() -> None:
    with pytest.raises(Overrun), cpu_limit(0.05):
        while True:
            pass
    with cpu_limit(60.0):
        pass
    sum(range(10**7))


def test_a_limit_that_falls_into_a_finalizer_comes_again() -> None:
    class Long:
        def __del__(self) -> None:
            for _ in range(20):  # the limit ends one of them, and is heard between two
                sum(range(10**6))

    fell = 0
    with pytest.raises(Overrun), cpu_limit(0.1):
        Long()
        fell += 1
        while True:
            pass
    assert fell == 1, "the finalizer let it through"


def broken(*_: Any, **__: Any) -> None:
    raise Violation("S2", "planted", ("web-1",))


def test_a_seed_that_breaks_something_keeps_its_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sim.oracle import Oracle

    monkeypatch.setattr(Oracle, "end", broken)
    campaign = explore(Asked(seeds=2, hours=HOURS, out=tmp_path))
    assert campaign.exit_code == VIOLATION
    assert [(trial.seed, trial.broken) for trial in campaign.broken] == [(1, "S2"), (2, "S2")]
    assert (tmp_path / "seed-2.yaml").read_text().startswith("apiVersion")
    assert "| 2 | S2 |" in report(campaign)


def test_a_campaign_that_goes_on_plays_only_what_is_not_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(seeds=2, hours=HOURS, out=tmp_path, resume=True)
    whole = explore(asked)
    played: list[int] = []
    real = campaigns.trial_of

    def noted(task: campaigns.Task, stop: Any) -> Trial:
        played.append(task.seed)
        return real(task, stop)

    monkeypatch.setattr(campaigns, "trial_of", noted)
    again = explore(Asked(seeds=3, hours=HOURS, out=tmp_path, resume=True))
    assert played == [3]
    assert [again.hashes[seed] for seed in (1, 2)] == list(whole.hashes.values())


def test_other_code_and_a_line_cut_short_count_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    Journal(path, "a").add(Trial(seed=1))
    Journal(path, "b").add(Trial(seed=2))
    path.write_bytes(path.read_bytes() + b'{"key":"a","trial":{"see')
    assert list(Journal(path, "a").read()) == [1]
    assert Journal(None, "a").read() == {}


def test_an_interrupted_campaign_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    asked = Asked(seeds=3, hours=HOURS, out=tmp_path)
    done: list[int] = []
    campaign = explore(asked, progress=lambda found: done.append(found.seeds), stop=lambda: max(done, default=0) >= 1)
    assert campaign.exit_code == INTERRUPTED
    assert len(Journal(tmp_path / "seeds.jsonl", key_of((), HOURS)).read()) == 1


@pytest.mark.timeout(300)
def test_two_processes_say_what_one_says(tmp_path: Path) -> None:
    one, two = (explore(Asked(seeds=2, hours=HOURS, jobs=jobs)) for jobs in (1, 2))
    assert one.hashes == two.hashes
    assert one.armed == two.armed
