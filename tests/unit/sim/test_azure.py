"""The made-up cloud: its figures are those published, and the same seed gives the same VMs."""

import math
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from sim.azure import HOURS, VMS_PER_SECOND, generate
from sim.traces import Workload

VMS = 200_000

# Of seed 42: sums of arrivals, lives, vCPUs and MiB, and the last batch.
GOLDEN = (794391.7417771233, 11628785.04713009, 2330, 4295168, 204)


@cache
def workload() -> Workload:
    return generate(VMS, seed=1)


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


def sizes() -> list[float]:
    return [float(size) for size in Counter(workload().batch).values()]


def lives() -> list[float]:
    return [life for life in workload().life if life is not None]


def test_there_are_exactly_as_many_vms_as_asked_for_and_all_columns_have_them() -> None:
    for vms in (1, 2, 999):
        rows = list(generate(vms, seed=1).rows())

        assert [row[0] for row in rows] == [f"azure-{n}" for n in range(1, vms + 1)]


def test_the_pace_is_that_of_the_recording() -> None:
    assert pytest.approx(259, abs=0.5) == VMS_PER_SECOND * 300
    assert workload().arrive[-1] == pytest.approx(VMS / 259 * 300, rel=0.01)


def test_the_busiest_five_minutes_are_some_times_the_mean() -> None:
    busiest = max(Counter(int(second // 300) for second in workload().arrive).values())

    assert 600 < busiest < 1800, "the recording has 916"


@pytest.mark.parametrize(("share", "low", "high"), [(0.5, 1, 1), (0.9, 5, 7), (0.99, 60, 90)])
def test_batches_are_as_large(share: float, low: float, high: float) -> None:
    assert low <= quantile(sizes(), share) <= high, "published: p50 1, p90 6, p99 74"


def test_the_largest_batch_is_below_the_largest_there_was() -> None:
    assert 300 <= max(sizes()) <= 587


def test_the_mean_batch_is_as_large() -> None:
    assert math.fsum(sizes()) / len(sizes()) == pytest.approx(4.88, rel=0.08)


# The published figures are the tops of bins: 1,500 s stands for 1,200 to 1,500 s, 172,800 s for the second day.
@pytest.mark.parametrize(("share", "low", "high"), [(0.5, 1200, 1500), (0.9, 32_400, 43_200), (0.99, 86_400, 190_000)])
def test_lives_are_as_long(share: float, low: float, high: float) -> None:
    assert low <= quantile(lives(), share) <= high, "published: p50 1,500 s, p90 39,600 s, p99 172,800 s"


def test_every_vm_ends_after_some_time() -> None:
    assert len(lives()) == VMS
    assert min(lives()) >= 0.0
    assert max(lives()) <= 345_600.0


@pytest.mark.parametrize(
    ("shape", "share"),
    [((1, 1792), 0.60), ((2, 3584), 0.19), ((4, 7168), 0.10), ((8, 14336), 0.09), ((1, 768), 0.016)],
)
def test_the_mix_of_sizes_is_the_same(shape: tuple[int, int], share: float) -> None:
    mix = Counter(zip(workload().vcpu, workload().memory_mib, strict=True))

    assert mix[shape] / VMS == pytest.approx(share, abs=0.02)


def test_days_are_busier_than_nights() -> None:
    week = generate(50_000, seed=1, span=7 * 86400.0)
    first = dict(zip(reversed(week.batch), reversed(week.arrive), strict=True))
    by_hour = Counter(int(second // 3600) % 24 for second in first.values())
    ratio = sum(by_hour[hour] for hour in range(12, 18)) / sum(by_hour[hour] for hour in range(6))

    assert ratio == pytest.approx(math.fsum(HOURS[12:18]) / math.fsum(HOURS[:6]), rel=0.1)


@pytest.mark.parametrize("span", [1.0, 5000.0, 86400.0, 100_000.0, 10 * 365 * 86400.0])
def test_all_arrive_within_the_span_and_in_order(span: float) -> None:
    arrive = generate(2000, seed=1, span=span).arrive

    assert list(arrive) == sorted(arrive)
    assert arrive[0] >= 0.0
    assert arrive[-1] < span
    assert arrive[-1] > span * 0.9


def test_vms_of_a_batch_stand_together_and_arrive_together() -> None:
    made = generate(5000, seed=1)

    assert list(made.batch) == sorted(made.batch)
    assert len(dict.fromkeys(zip(made.batch, made.arrive, strict=True))) == made.batch[-1] + 1


def test_siblings_are_alike() -> None:
    alike = strangers = 0
    rows = list(generate(50_000, seed=1).rows())
    for one, other in pairwise(rows):
        if one[2] == other[2]:
            alike += one[5] == other[5]
            strangers += one[5] != other[5]

    assert alike / (alike + strangers) == pytest.approx(0.53, abs=0.05)


def test_the_same_seed_and_name_give_the_same_vms() -> None:
    made = generate(500, seed=1)

    assert made == generate(500, seed=1)
    assert made.arrive != generate(500, seed=2).arrive
    assert made.vcpu != generate(500, seed=1, name="other").vcpu


def test_the_vms_of_a_seed_never_change() -> None:
    made = generate(1000, seed=42)

    assert math.fsum(made.arrive) == pytest.approx(GOLDEN[0], rel=1e-12)
    assert math.fsum(life for life in made.life if life is not None) == pytest.approx(GOLDEN[1], rel=1e-12)
    assert (sum(made.vcpu), sum(made.memory_mib), made.batch[-1]) == GOLDEN[2:]


@pytest.mark.parametrize(("vms", "span"), [(0, None), (-1, None), (1, 0.0), (1, math.nan), (1, math.inf)])
def test_no_vms_or_no_time_is_no_workload(vms: int, span: float | None) -> None:
    with pytest.raises(ValueError, match="not a workload"):
        generate(vms, seed=1, span=span)
