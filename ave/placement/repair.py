"""Which VMs must move, and where to, so that the must rules of some groups are kept: decided for all before any of them moves.

All VMs with a say in what is broken are lifted out, and put back one unit after the other, those with the fewest hosts to go to
first: each where it is if it may stay there, else where placement would have it. So of two that must be apart one stays. Who
then finds no place is put back first in another attempt, in which those whom a rule ties to it may have to make way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import networkx
from msgspec.structs import replace

from ave.errors import NoFit
from ave.model.group import Aspect
from ave.model.vm import VM, VMState
from ave.placement.filters import screen
from ave.placement.place import decide
from ave.placement.purpose import Purpose
from ave.placement.unit import Unit, together
from ave.placement.view import View
from ave.placement.violations import Violation, violations

TRIES = (
    6  # each begins with those that found no place before, and lifts out those who may have to make way for them too
)


class Move(NamedTuple):
    """VMs that go to a host together, because a must rule ties them."""

    vms: tuple[str, ...]
    host: str


class Repair(msgspec.Struct, frozen=True):
    broken: tuple[Violation, ...]  # as things stand
    moves: tuple[Move, ...] = ()
    stuck: dict[str, str] = {}  # VM -> why it can neither stay nor go


def repair(view: View, vms: Mapping[str, VM], groups: Iterable[str]) -> Repair:
    """Leaves the view as it was."""
    named = dict.fromkeys(groups)
    broken = tuple(violation for violation in violations(view) if violation.group in named)
    wrong = dict.fromkeys(vm for violation in broken for vm in violation.vms if vm in vms)
    first: dict[str, None] = {}
    best: _Attempt | None = None
    for _ in range(TRIES):
        attempt = _Attempt(view.copy(), _units(view, vms, wrong), first)
        if best is None or len(attempt.stuck) < len(best.stuck):
            best = attempt
        if not attempt.stuck:
            break
        first = {**dict.fromkeys(attempt.stuck), **first}
        wrong = wrong | dict.fromkeys(mate for vm in attempt.stuck for mate in _mates(view, vm) if mate in vms)
    return Repair(broken, tuple(best.moves), best.stuck) if best is not None else Repair(broken)


def _mates(view: View, vm: str) -> Iterator[str]:
    """Who may have to make way for it."""
    for group in view.bonds.of(vm):
        if group.rule.must:
            yield from (mate for mate in group.vms if view.seats(mate).hosts)


def _units(view: View, vms: Mapping[str, VM], wrong: Mapping[str, None]) -> list[Unit]:
    """Of the VMs that are somewhere: these, each with all that it is tied to."""
    bound: networkx.Graph[str] = networkx.Graph()
    bound.add_nodes_from(wrong)
    for group in view.bonds.groups:
        if group.enabled and group.rule.must and group.rule.aspect is Aspect.SAME_HOST:
            networkx.add_path(bound, [vm for vm in group.vms if vm in vms and view.seats(vm).hosts])
    components = sorted(sorted(mates) for mates in networkx.connected_components(bound))
    return [together(tuple(vms[vm] for vm in mates)) for mates in components if any(vm in wrong for vm in mates)]


def _choices(unit: Unit, view: View) -> int:
    """The hosts on which it could be. What cannot move has at most the one where it is."""
    return 1 if _fixed(unit) else screen(unit, view, Purpose.LIVE).left


def _fixed(unit: Unit) -> list[VM]:
    return [vm for vm in unit.vms if vm.state is not VMState.RUNNING]


class _Attempt:
    """The units lifted out of this view and put back, those with one of these VMs first."""

    def __init__(self, view: View, units: Sequence[Unit], first: Mapping[str, None]) -> None:
        self.moves: list[Move] = []
        self.stuck: dict[str, str] = {}
        self._view = view
        for unit in units:
            for vm in unit.vms:
                view.lift(vm.id)
        places = {vm: place for place, vm in enumerate(first)}
        order = {unit.name: min(places.get(vm.id, len(places)) for vm in unit.vms) for unit in units}
        key = {unit.name: (order[unit.name], _choices(unit, view), -unit.whole.memory_mib) for unit in units}
        for unit in sorted(units, key=lambda unit: (key[unit.name], unit.name)):
            self._put_back(unit)

    def _put_back(self, unit: Unit) -> None:
        if not (host := self._stays(unit)):
            if fixed := _fixed(unit):
                whys = [f"{vm.id} is {vm.state} and cannot move" for vm in fixed]
                self._leave(unit, "; ".join(whys))
                return
            try:
                host = decide(self._view, unit, Purpose.LIVE).host
            except NoFit as refusal:
                self._leave(unit, str(refusal))
                return
        for vm in unit.vms:
            self._view.put_vm(replace(vm, host=host, reserved=""))
        if moving := tuple(vm.id for vm in unit.vms if vm.host != host):
            self.moves.append(Move(moving, host))

    def _stays(self, unit: Unit) -> str:
        """The host of most of its memory on which all of it may be."""
        mib: dict[str, int] = {}
        for vm in unit.vms:
            mib[vm.host] = mib.get(vm.host, 0) + vm.memory_mib
        fixed = dict.fromkeys(vm.host for vm in _fixed(unit))
        for host in sorted(mib, key=lambda host: (-mib[host], host)):
            if fixed and list(fixed) != [host]:
                continue
            try:
                return decide(self._view, unit, Purpose.LIVE, only=host).host
            except NoFit:
                continue
        return ""

    def _leave(self, unit: Unit, why: str) -> None:
        """It stays as it is, and in the way of others."""
        for vm in unit.vms:
            self.stuck[vm.id] = why
            self._view.put_vm(vm)
