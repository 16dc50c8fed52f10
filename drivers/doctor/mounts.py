"""On what a folder lies."""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


def file_system(folder: Path) -> str:
    """Its kind, as the kernel calls it ("xfs"); "" if that cannot be told."""
    try:
        there, rows = str(folder.resolve()), MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for row in rows:
        before, _, after = row.partition(" - ")
        mounted = before.split()[4].replace("\\040", " ")
        inside = there == mounted or there.startswith(mounted.rstrip("/") + "/")
        if inside and len(mounted) >= len(best):  # of two on one place the later one is seen
            best, kind = mounted, after.split()[0]
    return kind


def nearest(path: Path) -> Path:
    """The path itself, or what of it is there already, as far as this user can see."""
    path = path.absolute()
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    return path
