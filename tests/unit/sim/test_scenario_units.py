"""Quantities: what people write is read to the bit, and what is not a quantity says what would be."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario import units


@pytest.mark.parametrize(
    ("read", "text", "amount"),
    [
        (units.seconds, "90s", 90.0),
        (units.seconds, "5m", 300.0),
        (units.seconds, "24h", 86400.0),
        (units.seconds, "3d", 259200.0),
        (units.seconds, "1.5h", 5400.0),
        (units.seconds, "200ms", 0.2),
        (units.seconds, "0", 0.0),
        (units.seconds, "-5m", -300.0),
        (units.size, "512GiB", 512 << 30),
        (units.size, "4MiB", 4 << 20),
        (units.size, "1TiB", 1 << 40),
        (units.size, "0.5KiB", 512),
        (units.mebibytes, "0.75GiB", 768),
        (units.mebibytes, "64TiB", 64 << 20),
        (units.per_second, "36/h", 0.01),
        (units.per_second, "2/s", 2.0),
        (units.ratio, "0.1%", 0.001),
        (units.ratio, "20", 20.0),
        (units.ratio, "1e-3", 0.001),
        (units.percent, "50%", 50.0),
        (units.percent, "50", 50.0),
        (units.number, "-2.5", -2.5),
    ],
)
def test_a_quantity_is_read(read: Callable[[str], float], text: str, amount: float) -> None:
    assert read(text) == amount


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (units.seconds, "60", "must have a unit, such as 60s"),
        (units.seconds, "soon", "must be a duration, such as 90s, 5m, 1.5h, 3d or 200ms"),
        (units.seconds, "1h30m", "must be a duration, such as 90s, 5m, 1.5h, 3d or 200ms"),
        (units.seconds, "\u0661s", "must be a duration, such as 90s, 5m, 1.5h, 3d or 200ms"),
        (units.seconds, "9" * 1000 + "s", "must be a duration, such as 90s, 5m, 1.5h, 3d or 200ms"),
        (units.size, "512", "must have a unit, such as 512GiB"),
        (units.size, "512GB", "must be a size, such as 4MiB, 512GiB or 1TiB"),
        (units.size, "0.3B", "must be a whole number of bytes"),
        (units.mebibytes, "100KiB", "must be a whole number of MiB"),
        (units.per_second, "30", "must be a rate, such as 30/h or 2/s"),
        (units.ratio, "nan", "must be a ratio, such as 0.05 or 5%"),
        (units.percent, "half", "must be a percentage, such as 50%"),
        (units.number, "1s", "must be a plain number"),
    ],
)
def test_what_is_no_quantity_says_what_would_be(read: Callable[[str], float], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read(text)

    assert str(refused.value) == message


@given(st.text(max_size=30))
def test_no_text_breaks_a_reader(text: str) -> None:
    for read in (
        units.seconds,
        units.size,
        units.mebibytes,
        units.per_second,
        units.ratio,
        units.percent,
        units.number,
    ):
        try:
            read(text)
        except ValueError:
            continue


@given(st.integers(1, 10**9))
def test_a_shown_duration_reads_back(milliseconds: int) -> None:
    assert units.seconds(units.show_seconds(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(1, 64 << 20))
def test_a_shown_memory_reads_back(mebibytes: int) -> None:
    assert units.mebibytes(units.show_mebibytes(mebibytes)) == mebibytes
    assert units.size(units.show_size(mebibytes << 20)) == mebibytes << 20
