"""Where the next VM of one kind would be started: what was found for one is kept for those after it.

VMs of a batch come in few kinds, and between two of them few hosts change: only those are looked at again. Nor is the lowest
score sought anew before all hosts that had it have changed: ties tell those apart. To be asked only where nothing binds a VM
but memory and the steady filters.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

import numpy as np

from ave.placement.filters import MEMORY, enough_memory, steady
from ave.placement.purpose import Purpose
from ave.placement.scores import SLACK, estimate, lowest_rows, own_share

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ave.placement.unit import Unit
    from ave.placement.view import View

_MANY: Final = 32  # changed rows: to look at all hosts at once costs less
_KINDS: Final = 32  # whose rankings are kept; each takes 80 kB at 10,000 hosts


class Rankings:
    """Of each kind of VM, as long as no host changes, but for the VMs on it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._changed: list[int] = []
        view.changed = self._changed
        self._known: dict[Hashable, Ranking] = {}

    def of(self, unit: Unit) -> Ranking:
        kind = unit.whole.vcpus, unit.whole.memory_mib, unit.wish
        ranking = self._known.get(kind)
        if ranking is None:
            if len(self._known) >= _KINDS:
                self._known.clear()
            ranking = self._known[kind] = Ranking(unit, self._view, self._changed)
        return ranking


class Ranking:
    left: int  # hosts that fit
    rejected: dict[str, int]
    _cut: float  # a row with a score above it, as a float, does not have the lowest
    _lowest: list[int]  # rows that have exactly the lowest score, the first of them last: all, or the first alone

    def __init__(self, unit: Unit, view: View, changed: list[int]) -> None:
        """``changed``: where the view writes down which rows change from now on."""
        self._unit, self._view, self._changed = unit, view, changed
        self._steady = steady(unit, view, Purpose.START)
        self._reckon()

    def lowest(self) -> int | None:
        """The row of the lowest score among those that fit, as ``scores.lowest`` names it; None: none fits."""
        unseen = len(self._changed) - self._seen
        if unseen > _MANY:
            self._reckon()
        elif unseen:
            self._catch_up()
        scores, lowest = self._scores, self._lowest
        while lowest and scores.item(lowest[-1]) > self._cut:
            lowest.pop()
        if not lowest and self.left:
            self._cut = scores.item(scores.argmin()) * SLACK
            nominated = (scores <= self._cut).nonzero()[0]
            lowest = self._lowest = lowest_rows(self._unit.whole, self._view, Purpose.START, nominated)[::-1]
        return lowest[-1] if lowest else None

    def _reckon(self) -> None:
        vm, view = self._unit.whole, self._view
        fits = self._steady.fits & enough_memory(self._unit, view, Purpose.START)
        self._scores = estimate(vm, view, Purpose.START)
        np.putmask(self._scores, ~fits, inf)
        self._lowest, self._cut = [], -inf
        self._seen = len(self._changed)
        self._count(int(np.count_nonzero(fits)))

    def _catch_up(self) -> None:
        """The same, of the rows that have changed. One that may have come down to the lowest score begins a new search."""
        vm, view, scores, steady_fits = self._unit.whole, self._view, self._scores, self._steady.fits
        own, others, free, left = own_share(vm.vcpus, vm.memory_mib, view), view.all_share, view.free_mib, self.left
        for row in self._changed[self._seen :]:
            fits = free.item(row) >= vm.memory_mib and steady_fits.item(row)
            score = own.item(row) + others.item(row) if fits else inf
            left += fits - (scores.item(row) < inf)
            scores[row] = score
            if score <= self._cut:
                self._lowest = []
        self._seen = len(self._changed)
        if left != self.left:
            self._count(left)

    def _count(self, left: int) -> None:
        self.left, self.rejected = left, self._steady.rejected
        if turned_away := self._steady.left - left:
            self.rejected = {**self.rejected, MEMORY.name: turned_away}
