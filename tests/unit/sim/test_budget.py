"""The budget of high availability: figures that can be worked out by hand, and runs whose end is known beforehand."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from ave.ha.timing import PROFILES, Timing
from drivers.sim.facts import Disturbed, Gone, Paused, Resumed, Revoked, Started
from sim.budget import trial as trials
from sim.budget.campaign import CAUSES, Asked, Report, measure
from sim.budget.causes import BLIPS, FAILURES, LEADER, OTHERS, WORKERS, Blip
from sim.budget.downtime import Sample, Watch
from sim.budget.figures import Budget, Downtime, budget_of
from sim.budget.page import page, verdict
from sim.budget.plot import LEFT, TOP, plot, points
from sim.budget.trial import BLIP, Blipped, Task, Trial, failure_of, play
from sim.chance import Curve
from sim.outcome import INTERRUPTED, PASSED, THRESHOLD, VIOLATION

SEED = PROFILES["seed"]
PAGE = Path(__file__).parents[3] / "docs" / "ha-budget.md"


class World:
    """A clock, and a watch that is told what happens."""

    def __init__(self) -> None:
        self.now = 0.0
        self.watch = Watch(lambda: self.now)

    def at(self, now: float, *facts: object) -> None:
        self.now = now
        for fact in facts:
            self.watch.listen(fact)

    def sample(self, hit: int = 0) -> Sample:
        (sample,) = self.watch.hits[hit].samples()
        return sample


@pytest.fixture
def world() -> World:
    """web-1 runs on host-1."""
    world = World()
    world.at(0.0, Started("web-1", "host-1", 1, 1, 1024, incoming=False))
    return world


def lost(what: str = "host-crash", host: str = "host-1") -> Disturbed:
    return Disturbed(what, (host,))


# Downtime


def test_a_vm_is_down_from_the_loss_of_power_until_its_next_domain(world: World) -> None:
    world.at(100.0, lost(), Gone("web-1", "host-1", 1))
    world.at(191.5, Started("web-1", "host-2", 2, 2, 1024, incoming=False))
    assert world.sample() == Sample(down=91.5, back=91.5)


def test_a_cut_off_vm_is_down_from_when_its_host_gives_up(world: World) -> None:
    world.at(100.0, lost("partition"))
    world.at(158.0, Paused("web-1", "host-1", 1))
    world.at(190.0, Revoked("host-1"), Started("web-1", "host-2", 2, 2, 1024, incoming=False))
    world.at(400.0, Gone("web-1", "host-1", 1))
    assert world.sample() == Sample(down=32.0, back=90.0)
    assert world.watch.hits[0].fenced


def test_an_incoming_domain_does_not_run_and_an_old_one_that_wakes_is_no_gap(world: World) -> None:
    world.at(100.0, lost("host-stall"), Paused("web-1", "host-1", 1))
    world.at(150.0, Started("web-1", "host-2", 2, 2, 1024, incoming=True))
    world.at(160.0, Resumed("web-1", "host-2", 2, 2))
    world.at(170.0, Resumed("web-1", "host-1", 1, 1))
    world.at(171.0, Paused("web-1", "host-1", 1), Gone("web-1", "host-1", 1))
    assert world.sample() == Sample(down=60.0, back=60.0)


def test_standstills_add_up_and_each_belongs_to_the_latest_hit(world: World) -> None:
    world.at(100.0, lost("partition"))
    world.at(110.0, Paused("web-1", "host-1", 1))
    world.at(115.0, Resumed("web-1", "host-1", 1, 1))
    world.at(120.0, Paused("web-1", "host-1", 1))
    world.at(121.0, Resumed("web-1", "host-1", 1, 1))
    world.at(200.0, lost("partition"))
    world.at(210.0, Paused("web-1", "host-1", 1))
    world.at(213.0, Resumed("web-1", "host-1", 1, 1))
    assert [world.sample(0), world.sample(1)] == [Sample(6.0, 21.0), Sample(3.0, 13.0)]


def test_who_does_not_come_back_is_counted_until_the_end_and_named(world: World) -> None:
    world.at(100.0, lost(), Gone("web-1", "host-1", 1))
    world.at(300.0)
    missing = world.watch.close()
    assert missing == {"web-1"}
    assert world.watch.hits[0].samples(missing) == [Sample(200.0, 200.0, missing=True)]


def test_a_vm_of_another_host_is_not_hit(world: World) -> None:
    world.at(50.0, Started("web-2", "host-2", 2, 1, 1024, incoming=False))
    world.at(100.0, lost())
    assert list(world.watch.hits[0].gaps) == ["web-1"]


def test_a_fault_of_single_vms_hits_them_alone(world: World) -> None:
    world.at(50.0, Started("web-2", "host-1", 2, 1, 1024, incoming=False))
    world.at(100.0, Disturbed("vm-crash", vms=("web-2",)), Gone("web-2", "host-1", 2))
    world.at(110.0, Started("web-2", "host-1", 3, 2, 1024, incoming=False))
    assert (list(world.watch.hits[0].gaps), world.sample()) == (["web-2"], Sample(10.0, 10.0))


def test_what_may_stop_nobody_takes_no_standstill_from_what_may(world: World) -> None:
    world.at(100.0, lost(), Gone("web-1", "host-1", 1))
    world.at(150.0, Disturbed("store-failover"))
    world.at(190.0, Started("web-1", "host-2", 2, 2, 1024, incoming=False))
    assert [world.sample(0).down, world.sample(1).down] == [90.0, 0.0]


def test_a_host_that_is_fenced_though_nothing_had_befallen_it_is_innocent(world: World) -> None:
    world.at(100.0, lost(), Disturbed("partition", ("host-1",), over=True), Disturbed("store-failover"))
    world.at(200.0, Revoked("host-1"), Revoked("host-2"))
    assert world.watch.innocents == ["host-2"]
    assert [hit.fenced for hit in world.watch.hits] == [True, False]


# Figures


def samples(*down: float) -> list[Sample]:
    return [Sample(seconds, 2 * seconds) for seconds in down]


def test_percentiles_are_by_nearest_rank() -> None:
    found = Downtime.of(samples(*(float(n) for n in range(200, 0, -1))))
    assert (found.p50, found.p95, found.p99, found.max, found.mean) == (100.0, 190.0, 198.0, 200.0, 100.5)
    assert (found.vms, found.stopped, found.missing, found.back_p99) == (200, 200, 0, 396.0)
    few = Downtime.of([Sample(0.0, 0.0), Sample(7.0, 9.0, missing=True)])
    assert (few.p50, few.p95, few.stopped, few.missing, few.mean, few.back_p99) == (0.0, 7.0, 1, 1, 3.5, 9.0)


def task(cause: str, seed: int = 1) -> Task:
    return Task(SEED, cause, seed, seed - 1, 2)


def found() -> list[Trial]:
    """Two power losses; and two of each blip, of which the stalls were fenced once and the restarts twice."""
    fenced = {"host stalls": (False, True), "switch restarts": (True, True)}
    blips = [
        [Blipped(blip.name, 50.0, fenced.get(blip.name, (False, False))[run], samples(6.0, 0.0)) for blip in BLIPS]
        for run in (0, 1)
    ]
    return [
        Trial(task("power loss", 1), samples(30.0, 40.0)),
        Trial(task("power loss", 2), samples(50.0, 60.0)),
        Trial(task(BLIP, 1), blips=blips[0]),
        Trial(task(BLIP, 2), blips=blips[1]),
    ]


def test_rates_and_minutes_follow_from_the_tables() -> None:
    budget = budget_of(SEED, found())
    rates = {blip.name: blip.per_host_year for blip in BLIPS}
    assert budget.false_fences_per_host_year == pytest.approx(rates["host stalls"] / 2 + rates["switch restarts"])
    (loss,) = budget.failures
    assert (loss.runs, loss.downtime.mean) == (2, 45.0)
    assert [loss.curve[percent - 1] for percent in (25, 26, 50, 51, 76, 100)] == [30.0, 40.0, 40.0, 50.0, 60.0, 60.0]
    assert budget.failure_minutes_per_vm_year == pytest.approx(loss.per_year * 45.0 / 60, abs=1e-4)
    assert budget.blip_minutes_per_vm_year == pytest.approx(sum(rates.values()) * 3.0 / 60, abs=1e-4)
    assert (budget.start_p99, budget.start_promised, budget.kept) == (120.0, 105.0, False)


def test_starts_are_in_time_whichever_of_six_hosts_loses_power() -> None:
    others = Trial(task("power loss"), [Sample(0.0, 90.0)] * 100)
    for late, p99 in (
        (6, 90.0),
        (7, 110.0),
    ):  # of 600 VMs, counting the five hosts that do not lead, six are one in a hundred
        leader = Trial(task("leader loss"), [Sample(0.0, 90.0)] * (100 - late) + [Sample(0.0, 110.0)] * late)
        budget = budget_of(SEED, [others, leader])
        assert (budget.start_p99, budget.kept) == (p99, p99 < 105.0)


def test_the_order_in_which_runs_end_does_not_matter() -> None:
    assert budget_of(SEED, found()) == budget_of(SEED, reversed(found()))


def report(*, partial: bool = False, start_p99: float = 90.0, **changes: object) -> Report:
    budget = msgspec.structs.replace(budget_of(SEED, found()), start_p99=start_p99, **changes)
    return Report(first=1, seeds=2, runs=4, partial=partial, budgets=(budget,))


@pytest.mark.parametrize(
    ("made", "code", "said"),
    [
        (report(), PASSED, "Every start was in time"),
        (report(start_p99=105.001), THRESHOLD, "MISSED: VMs are started later than promised (seed)."),
        (report(innocents=1), THRESHOLD, "MISSED: hosts were fenced that nothing had befallen (seed)."),
        (report(broken=("isolation, seed 2: S2: twice",)), VIOLATION, "VIOLATION: isolation, seed 2: S2: twice"),
        (report(partial=True), INTERRUPTED, "INTERRUPTED after 4 runs"),
    ],
)
def test_the_worst_that_was_found_is_said_and_ends_the_command(made: Report, code: int, said: str) -> None:
    assert made.exit_code == code
    assert verdict(made).startswith(said)


# Runs


def test_a_blip_longer_than_the_verdict_is_a_false_fence_and_a_shorter_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        Blip(f"{fault} {seconds:g}", fault, 1.0, Curve((0.0, 1.0), (seconds, seconds)), "")
        for fault, seconds in (
            ("partition", 20.0),
            ("partition", 80.0),
            ("partition", 110.0),
            ("host-stall", 80.0),
            ("host-stall", 110.0),
            ("storage-loss", 80.0),
        )
    ]
    monkeypatch.setattr(trials, "BLIPS", tuple(rows))
    ended = play(task(BLIP), stop=lambda: False)
    assert (ended.broken, ended.innocents) == ("", 0)
    fenced = {blip.cause: blip.fenced for blip in ended.blips}
    said_so = fenced.pop("storage-loss 80")
    assert fenced == {name: float(name.split()[1]) > SEED.verdict for name in fenced}
    assert said_so, "a host that reaches the store says that its VMs stand still, and nobody waits longer"
    down = {blip.cause: [round(sample.down) for sample in blip.samples] for blip in ended.blips}
    assert all(len(of) >= trials.VMS_OF_A_BLIP for of in down.values()), "more if a fenced host's came to it"
    assert set(down["partition 20"]) == {0}, "its lease outlasted it"
    assert all(15 <= seconds <= 26 for seconds in down["partition 80"]), "paused from 55 to 60 s on, until the end"
    assert all(80 <= seconds <= 81 for seconds in down["host-stall 80"]), "until the end, and its lease is renewed"
    assert all(84 <= seconds <= 92 for seconds in down["host-stall 110"]), "until it is rescued"


@pytest.mark.parametrize("profile", ["standard", "high"])
def test_another_profile_waits_longer_or_less(profile: str) -> None:
    timing = PROFILES[profile]
    ended = play(Task(timing, "isolation", 1, 0, 1), stop=lambda: False)
    assert ended.broken == ""
    assert len(ended.samples) == trials.VMS_OF_A_HOST
    for sample in ended.samples:
        assert timing.verdict - 5 <= sample.back <= timing.verdict + 3
        assert sample.down == pytest.approx(timing.verdict - timing.give_up, abs=4)


def test_failures_strike_where_they_say() -> None:
    for seed in range(1, 20):
        (lost,) = failure_of(task("power loss", seed))
        assert lost.target is not None
        assert lost.target.names[0] in OTHERS
        first, leader = failure_of(task("power loss, then leader loss", seed))
        assert first.target is not None
        assert leader.target is not None
        assert first.target.names[0] in WORKERS
        assert leader.target.names == (LEADER,)
        assert 0 <= leader.at - first.at <= SEED.verdict
    later = play(task("leader loss"), stop=lambda: False)
    assert min(sample.back for sample in later.samples) > SEED.verdict, "who leads next has watched nobody yet"


def test_an_interrupted_campaign_keeps_the_runs_that_ended() -> None:
    done: list[int] = []
    asked = Asked(timings=(SEED, Timing(name="custom", give_up=50.0, verdict=80.0)), seeds=1)
    ended = measure(asked, progress=lambda now, total: done.append(now), stop=lambda: len(done) >= 2)
    assert (ended.runs, ended.partial, ended.exit_code) == (2, True, INTERRUPTED)
    assert [budget.profile for budget in ended.budgets] == ["seed"]
    assert [failure.name for failure in ended.budgets[0].failures] == list(CAUSES[:2])
    assert "INTERRUPTED after 2 runs" in page(ended, "ave sim budget", "downtime.svg")


# The report


def test_the_curve_rises_by_steps_from_nothing_to_all() -> None:
    (left, bottom), *_, (right, top) = points([10.0, 10.0, 20.0, 30.0], 60.0)
    assert (left, top) == (LEFT, TOP)
    assert right > left
    assert bottom > top
    middle = [round((x - left) / (right - left) * 60) for x, y in points([10.0, 30.0], 60.0) if y == (top + bottom) / 2]
    assert middle == [10, 30], "half of them between 10 and 30 s"


def test_the_plot_has_a_curve_for_each_failure_that_stops_vms() -> None:
    budget = budget_of(
        SEED, [*found(), Trial(task("store failover"), samples(0.0)), Trial(task("isolation"), samples(3.0))]
    )
    for budgets in ([budget], [budget] * 3, []):
        root = ET.fromstring(plot(budgets))
        assert len(root.findall(".//{*}polyline")) == 2 * len(budgets)
        said = [text.text for text in root.findall(".//{*}text")]
        assert ("isolation" in said) == bool(budgets)
        assert "store failover" not in said


def test_no_two_curves_of_the_published_plot_look_alike() -> None:
    root = ET.fromstring(PAGE.with_suffix(".svg").read_text())
    (panel, *_) = root.findall("{*}g")
    looks = [(line.get("stroke"), line.get("stroke-dasharray")) for line in panel.findall("{*}polyline")]
    assert len(looks) > 1
    assert len(set(looks)) == len(looks)


def test_the_published_page_is_of_these_tables() -> None:
    text = PAGE.read_text()
    for failure in FAILURES:
        assert f"| {failure.name} | {failure.what} | {failure.per_year:g} | {failure.source} |" in text
    for blip in BLIPS:
        assert f"| {blip.name} | `{blip.fault}` | {blip.per_host_year:g} | " in text
        assert blip.source in text
    for profile in PROFILES.values():
        assert f"### {profile.name}: gives up after {profile.give_up:g} s, verdict after {profile.verdict:g} s" in text
    assert "VIOLATION" not in text
    assert PAGE.with_suffix(".svg").name in text
    ET.fromstring(PAGE.with_suffix(".svg").read_text())


def test_a_budget_is_kept_if_nothing_broke_and_starts_were_in_time() -> None:
    budget: Budget = report().budgets[0]
    assert budget.kept
    assert not msgspec.structs.replace(budget, broken=("x",)).kept
