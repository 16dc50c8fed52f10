"""Several VMs at once: spread them, unless room is so tight that packing them places more.

VMs that must share a host are placed in one piece. Both plans are tried on the caller's own view and undone: that costs what
the batch costs, not what the cluster does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain, groupby, takewhile
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import replace

from ave.errors import NoFit, Refused
from ave.model.group import Aspect, tied
from ave.model.vm import PRIORITIES, VM
from ave.placement.explanation import Choice
from ave.placement.filters import screen
from ave.placement.place import decide
from ave.placement.plugged import NONE, Plugged
from ave.placement.purpose import Purpose
from ave.placement.ranking import Rankings
from ave.placement.scores import exact
from ave.placement.unit import Unit, alone, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ave.placement.stake import Stake
    from ave.placement.view import View

BATCH_MAX: Final = 100_000  # VMs
SMALL_BATCH: Final = 64  # VMs, about those of one host; beyond it, moving single VMs costs more time than it gains
ORDERS: Final = 4  # further ones in which a small batch is tried; later ones hardly gain
MANY: Final = 64  # hosts: writing down how all of them stand costs less than taking back one VM
_URGENCY: Final = {priority: place for place, priority in enumerate(PRIORITIES)}


class Batch(msgspec.Struct, frozen=True):
    placed: dict[str, Choice]  # by VM, in the order of decision: each reckons with those before it
    refused: dict[str, NoFit]
    plan: Literal["spread", "compact"]
    gained: int = 0  # how many more VMs the compact plan places than spreading would


# Told of every single decision, while the view is as it was for it: the unit, its terms, whether hosts were to be packed, and
# the answer.
Witness = Callable[[Unit, "Terms", bool, Choice | NoFit], None]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch is to be placed.

    ``by_priority`` is for HA: the more urgent go first, and of two plans the one that places more of them is better,
    however many of the less urgent the other would place.
    """

    purpose: Purpose
    by_priority: bool = False
    only: str = ""  # the host that the user named
    leave: bool = False  # not the host where each is
    pack: bool = False  # fill one host after the other, even if there is room to spread
    plugged: Plugged = NONE
    witness: Witness | None = None

    def exclude(self, unit: Unit) -> tuple[str, ...]:
        return tuple(dict.fromkeys(vm.host for vm in unit.vms)) if self.leave else ()


def place_batch(
    view: View,
    vms: Sequence[VM],
    purpose: Purpose,
    *,
    by_priority: bool = False,
    only: str = "",
    leave: bool = False,
    pack: bool = False,
    plugged: Plugged = NONE,
    witness: Witness | None = None,
) -> Batch:
    """Decides for all of them, on these ``Terms``, and leaves the view as it was. Refused if there are too many."""
    require_size(len(vms))
    terms = Terms(
        purpose=purpose, by_priority=by_priority, only=only, leave=leave, pack=pack, plugged=plugged, witness=witness
    )
    classes = _classes(units(view, vms), terms.by_priority)
    view.moving = dict.fromkeys(vm.id for vm in vms)
    try:
        if pack:
            return _tried(view, terms, classes, _compact)
        spread = _tried(view, terms, classes, _spread)
        if not spread.refused or len(vms) == 1:
            return spread
        best = max(
            spread, *_packed(view, terms, classes), key=lambda plan: _tally(plan, classes)
        )  # the first of equals
        return best if best is spread else replace(best, gained=len(best.placed) - len(spread.placed))
    finally:
        view.moving = {}


def require_size(count: int) -> None:
    if count > BATCH_MAX:
        raise Refused(f"a batch may have {BATCH_MAX:,} VMs, this one has {count:,}: split it")


def units(view: View, vms: Sequence[VM]) -> list[Unit]:
    """In the order of their first VMs."""
    groups = {group.id: group for vm in vms for group in view.bonds.of(vm.id)} if view.bonds else {}
    if not groups:
        return [alone(vm) for vm in vms]
    here = {vm.id: vm for vm in vms}
    return [together(tuple(here[id] for id in party)) for party in tied(groups.values(), here)]


def _packed(view: View, terms: Terms, classes: list[list[Unit]]) -> Iterator[Batch]:
    """Compact plans, until one places all: largest first, and for a small batch other orders too.

    Whom an order left out comes first in the next. Of batches of twelve with must rules, 7 % were a VM short of the best
    there is without this, and 4 % still are.
    """
    plan = _tried(view, terms, classes, _compact)
    yield plan
    if sum(map(len, classes)) > SMALL_BATCH:
        return
    order = [sorted(units, key=_largest_first) for units in classes]
    for _ in range(ORDERS):
        if not plan.refused:
            return
        plan = _tried(view, terms, order, _in_order)
        yield plan
        left_out = plan.refused
        order = [sorted(units, key=lambda unit: unit.vms[0].id not in left_out) for units in order]


def _tried(
    view: View, terms: Terms, classes: list[list[Unit]], plan: Callable[[_Trial, list[list[Unit]]], None]
) -> Batch:
    trial = _Trial(view, terms)
    try:
        plan(trial, classes)
        return Batch(trial.placed, trial.refused, "spread" if plan is _spread else "compact")
    finally:
        trial.undo()


def _classes(units: list[Unit], by_priority: bool) -> list[list[Unit]]:
    """By urgency; of VMs that are placed in one piece the most urgent counts."""
    if not by_priority:
        return [units]
    urgent_first = sorted(units, key=_urgency)
    return [list(group) for _, group in groupby(urgent_first, key=_urgency)]


def _urgency(unit: Unit) -> int:
    return min(_URGENCY[vm.priority] for vm in unit.vms)


def _tally(batch: Batch, classes: list[list[Unit]]) -> list[int]:
    return [sum(vm.id in batch.placed for unit in units for vm in unit.vms) for units in classes]


class _Trial:
    """Units placed for the sake of argument."""

    def __init__(self, view: View, terms: Terms) -> None:
        self.placed: dict[str, Choice] = {}
        self.refused: dict[str, NoFit] = {}
        self._view, self._terms = view, terms
        self._packed: tuple[VM, Choice] | None = None  # the last, while nothing else has changed since
        self._before: dict[str, Stake | None] = {}
        self._simple = not (terms.plugged.filters or terms.plugged.preferences or view.has_rules)
        anywhere = not (terms.only or terms.leave or view.primary_zones)
        # For other purposes each VM that is placed changes the scores of all hosts.
        ranked = self._simple and anywhere and terms.purpose is Purpose.START
        self._rankings = Rankings(view) if ranked else None
        self._mark = view.mark() if len(view.moving) * MANY > len(view) else None

    def has(self, unit: Unit) -> bool:
        return unit.vms[0].id in self.placed

    def take(self, unit: Unit, *, compact: bool) -> bool:
        answer = self._decided(unit, compact)
        if self._terms.witness is not None:
            self._terms.witness(unit, self._terms, compact, answer)
        if isinstance(answer, NoFit):
            self.refuse(unit, answer)
            return False
        self.put(unit, answer)
        if compact and len(unit.vms) == 1 and self._before[unit.whole.id] is None:
            self._packed = unit.whole, answer
        return True

    def _decided(self, unit: Unit, compact: bool) -> Choice | NoFit:
        terms = self._terms
        if not compact and self._rankings is not None and not unit.exclusive_cpus:
            return self._ranked(unit, self._rankings)
        if compact and (choice := self._same_again(unit)) is not None:
            return choice
        only, exclude = terms.only, terms.exclude(unit)
        try:
            return decide(
                self._view, unit, terms.purpose, only=only, exclude=exclude, compact=compact, plugged=terms.plugged
            )
        except NoFit as refusal:
            return refusal

    def _ranked(self, unit: Unit, rankings: Rankings) -> Choice | NoFit:
        """What ``decide`` would answer, sooner."""
        vm, view = unit.whole, self._view
        own = view.lift(vm.id)
        try:
            ranking = rankings.of(unit)
            row = ranking.lowest()
            if row is None:
                return NoFit(unit.name, len(view), ranking.rejected)
            part, whole = exact(vm, view, self._terms.purpose, row)
            return Choice(view.names[row], part / (2 * whole), ranking.left, ranking.rejected)
        finally:
            if own is not None:
                view.settle(vm.id, own)

    def _same_again(self, unit: Unit) -> Choice | None:
        """The tightest host that fits stays so until it is full: of VMs alike, only the first needs a decision."""
        vm, view = unit.whole, self._view
        if self._packed is None or not self._simple or len(unit.vms) > 1:
            return None
        if not _alike(vm, self._packed[0]) or view.stake(vm.id) is not None:
            return None
        choice = self._packed[1]
        row = view.rows[choice.host]
        if view.free_mib.item(row) < vm.memory_mib:
            return None
        part, whole = exact(vm, view, self._terms.purpose, row)
        return replace(choice, score=part / (2 * whole))

    def put(self, unit: Unit, choice: Choice) -> None:
        self._packed = None
        for vm in unit.vms:
            self.refused.pop(vm.id, None)
            self.placed[vm.id] = choice
            self._before[vm.id] = self._view.put_vm(reserving(vm, choice, self._terms.purpose))

    def give_back(self, unit: Unit) -> Choice:
        self._packed = None
        choice = self.placed[unit.vms[0].id]
        for vm in unit.vms:
            self._view.settle(vm.id, self._before.pop(vm.id))
            del self.placed[vm.id]
        return choice

    def undo(self) -> None:
        self._view.changed = None
        if self._mark is not None:
            self._view.go_back(self._mark, self._before)
            return
        for vm, stake in self._before.items():
            self._view.settle(vm, stake)

    def refusal(self, unit: Unit) -> NoFit:
        return self.refused[unit.vms[0].id]

    def refuse(self, unit: Unit, refusal: NoFit) -> None:
        self.refused |= dict.fromkeys((vm.id for vm in unit.vms), refusal)

    def in_the_way(self, unit: Unit, among: Iterable[Unit]) -> Iterator[Unit]:
        """Those of the placed units in whose place alone this one would fit, because only memory keeps it from there."""
        view, placed = self._view, self.placed
        own = [(vm.id, view.lift(vm.id)) for vm in unit.vms]
        small = unit._replace(whole=replace(unit.whole, memory_mib=0))
        fits_but_for_memory = screen(small, view, self._terms.purpose, plugged=self._terms.plugged.filters).fits
        for id, stake in own:
            view.settle(id, stake)
        for other in among:
            row = view.rows[placed[other.vms[0].id].host] if self.has(other) else -1
            short = unit.whole.memory_mib - other.whole.memory_mib
            if row >= 0 and fits_but_for_memory[row] and view.free_mib[row] >= short:
                yield other

    def kept_apart(self, unit: Unit, among: Iterable[Unit]) -> Iterator[Unit]:
        """Placed units that a must rule keeps from this one."""
        mates = {
            mate: None
            for vm in unit.vms
            for group in self._view.bonds.of(vm.id)
            if group.rule.must and group.rule.aspect is Aspect.DIFFERENT_HOSTS
            for mate in group.vms
        }
        return (other for other in among if self.has(other) and any(vm.id in mates for vm in other.vms))


def _alike(vm: VM, other: VM) -> bool:
    """In all that a decision reads, when nobody is bound by a group and no host has limits."""
    return (
        (vm.vcpus, vm.memory_mib) == (other.vcpus, other.memory_mib)
        and (vm.networks, vm.cpu_model) == (other.networks, other.cpu_model)
        and vm.host == other.host
        and not (vm.pinned or other.pinned)
    )


def reserving(vm: VM, choice: Choice, purpose: Purpose) -> VM:
    """The VM with its place; what runs and is moved keeps its pins until it has arrived."""
    unpinned = choice.unpinned if purpose.begins else vm.unpinned
    return replace(vm, reserved=choice.host, unpinned=unpinned)


def _spread(trial: _Trial, classes: list[list[Unit]]) -> None:
    for unit in chain.from_iterable(classes):
        trial.take(unit, compact=False)


def _compact(trial: _Trial, classes: list[list[Unit]]) -> None:
    left: list[Unit] = []
    for units in classes:
        _pack(trial, sorted(units, key=_largest_first))
        left += sorted((unit for unit in units if not trial.has(unit)), key=lambda unit: unit.whole.memory_mib)
        _squeeze_in_all(trial, left, classes)


def _in_order(trial: _Trial, classes: list[list[Unit]]) -> None:
    for units in classes:
        _squeeze_in_all(trial, units, classes)


def _largest_first(unit: Unit) -> int:
    return -unit.whole.memory_mib


def _pack(trial: _Trial, largest_first: list[Unit]) -> None:
    """Best fit. What does not fit takes the place of the largest: as many VMs, and more room.

    Largest first alone packs well, but when memory cannot suffice it starves the many small ones, and places fewer VMs
    than spreading does.
    """
    for unit in largest_first:
        if trial.take(unit, compact=True):
            continue
        larger = takewhile(partial(_larger, unit), largest_first)
        in_the_way = trial.in_the_way(unit, larger)
        if other := next((other for other in in_the_way if len(other.vms) <= len(unit.vms)), None):
            trial.give_back(other)
            trial.take(unit, compact=True)
            trial.take(other, compact=True)  # hardly, but then its refusal says why


def _larger(unit: Unit, other: Unit) -> bool:
    return other.whole.memory_mib > unit.whole.memory_mib


def _squeeze_in_all(trial: _Trial, units: list[Unit], classes: list[list[Unit]]) -> None:
    before = -1
    while before != len(trial.placed):  # each one that finds a place after all may have left room for another
        before = len(trial.placed)
        for unit in units:
            if not trial.has(unit):
                _squeeze_in(trial, unit, classes)


def _squeeze_in(trial: _Trial, unit: Unit, classes: list[list[Unit]]) -> None:
    """Places the unit after all, if need be by moving one other of a small batch."""
    if trial.take(unit, compact=True) or len(trial.placed) > SMALL_BATCH:
        return
    refusal = trial.refusal(unit)
    everyone = list(chain.from_iterable(classes))
    for other in (*trial.in_the_way(unit, everyone), *trial.kept_apart(unit, everyone)):
        was = trial.give_back(other)
        if trial.take(unit, compact=True):
            if trial.take(other, compact=True):
                return
            trial.give_back(unit)
        trial.put(other, was)
        trial.refuse(unit, refusal)
