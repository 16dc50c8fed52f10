"""Draws: the same for the same seed and name, and of the distribution they are named after."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import chance
from sim.chance import Curve, Weights, stream

N = 20_000

# Of seed 42. If these change, every scenario's outcome does: a version of its own.
GOLDEN = [14.083514193537152, 614.0, 12.696754381134255, 0.19962076367072348, 77.79044470280736, 1.0, 4.0, 7.0]


class Fixed:
    """Draws what it is told, in turn."""

    def __init__(self, *values: float) -> None:
        self._values = list(values)

    def random(self) -> float:
        return self._values.pop(0)


ALMOST_ONE = math.nextafter(1.0, 0.0)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def test_a_stream_depends_on_its_seed_and_its_name() -> None:
    first = stream(1, "disk").random()

    assert stream(1, "disk").random() == first
    assert stream(1, "net").random() != first
    assert stream(2, "disk").random() != first


def test_the_draws_of_a_seed_never_change() -> None:
    source = stream(42, "golden")
    drawn = [
        chance.uniform(source, 10.0, 20.0),
        float(chance.below(source, 1000)),
        chance.exponential(source, 60.0),
        chance.normal(source),
        chance.lognormal(source, 60.0, 1.0),
        *map(float, chance.sample(source, range(10), 3)),
    ]

    assert drawn == pytest.approx(GOLDEN, rel=1e-12)


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    code = "from sim.chance import *; s = stream(7, 'a'); print(s.random(), lognormal(s, 5.0, 1.0), sample(s, 'abcdef', 3))"
    root = Path(__file__).parents[3]
    answers = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]

    assert answers[0] == answers[1]


def test_an_exponential_has_its_mean() -> None:
    source = stream(1, "exponential")

    assert math.fsum(chance.exponential(source, 60.0) for _ in range(N)) / N == pytest.approx(60.0, rel=0.03)


def test_a_normal_has_mean_0_and_deviation_1() -> None:
    source = stream(1, "normal")
    drawn = [chance.normal(source) for _ in range(N)]

    assert math.fsum(drawn) / N == pytest.approx(0.0, abs=0.03)
    assert math.fsum(x * x for x in drawn) / N == pytest.approx(1.0, rel=0.05)


def test_a_lognormal_has_its_median_and_spread() -> None:
    source = stream(1, "lognormal")
    drawn = [chance.lognormal(source, 1200.0, 1.0) for _ in range(N)]

    assert median(drawn) == pytest.approx(1200.0, rel=0.05)
    assert sorted(drawn)[int(N * 0.8413)] == pytest.approx(1200.0 * math.e, rel=0.05)


@pytest.mark.parametrize("edge", [0.0, ALMOST_ONE])
def test_no_draw_breaks_at_the_edges_of_the_uniform_one(edge: float) -> None:
    assert 0.0 <= chance.exponential(Fixed(edge), 60.0) < math.inf
    assert math.isfinite(chance.normal(Fixed(edge, edge)))
    assert chance.below(Fixed(edge), 3) in (0, 2)
    assert Weights.of([1.0, 0.0, 2.0]).pick(Fixed(edge)) in (0, 2)
    assert 0.0 <= Curve((0.0, 1.0), (0.0, 5.0)).draw(Fixed(edge)) <= 5.0


@pytest.mark.parametrize("weights", [[], [0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf]])
def test_what_are_no_weights_is_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="not weights"):
        Weights.of(weights)


def test_a_choice_follows_its_weights() -> None:
    source, weights = stream(1, "weights"), Weights.of([1.0, 0.0, 3.0])
    drawn = [weights.pick(source) for _ in range(N)]

    assert drawn.count(1) == 0
    assert drawn.count(2) / N == pytest.approx(0.75, abs=0.02)


@given(st.integers(0, 2**32), st.lists(st.integers(), max_size=30, unique=True), st.data())
def test_a_sample_has_that_many_different_items_in_their_order(
    seed: int, items: list[int], data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, len(items)))
    drawn = chance.sample(stream(seed, "sample"), items, count)

    assert len(drawn) == count
    assert list(drawn) == [item for item in items if item in drawn]


def test_every_item_is_sampled_as_often_as_the_others() -> None:
    source = stream(1, "fair")
    drawn = [item for _ in range(N) for item in chance.sample(source, "abcde", 2)]

    for item in "abcde":
        assert drawn.count(item) / N == pytest.approx(0.4, abs=0.02)


def test_more_than_there_is_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="cannot draw 3 of 2"):
        chance.sample(stream(1, "x"), "ab", 3)
    with pytest.raises(ValueError, match="nothing to draw from"):
        chance.choice(stream(1, "x"), [])


def test_a_choice_is_one_of_the_items() -> None:
    source = stream(1, "choice")

    assert sorted({chance.choice(source, "abc") for _ in range(100)}) == ["a", "b", "c"]


def test_what_happens_draws_once_whatever_the_ratio() -> None:
    never, always = stream(1, "x"), stream(1, "x")

    assert not chance.happens(never, 0.0)
    assert chance.happens(always, 1.0)
    assert never.random() == always.random()


def test_a_curve_is_straight_between_its_knots() -> None:
    curve = Curve((0.0, 0.5, 1.0), (0.0, 10.0, 110.0))

    assert [curve.at(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 5.0, 10.0, 60.0, 110.0]
