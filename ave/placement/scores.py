"""How loaded a host would be with the VM on it; lower is better.

score = (cpu + memory) / 2. Floats nominate the hosts that may have the lowest score, integers decide among them.

Why floats may nominate: every term is a quotient of non-negative integers, and each float below is a sum of at most
four of them with at most seven roundings on any path, so it is within 8 units of 2**-53 of the exact score, relatively.
The host of the lowest exact score can be above the lowest float by no more than 17 such units: 32 are allowed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from ave.placement.purpose import Purpose

if TYPE_CHECKING:
    from ave.model.vm import VM
    from ave.placement.view import Floats, Ints, Mask, View

SLACK: Final = 1 + 2.0**-48
_PLENTY: Final = np.iinfo(np.int64).max
_FEW: Final = 5  # rows that are compared at once
_SOME: Final = 64  # rows that are sooner told apart one by one than in whole columns


def exact(vm: VM, view: View, purpose: Purpose, row: int) -> tuple[int, int]:
    """Twice the score, as a fraction."""
    cpu_part, cpu_whole, memory_part, memory = _parts(vm, view, purpose, row)
    return cpu_part * memory + memory_part * cpu_whole, cpu_whole * memory


def shares(vm: VM, view: View, purpose: Purpose, row: int) -> tuple[Fraction, Fraction]:
    """What the score is made of: cpu and memory. For people; deciding takes ``exact``."""
    cpu_part, cpu_whole, memory_part, memory = _parts(vm, view, purpose, row)
    return Fraction(cpu_part, cpu_whole), Fraction(memory_part, memory)


def _parts(vm: VM, view: View, purpose: Purpose, row: int) -> tuple[int, int, int, int]:
    memory = view.memory_mib.item(row)
    if purpose is Purpose.START:
        return view.all_vcpus.item(row) + vm.vcpus, view.cpus.item(row), view.all_mib.item(row) + vm.memory_mib, memory
    cpu_whole = view.allocated_vcpus + vm.vcpus
    return view.running_vcpus.item(row) + vm.vcpus, cpu_whole, view.running_mib.item(row) + vm.memory_mib, memory


def estimate(vm: VM, view: View, purpose: Purpose) -> Floats:
    """Twice the score of every host: what the VM itself would add, and what is there already."""
    if purpose is Purpose.START:
        return own_share(vm.vcpus, vm.memory_mib, view) + view.all_share
    scores = view.running_load + float(vm.vcpus)
    scores *= 1 / (view.allocated_vcpus + vm.vcpus)
    scores += own_share(0, vm.memory_mib, view)
    scores += view.running_share
    return scores


def own_share(vcpus: int, memory_mib: int, view: View) -> Floats:
    """What so much is of every host. Kept, since VMs come in few sizes."""
    share: Floats | None = view.kept.get((vcpus, memory_mib))
    if share is None:
        share = view.per_mib * float(memory_mib) + view.per_cpu * float(vcpus)
        view.keep((vcpus, memory_mib), share)
    return share


def lowest(vm: VM, view: View, purpose: Purpose, fits: Mask) -> int:
    """The row of the lowest score among those that fit. Ties: fewer VMs, then name."""
    scores = estimate(vm, view, purpose)
    np.putmask(scores, ~fits, np.inf)
    rows = (scores <= scores[scores.argmin()] * SLACK).nonzero()[0]
    return int(rows[0]) if len(rows) == 1 else _decide(vm, view, purpose, rows)


def tightest(view: View, fits: Mask) -> int:
    """The row with the least free memory among those that fit. Ties: fewer VMs, then name."""
    free = np.where(fits, view.free_mib, _PLENTY)
    rows = (free == free[free.argmin()]).nonzero()[0]
    return int(rows[0]) if len(rows) == 1 else _first(view, rows)


def _decide(vm: VM, view: View, purpose: Purpose, rows: Ints) -> int:
    """Exactly the lowest of the nominated rows. Rows alike in all that the score reads differ in the tie alone."""
    if len(rows) <= _FEW:
        return _lowest_of(vm, view, purpose, rows.tolist())
    return lowest_rows(vm, view, purpose, rows)[0]


def _reads(view: View, purpose: Purpose) -> list[Ints]:
    """All that the score reads."""
    if purpose is Purpose.START:
        return [view.all_vcpus, view.all_mib, view.memory_mib, view.cpus]
    return [view.running_vcpus, view.running_mib, view.memory_mib]


def lowest_rows(vm: VM, view: View, purpose: Purpose, rows: Ints) -> list[int]:
    """Those of the nominated rows that have exactly the lowest score, in the order of their ties; of many, the first alone."""
    reads = _reads(view, purpose)
    if len(rows) > _SOME:
        return [_lowest_of(vm, view, purpose, _unlike(view, rows, reads))]
    alike: dict[tuple[int, ...], list[int]] = {}
    for row, facts in zip(rows.tolist(), zip(*[column[rows].tolist() for column in reads], strict=True), strict=True):
        alike.setdefault(facts, []).append(row)
    lowest: list[int] = []
    lowest_part, lowest_whole = 1, 0  # higher than any
    for some in alike.values():
        part, whole = exact(vm, view, purpose, some[0])
        lower, upper = part * lowest_whole, lowest_part * whole
        if lower < upper:
            lowest, lowest_part, lowest_whole = some, part, whole
        elif lower == upper:
            lowest += some
    lowest.sort(key=view.ties.item)
    return lowest


def _lowest_of(vm: VM, view: View, purpose: Purpose, rows: list[int]) -> int:
    winner, *others = rows
    if not others:
        return winner
    ties = view.ties
    lowest_part, lowest_whole = exact(vm, view, purpose, winner)
    for row in others:
        part, whole = exact(vm, view, purpose, row)
        lower, upper = part * lowest_whole, lowest_part * whole
        if lower < upper or (lower == upper and ties.item(row) < ties.item(winner)):
            winner, lowest_part, lowest_whole = row, part, whole
    return winner


def _unlike(view: View, rows: Ints, reads: list[Ints]) -> list[int]:
    """The first of all that are alike, in whole columns: whole clusters may be."""
    first = []
    while len(rows):
        row = _first(view, rows)
        first.append(row)
        unlike = reads[0][rows] != reads[0][row]
        for column in reads[1:]:
            unlike |= column[rows] != column[row]
        rows = rows[unlike]
    return first


def _first(view: View, rows: Ints) -> int:
    return int(rows[view.ties[rows].argmin()])
