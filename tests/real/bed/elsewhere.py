"""Unmount what a mount namespace of somebody else has a copy of: a program of its own that imports nothing of AVE.

Whoever makes a mount namespace while a bed is up copies the bed's mounts into it, and keeps them alive with it.
``elsewhere.py PID PLACE…`` enters the mount namespace of that process and detaches them there. They are only ever the bed's.
"""

from __future__ import annotations

import ctypes
import os
import sys

_NEWNS, _MNT_DETACH = 0x20000, 2


def main(pid: str, places: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), _NEWNS):
        raise OSError(ctypes.get_errno(), f"mount namespace of {pid}")
    for place in reversed(places):
        libc.umount2(place.encode(), _MNT_DETACH)  # one that is gone by now is as good


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
