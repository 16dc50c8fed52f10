"""Scenarios that are many runs: their matrix is checked like the rest of the file, and their figures are added up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ave.errors import Refused
from sim.outcome import PASSED, THRESHOLD
from sim.run import Asked, plan
from sim.scenario.load import load, loads
from sim.scenario.matrix import variants
from sim.scenario.problem import Invalid
from sim.series import Series, play, spread_of, steps
from sim.tables import CATALOGUE

HEAD = """\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {name: some}
spec:
  seed: 40
  duration: 4m
  topology: {hosts: 4, cpu: 8, memory: 32GiB}
  workload:
    - {fleet: web, count: 4, vcpu: 1, memory: 1GiB}
  timeline:
    - {at: 30s, fault: host-crash, target: host-4, for: 20s}
  thresholds:
    - {expr: "ha.waiting == 0"}
    - {expr: "ha.recovery_time.max < 100s"}
"""


def problems(more: str) -> list[str]:
    with pytest.raises(Invalid) as refused:
        loads(HEAD + more, CATALOGUE, Path("some.yaml"))
    return str(refused.value).splitlines()


def matrix(*lines: str) -> str:
    return "\n    ".join(["  matrix:", *lines]) + "\n"


def written(folder: Path, more: str = "") -> Path:
    path = folder / "some.yaml"
    path.write_text(HEAD + more)
    return path


# The file


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("timeline[0].for: [20s, 30]", "16:28 spec.timeline[0].for: must have a unit, such as 30s, not 30"),
        ("timeline[1].for: [20s]", '16:23: there is no "timeline[1].for" in spec'),
        ("topology.host: [3]", '16:21 spec.topology: unknown key "host", did you mean "hosts"?'),
        ("profile: [seed, hgh]", '16:21 spec.profile: unknown profile "hgh", did you mean "high"?'),
        ("a b: [1]", '16:5 spec.matrix: "a b" is not a place in spec, such as timeline[0].for'),
        ("duration: []", "16:5 spec.matrix.duration: must not be empty"),
        ("seed: [1]", '16:5 spec.matrix.seed: "seed" is not varied: other seeds are what repeat is for'),
        (
            "topology.hosts: [4, 3]",
            '16:25 spec.matrix.topology.hosts: "3" does not fit the rest: spec.timeline[0].target: unknown host "host-4"; '
            "the hosts are host-1 … host-3",
        ),
    ],
)
def test_a_mistake_in_a_matrix_is_shown_where_it_is(line: str, said: str) -> None:
    assert problems(matrix(line)) == [f"some.yaml:{said}"]


def test_values_that_do_not_fit_together_are_named() -> None:
    [said] = problems(matrix("timeline[0].at: [30s, 100s]", "duration: [4m, 90s]"))
    assert said.startswith(
        "some.yaml:15:3 spec.matrix: does not fit together with timeline[0].at: 100s, duration: 90s: "
    )


def test_too_many_runs_are_refused() -> None:
    numbers = ", ".join(f"{n}s" for n in range(1, 102))
    [said] = problems("  repeat: 100\n" + matrix(f"timeline[0].for: [{numbers}]"))
    assert said == "some.yaml:16:3 spec.matrix: 10100 runs in all, more than 10000"


def test_a_value_is_put_in_its_place(tmp_path: Path) -> None:
    path = written(tmp_path)
    scenario = load(path, CATALOGUE, (("timeline[0].for", "77s"), ("profile", "high"), ("workload[0].count", "3")))
    assert scenario.timeline[0].lasts == 77.0
    assert scenario.profile == "high"
    assert load(path, CATALOGUE).timeline[0].lasts == 20.0


def test_every_combination_is_a_variant() -> None:
    assert variants({}) == [()]
    assert variants({"a": ("1", "2"), "b": ("x", "y")}) == [
        (("a", "1"), ("b", "x")),
        (("a", "1"), ("b", "y")),
        (("a", "2"), ("b", "x")),
        (("a", "2"), ("b", "y")),
    ]


# The runs


def test_a_plan_has_each_combination_by_each_seed(tmp_path: Path) -> None:
    path = written(tmp_path, "  repeat: 2\n" + matrix("timeline[0].for: [20s, 30s]"))
    _, runs = plan(Asked(file=path))
    assert [(dict(run.given), run.seed) for run in runs] == [
        ({"timeline[0].for": "20s"}, 40),
        ({"timeline[0].for": "20s"}, 41),
        ({"timeline[0].for": "30s"}, 40),
        ({"timeline[0].for": "30s"}, 41),
    ]
    _, [one] = plan(Asked(file=path, seed=3, repeat=1, given=(("timeline[0].for", "25s"),)))
    assert one.command == f"ave sim run {path} --seed 3 --repeat 1 --set 'timeline[0].for=25s'"


def test_a_plan_with_an_impossible_value_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="unknown host"):
        plan(Asked(file=written(tmp_path)), {"timeline[0].target": ["host-1", "host-9"]})


@pytest.mark.timeout(300)
def test_a_series_adds_up_and_is_written(tmp_path: Path) -> None:
    path = written(tmp_path, "  repeat: 2\n")
    asked = Asked(file=path, out=tmp_path / "out")
    scenario, runs = plan(asked, {"timeline[0].for": ["20s", "150s"]})
    series = play(asked, scenario, runs, jobs=1)
    assert [(row.given["timeline[0].for"], row.runs) for row in series.rows] == [("20s", 2), ("150s", 2)]
    for row in series.rows:
        seeds = [run for run in series.runs if run.given == row.given]
        assert row.passed == sum(run.exit_code == PASSED for run in seeds)
        recovery = row.metrics["ha.recovery_time.max"]
        assert 0.0 < recovery.min <= recovery.median <= recovery.max
    assert series.exit_code in (PASSED, THRESHOLD)
    stored = msgspec.json.decode((tmp_path / "out" / "summary.json").read_bytes(), type=Series)
    assert stored == series
    assert "| 150s | " in (tmp_path / "out" / "report.md").read_text()
    again = play(Asked(file=path), scenario, runs, jobs=2)
    assert again == series


def test_an_interrupted_series_keeps_what_is_done(tmp_path: Path) -> None:
    scenario, runs = plan(Asked(file=written(tmp_path), repeat=3))
    done: list[float] = []
    series = play(
        Asked(file=written(tmp_path)),
        scenario,
        runs,
        jobs=1,
        progress=lambda what, count, total: done.append(count),
        stop=lambda: len(done) >= 1,
    )
    assert series.partial
    assert len(series.runs) == 1


def test_the_interval_of_a_median_leaves_out_as_many_as_it_may() -> None:
    """By the table of the binomial distribution: of 9 the second and the second last, of 20 the sixth and the sixth last."""
    intervals = {size: spread_of([float(n) for n in range(1, size + 1)]) for size in (1, 5, 6, 9, 20)}
    assert {size: (one.low, one.high) for size, one in intervals.items()} == {
        1: (1.0, 1.0),
        5: (1.0, 5.0),
        6: (1.0, 6.0),
        9: (2.0, 8.0),
        20: (6.0, 15.0),
    }
    assert intervals[9].median == 5.0


# Ranges


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=75s..78s/1s", ["75s", "76s", "77s", "78s"]),
        ("a=1..3", ["1", "2", "3"]),
        ("a=0.5m..1m/0.25m", ["0.5m", "0.75m", "1m"]),
        ("a=10%..30%/10%", ["10%", "20%", "30%"]),
        ("a=seed, high", ["seed", "high"]),
    ],
)
def test_a_range_is_every_step_of_it(text: str, values: list[str]) -> None:
    assert steps(text) == ("a", values)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "says nothing to vary"),
        ("=1..2", "says nothing to vary"),
        ("a=5s..1s", "goes nowhere"),
        ("a=1s..5s/0s", "goes nowhere"),
        ("a=1s..5m", "no number with the unit s"),
        ("a=1..1000000000", "steps, more than"),
    ],
)
def test_a_range_that_is_none_is_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        steps(text)
