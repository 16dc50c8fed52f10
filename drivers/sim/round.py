"""A round of guests' writes that repeats: while nothing changes, the next is this one with the record after in each place.

A host's guests write every few seconds for hours, and next to always to the same volumes, which take it. So the records of
such a round are only counted. Whatever it rests on ends it: a guest that comes, goes, stops, goes on or gets other devices,
a volume that is given to somebody else, and whoever looks at the records. Then the count is written down where it belongs,
and the next round is looked at write by write. What the network and the storage as a whole do is looked at each time.
``tests/contracts/test_rounds.py`` holds both ways equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drivers.sim.facts import Write, later

if TYPE_CHECKING:
    from drivers.sim.guest import Guest
    from drivers.sim.storage import Lun


class Round:
    """Iterates over the writes that come next."""

    __slots__ = ("_guests", "_luns", "batch", "over", "times")

    def __init__(self, batch: tuple[Write, ...], luns: Sequence[Lun], guests: dict[str, Guest]) -> None:
        """``batch``: the first writes, each to the volume at its place in ``luns``; ``guests``: all of the host, those
        that write and those that do not."""
        self.batch, self.times, self.over = batch, 0, False
        self._luns, self._guests = luns, dict(guests)
        for lun in luns:
            lun.round = self
        for guest in guests.values():
            guest.round = self

    def __iter__(self) -> Iterator[Write]:
        return iter(later(self.batch, self.times))

    def end(self) -> None:
        if self.over:
            return
        self.over = True
        for guest in self._guests.values():
            guest.round = None
        for lun, (volume, vm, _, _, record) in zip(self._luns, self.batch, strict=True):
            lun.round = None
            if self.times:
                self._guests[vm].records[volume] = lun.records.runs[-1].last = record + self.times - 1
