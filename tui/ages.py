"""Quantities as people read them, in few cells."""

from __future__ import annotations


def age(seconds: float) -> str:
    """Its two largest parts: 3d4h, 1m04s, 8s."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}s"
    minutes, seconds_ = divmod(left, 60)
    if minutes < 60:
        return f"{minutes}m{seconds_:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02d}h"


def clock(seconds: float) -> str:
    """Since the begin of a run: 00:14:59; days are told if there are any."""
    left = max(0, int(seconds))
    days, left = divmod(left, 86_400)
    hours, left = divmod(left, 3600)
    minutes, seconds_ = divmod(left, 60)
    return (f"{days}d " if days else "") + f"{hours:02d}:{minutes:02d}:{seconds_:02d}"


def gib(mib: float) -> str:
    """16G, 512M, 1.5T."""
    if mib < 1024:
        return f"{mib:.0f}M" if mib else "0"
    size = mib / 1024
    if size < 1024:
        return f"{size:.0f}G" if size >= 10 or size == int(size) else f"{size:.1f}G"
    return f"{size / 1024:.1f}T"


def count(number: int) -> str:
    return f"{number:,}"


def percent(share: float) -> str:
    return f"{share * 100:.0f}%"
