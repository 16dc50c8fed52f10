"""Which process made a bed, told by everything that it started: a killed maker's last command may still be at work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_WORD = "AVE_BED_MAKER"


def began(pid: int) -> int:
    """When that process began, in clock ticks since boot; -1 if there is none, or only its grave."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def environ(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a program that this process starts: the one given, or its own."""
    return {**(os.environ if given is None else given), _WORD: _name(os.getpid(), began(os.getpid()))}


def started(pid: int, by: int, since: int) -> bool:
    """Was that process started by the maker that had this number and began then?"""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{_WORD}={_name(by, since)}".encode() in words


def _name(pid: int, since: int) -> str:
    return f"{pid}-{since}"
