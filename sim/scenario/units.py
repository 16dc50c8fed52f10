"""Quantities as people write them: ``90s``, ``512GiB``, ``30/h``, ``0.1%``.

Every reader takes text and raises ValueError with the words for a message. Decimal until the end: 0.1 GiB must not
become a byte more or less on the way. A sign is read, so that whoever knows the bounds can name them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

MIB = 1 << 20
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
YEAR = 365 * DAY

_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50}
# As many digits as any quantity needs, and no more: arithmetic on a million digits takes for ever.
_AMOUNT = r"(-?[0-9]{1,18}(?:\.[0-9]{1,18})?)"
_DURATION = re.compile(_AMOUNT + "(ms|s|m|h|d)")
_SIZE = re.compile(_AMOUNT + "(B|[KMGTP]iB)")
_RATE = re.compile(_AMOUNT + "/(s|m|h|d)")
_PERCENT = re.compile(_AMOUNT + "%")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,2})?")


def seconds(text: str) -> float:
    """``200ms 90s 5m 1.5h 3d``; a bare zero needs no unit."""
    if text == "0":
        return 0.0
    if found := _DURATION.fullmatch(text):
        return float(Decimal(found[1]) * _SECONDS[found[2]])
    if _NUMBER.fullmatch(text):
        raise ValueError(f"must have a unit, such as {text[:20]}s")
    raise ValueError("must be a duration, such as 90s, 5m, 1.5h, 3d or 200ms")


def size(text: str) -> int:
    """``4MiB 512GiB 1TiB`` in bytes; a bare zero needs no unit."""
    if text == "0":
        return 0
    if found := _SIZE.fullmatch(text):
        amount = Decimal(found[1]) * _BYTES[found[2]]
        if amount != int(amount):
            raise ValueError("must be a whole number of bytes")
        return int(amount)
    if _NUMBER.fullmatch(text):
        raise ValueError(f"must have a unit, such as {text[:20]}GiB")
    raise ValueError("must be a size, such as 4MiB, 512GiB or 1TiB")


def mebibytes(text: str) -> int:
    """A size that is a whole number of MiB, the grain in which memory is given to VMs."""
    amount = size(text)
    if amount % MIB:
        raise ValueError("must be a whole number of MiB")
    return amount // MIB


def per_second(text: str) -> float:
    """``30/h`` as events per second."""
    if found := _RATE.fullmatch(text):
        return float(Decimal(found[1]) / _SECONDS[found[2]])
    raise ValueError("must be a rate, such as 30/h or 2/s")


def ratio(text: str) -> float:
    """``0.1%`` or a plain number; 20 is twenty times, ``20%`` a fifth."""
    if found := _PERCENT.fullmatch(text):
        return float(Decimal(found[1]) / 100)
    if _NUMBER.fullmatch(text):
        return float(text)
    raise ValueError("must be a ratio, such as 0.05 or 5%")


def number(text: str) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    raise ValueError("must be a plain number")


def percent(text: str) -> float:
    """``50%`` or ``50``, as 50.0."""
    if found := _PERCENT.fullmatch(text):
        return float(Decimal(found[1]))
    if _NUMBER.fullmatch(text):
        return float(text)
    raise ValueError("must be a percentage, such as 50%")


class Shape(NamedTuple):
    """How a quantity is written: its pattern, whether a bare zero or any plain number will do."""

    pattern: str
    zero: bool = False
    plain: bool = False


#: By reader, for whoever describes the format.
SHAPES: Mapping[Callable[[str], Any], Shape] = {
    seconds: Shape(_DURATION.pattern, zero=True),
    size: Shape(_SIZE.pattern, zero=True),
    mebibytes: Shape(_SIZE.pattern, zero=True),
    per_second: Shape(_RATE.pattern),
    ratio: Shape(_PERCENT.pattern, plain=True),
    percent: Shape(_PERCENT.pattern, plain=True),
}


def show_seconds(amount: float) -> str:
    """In the largest unit that needs no fraction; the reader's way to say a duration back."""
    for unit in ("d", "h", "m", "s", "ms"):
        count = Decimal(repr(amount)) / _SECONDS[unit]
        if count == int(count) and count:
            return f"{int(count)}{unit}"
    return f"{amount:g}s"


def show_mebibytes(amount: int) -> str:
    for power, unit in ((20, "TiB"), (10, "GiB")):
        if amount and amount % (1 << power) == 0:
            return f"{amount >> power}{unit}"
    return f"{amount}MiB"


def show_size(amount: int) -> str:
    for unit, scale in reversed(_BYTES.items()):
        if amount and amount % scale == 0:
            return f"{amount // scale}{unit}"
    return f"{amount}B"
