"""When a VM that could not be rescued is tried again: ever more patiently, but at once when what it lacked has come.

All on the clock of who leads: a leader that is new begins anew, with everything due.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

PAUSES = ((5, 10.0), (10, 60.0))  # after so many attempts wait so many seconds …
LAST_PAUSE_SECONDS = 100.0  # … and ever after this long, for as long as the VM is wanted


class Attempt(msgspec.Struct, frozen=True):
    """The last one: which it was, when, and if it found no place, what the count of freed room was then."""

    number: int
    at: float
    room: int | None = None


class Attempts:
    def __init__(self) -> None:
        self._last: dict[str, Attempt] = {}

    def begin(self, vms: Iterable[str], now: float) -> None:
        for vm in vms:
            last = self._last.get(vm)
            self._last[vm] = Attempt(last.number + 1 if last is not None else 1, now)

    def placeless(self, vms: Iterable[str], room: int) -> None:
        """The attempt found no place for these when so much room had been freed: more of it is worth another one."""
        for vm in vms:
            if (last := self._last.get(vm)) is not None:
                self._last[vm] = msgspec.structs.replace(last, room=room)

    def none(self, vm: str) -> bool:
        """Has it not been tried yet?"""
        return vm not in self._last

    def due(self, vm: str, now: float, room: int) -> bool:
        last = self._last.get(vm)
        if last is None:
            return True
        waited = now - last.at
        freed = last.room is not None and room != last.room
        return waited >= pause(1 if freed else last.number)

    def any_due(self, now: float, room: int) -> bool:
        return any(self.due(vm, now, room) for vm in self._last)

    def keep(self, vms: Iterable[str]) -> None:
        """Forget all others: they run, or nobody wants them."""
        self._last = {vm: self._last[vm] for vm in vms if vm in self._last}


def pause(attempts: int) -> float:
    return next((seconds for most, seconds in PAUSES if attempts <= most), LAST_PAUSE_SECONDS)
