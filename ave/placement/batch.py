"""Several VMs at once: spread them, unless memory is so tight that packing them places more.

Both plans are tried on the caller's own view and undone: that costs what the batch costs, not what the cluster does.
"""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import replace

from ave.errors import NoFit
from ave.model.vm import PRIORITIES, VM
from ave.placement.filters import screen
from ave.placement.place import Choice, decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ave.placement.scores import Purpose
    from ave.placement.view import Stake, View

SMALL_BATCH: Final = 64  # VMs, about those of one host; beyond it, moving single VMs costs more time than it gains
_URGENCY: Final = {priority: place for place, priority in enumerate(PRIORITIES)}


class Batch(msgspec.Struct, frozen=True):
    placed: dict[str, Choice]  # by VM, in the order of decision: each reckons with those before it
    refused: dict[str, NoFit]
    plan: Literal["spread", "compact"]


def place_batch(view: View, vms: Sequence[VM], purpose: Purpose, *, by_priority: bool = False) -> Batch:
    """Decides for all of them and leaves the view as it was.

    ``by_priority`` is for HA: the more urgent go first, and of two plans the one that places more of them is better,
    however many of the less urgent the other would place.
    """
    classes = _classes(vms, by_priority)
    spread = _tried(view, purpose, classes, "spread")
    if not spread.refused:
        return spread
    compact = _tried(view, purpose, classes, "compact")
    return compact if _tally(compact, classes) > _tally(spread, classes) else spread


def _tried(view: View, purpose: Purpose, classes: list[list[VM]], plan: Literal["spread", "compact"]) -> Batch:
    trial = _Trial(view, purpose)
    try:
        (_compact if plan == "compact" else _spread)(trial, classes)
        return Batch(trial.placed, trial.refused, plan)
    finally:
        trial.undo()


def _classes(vms: Sequence[VM], by_priority: bool) -> list[list[VM]]:
    if not by_priority:
        return [list(vms)]
    urgent_first = sorted(vms, key=lambda vm: _URGENCY[vm.priority])
    return [list(group) for _, group in groupby(urgent_first, key=lambda vm: vm.priority)]


def _tally(batch: Batch, classes: list[list[VM]]) -> list[int]:
    return [sum(vm.id in batch.placed for vm in group) for group in classes]


class _Trial:
    """VMs placed for the sake of argument."""

    def __init__(self, view: View, purpose: Purpose) -> None:
        self.placed: dict[str, Choice] = {}
        self.refused: dict[str, NoFit] = {}
        self._view, self._purpose = view, purpose
        self._before: dict[str, Stake | None] = {}

    def take(self, vm: VM, *, compact: bool) -> bool:
        try:
            choice = decide(self._view, vm, self._purpose, compact=compact)
        except NoFit as refusal:
            self.refused[vm.id] = refusal
            return False
        self.put(vm, choice)
        return True

    def put(self, vm: VM, choice: Choice) -> None:
        self.refused.pop(vm.id, None)
        self.placed[vm.id] = choice
        self._before[vm.id] = self._view.stake(vm.id)
        self._view.put_vm(replace(vm, reserved=choice.host))

    def give_back(self, vm: VM) -> Choice:
        self._view.settle(vm.id, self._before.pop(vm.id))
        return self.placed.pop(vm.id)

    def undo(self) -> None:
        for vm, stake in self._before.items():
            self._view.settle(vm, stake)

    def in_the_way(self, vm: VM, among: Iterable[VM]) -> Iterator[VM]:
        """Those of the placed VMs in whose place alone this one would fit, because only memory keeps it from there."""
        view, placed = self._view, self.placed
        own = view.lift(vm.id)
        fits_but_for_memory = screen(replace(vm, memory_mib=0), view).fits
        view.settle(vm.id, own)
        for other in among:
            row = view.rows[placed[other.id].host] if other.id in placed else -1
            if row >= 0 and fits_but_for_memory[row] and view.free_mib[row] + other.memory_mib >= vm.memory_mib:
                yield other


def _spread(trial: _Trial, classes: list[list[VM]]) -> None:
    for vm in chain.from_iterable(classes):
        trial.take(vm, compact=False)


def _compact(trial: _Trial, classes: list[list[VM]]) -> None:
    left: list[VM] = []
    for vms in classes:
        _pack(trial, sorted(vms, key=lambda vm: -vm.memory_mib))
        left += sorted((vm for vm in vms if vm.id in trial.refused), key=lambda vm: vm.memory_mib)
        before = -1
        while before != len(trial.placed):  # each one that finds a place after all may have left room for another
            before = len(trial.placed)
            for vm in left:
                if vm.id in trial.refused:
                    _squeeze_in(trial, vm, classes)


def _pack(trial: _Trial, largest_first: list[VM]) -> None:
    """Best fit. What does not fit takes the place of the largest: as many VMs, and more room.

    Largest first alone packs well, but when memory cannot suffice it starves the many small ones, and places fewer VMs
    than spreading does.
    """
    for vm in largest_first:
        if trial.take(vm, compact=True):
            continue
        larger = (other for other in trial.in_the_way(vm, largest_first) if other.memory_mib > vm.memory_mib)
        if other := next(larger, None):
            trial.give_back(other)
            trial.take(vm, compact=True)
            trial.take(other, compact=True)  # hardly, but then its refusal says why


def _squeeze_in(trial: _Trial, vm: VM, classes: list[list[VM]]) -> None:
    """Places the VM after all, if need be by moving one other of a small batch."""
    if trial.take(vm, compact=True) or len(trial.placed) > SMALL_BATCH:
        return
    refusal = trial.refused[vm.id]
    for other in trial.in_the_way(vm, chain.from_iterable(classes)):
        was = trial.give_back(other)
        if trial.take(vm, compact=True):
            if trial.take(other, compact=True):
                return
            trial.give_back(vm)
        trial.put(other, was)
        trial.refused[vm.id] = refusal
