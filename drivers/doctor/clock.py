"""This host's wall clock by itself: whether what it says can be, and whether somebody keeps it right."""

from __future__ import annotations

import ctypes
import time

from drivers.doctor.check import Check, Found, Subject, failed, ok, warning

NOT_BEFORE = 1_767_225_600  # 2026: this program is not older
NOT_AFTER = 4_102_444_800  # 2100
UNSYNCHRONISED = 5  # what adjtimex answers, TIME_ERROR
TIMEX_BYTES = 208  # struct timex on 64 bits; all zeros: to look, and to set nothing


def _sane(subject: Subject) -> Found:
    return judged(time.time(), _kernel_state())


def _kernel_state() -> int:
    """What the kernel says of its own clock; negative if it says nothing."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
    except (OSError, AttributeError):
        return -1


def judged(now: float, state: int) -> Found:
    says = time.strftime("this host's clock says %Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if not NOT_BEFORE <= now <= NOT_AFTER:
        return failed(f"{says}, which cannot be", "set it, and have an NTP client keep it: apt-get install chrony")
    if state == UNSYNCHRONISED:
        return warning(f"{says}, and nobody keeps it right")
    return ok(says)


ROWS = (
    Check(
        "clock.wall",
        "this host's clock is right",
        _sane,
        "have an NTP client run: apt-get install chrony, or timedatectl set-ntp true",
    ),
)
