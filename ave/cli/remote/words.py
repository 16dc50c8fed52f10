"""Quantities as people write and read them: sizes are IEC, ages are short. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ave.cli.remote.failures import Usage, printable

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
SIZES = {"_kib": 2**10, "_mib": 2**20, "_gib": 2**30}  # how a field ends that is a size, and its unit in bytes
# Fields that are moments of the store's clock; 0: not yet, or never.
TIMES = ("submitted", "started", "finished", "raised", "made", "expires", "at")
_SIZE = re.compile(r"^(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?:(?P<unit>[KMGTP])(?:iB?)?)?$", re.IGNORECASE)


def unit_of(field: str) -> int:
    """Bytes; 0: it is no size."""
    return next((unit for ending, unit in SIZES.items() if field.endswith(ending)), 0)


def size(text: str, unit: int, flag: str) -> int:
    """How many units. ``4GiB``, ``4Gi`` and ``4G`` are the same; a bare number counts units. Raises Usage."""
    found = _SIZE.match(text.strip())
    if found is None:
        raise Usage(f"{flag}: {text} is no size", "write a number and a unit, as 512MiB or 4GiB")
    of = UNITS[found["unit"].upper()] if found["unit"] else unit
    count = float(found["number"]) * of / unit
    if count != int(count):
        raise Usage(f"{flag}: {text} is no whole number of {iec(unit)}", "write a number and a unit, as 512MiB or 4GiB")
    return int(count)


def iec(bytes: int) -> str:
    """The largest unit in which it is a short number: 4GiB, 1.5GiB, 0."""
    for name in reversed(UNITS):
        unit = UNITS[name]
        if bytes >= unit and (bytes % unit == 0 or bytes * 10 % unit == 0 or bytes >= 10 * unit):
            return f"{bytes / unit:.1f}".removesuffix(".0") + (f"{name}iB" if name else "B")
    return "0"


def age(seconds: float) -> str:
    """Its two largest parts: 3d4h, 5m10s, 7s."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for name, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if parts or count or name == "s":
            parts.append(f"{count}{name}" if count or not parts else "")
        if len(parts) == 2:
            break
    return "".join(parts)


def cell(field: str, value: Any, now: float) -> str:
    """One value, in one line of a table. ``now`` is of the clock of the moments."""
    return printable(_cell(field, value, now))


def _cell(field: str, value: Any, now: float) -> str:
    if field in TIMES:
        return (age(now - value) if value <= now else f"in {age(value - now)}") if value else "-"
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field == "progress":
        return f"{value:.0%}"
    if isinstance(value, int) and (unit := unit_of(field)):
        return iec(value * unit)
    if isinstance(value, list):
        return ",".join(_cell(field, each, now) for each in value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_cell(key, each, now)}" for key, each in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def struct(text: str, fields: tuple[str, ...], flag: str) -> dict[str, str]:
    """``role=viewer,path=/vms/web-1``. Raises Usage."""
    found = pairs(tuple(text.split(",")), flag)
    if unknown := [key for key in found if key not in fields]:
        raise Usage(f"{flag}: there is no {unknown[0]}", f"as {','.join(f'{field}=…' for field in fields)}")
    return found


def pairs(texts: tuple[str, ...], flag: str) -> dict[str, str]:
    """``key=value`` each."""
    found = {}
    for text in texts:
        key, mark, value = text.partition("=")
        if not key or not mark:
            raise Usage(f"{flag}: {text} is not key=value", f"write {flag} app=web, once for each")
        found[key] = value
    return found
