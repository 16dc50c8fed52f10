"""What a VM is placed for: it decides which score counts, and how strict the wish for CPUs of its own is."""

from __future__ import annotations

from enum import StrEnum


class Purpose(StrEnum):
    START = "start"  # create, start, cold migrate: the VM is not running
    LIVE = "live"  # live migrate: it is
    RESCUE = "rescue"  # high availability: it should be

    @property
    def begins(self) -> bool:
        """Does the VM begin to run where it is placed, instead of going on there?"""
        return self is not Purpose.LIVE
