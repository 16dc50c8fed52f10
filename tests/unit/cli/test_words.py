"""Quantities as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ave.cli.remote.failures import Usage
from ave.cli.remote.words import age, cell, iec, pairs, size, struct

MIB, GIB = 2**20, 2**30


@pytest.mark.parametrize(
    ("text", "unit", "count"),
    [
        ("4GiB", MIB, 4096),
        ("4G", MIB, 4096),
        ("4gib", MIB, 4096),
        ("4 GiB", MIB, 4096),
        ("1.5GiB", MIB, 1536),
        ("512", MIB, 512),
        ("512MiB", MIB, 512),
        ("1TiB", GIB, 1024),
        ("2048MiB", GIB, 2),
        ("0", GIB, 0),
    ],
)
def test_a_size_is_understood(text: str, unit: int, count: int) -> None:
    assert size(text, unit, "--memory") == count


@pytest.mark.parametrize("text", ["", "GiB", "4QiB", "-4GiB", "1.0001GiB", "1B", "4i", "1e3", "0x10", "٤GiB٤"])
def test_what_is_no_size_or_no_whole_one_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="--memory: "):
        size(text, MIB, "--memory")


@given(st.integers(0, 2**45))
def test_a_size_that_is_shown_can_be_said_and_is_never_far_off(mib: int) -> None:
    shown = iec(mib * MIB)
    number = float(shown.rstrip("PTGMKiB"))
    unit = {"": 0, "KiB": 2**10, "MiB": MIB, "GiB": GIB, "TiB": 2**40, "PiB": 2**50}[shown.lstrip("0123456789.")]
    assert abs(number * unit - mib * MIB) <= mib * MIB / 100
    if mib and not mib % 1024 and mib < 10 * 1024:
        assert size(shown, MIB, "--memory") == mib


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (7.9, "7s"), (310, "5m10s"), (3600, "1h"), (273_600, "3d4h"), (86_461, "1d")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("memory_mib", 4096, "4GiB"),
        ("size_gib", 20, "20GiB"),
        ("ha", True, "yes"),
        ("ha", False, "no"),
        ("progress", 0.25, "25%"),
        ("submitted", 940.0, "1m"),
        ("finished", 0.0, "-"),
        ("expires", 4600.0, "in 1h"),
        ("networks", ["lan", "dmz"], "lan,dmz"),
        ("networks", [], "-"),
        ("labels", {"app": "web"}, "app=web"),
        ("vcpus", 2, "2"),
        ("host", "", "-"),
        ("vcpus", 0, "0"),
    ],
)
def test_cells(field: str, value: object, text: str) -> None:
    assert cell(field, value, 1000.0) == text


def test_pairs_and_structs() -> None:
    assert pairs(("app=web", "x="), "--label") == {"app": "web", "x": ""}
    assert struct("role=viewer,path=/vms/web-1", ("role", "path"), "--grant") == {
        "role": "viewer",
        "path": "/vms/web-1",
    }
    for wrong in ("app", "=web"):
        with pytest.raises(Usage, match="is not key=value"):
            pairs((wrong,), "--label")
    with pytest.raises(Usage, match="there is no roles"):
        struct("roles=viewer", ("role", "path"), "--grant")
