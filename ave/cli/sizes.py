"""Sizes as people write them: 512MiB, 4GiB, 1TiB."""

from __future__ import annotations

from ave.errors import Refused

MIB_OF_GIB = 1024


def mib_of(size: str) -> int:
    """Refused if it is no size."""
    from ave.placement.snapshot import mib

    try:
        return mib(size)
    except ValueError as wrong:
        raise Refused(f"{size!r} {wrong}") from None


def gib_of(size: str) -> int:
    """Refused unless it is a whole number of GiB, and more than none."""
    gib, rest = divmod(mib_of(size), MIB_OF_GIB)
    if rest or not gib:
        raise Refused(f"{size!r} must be whole GiB")
    return gib
