"""The rules that turn hosts away, in order: each says, for all hosts at once, which of them may take a VM.

To add a rule: one function and its line in ``FILTERS``. A host is counted against the first filter that turns it away, so
what outranks others in a report stands before them (docs/decisions/0015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ave.model.host import HostState
from ave.placement.groups import kept
from ave.placement.purpose import Purpose
from ave.placement.view import STATES, Mask, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from ave.placement.unit import Unit

ANY_MODEL: Final = "any"
_IN_MAINTENANCE: Final = np.array([s in (HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE) for s in STATES])
# A host in maintenance is alive; it is turned away by name of what keeps it from taking VMs.
_AVAILABLE: Final = _IN_MAINTENANCE | np.array([s is HostState.ONLINE for s in STATES])
_ONE: Final = np.uint64(1)


def available(unit: Unit, view: View, purpose: Purpose) -> Mask:
    return np.take(_AVAILABLE, view.state)


def out_of_maintenance(unit: Unit, view: View, purpose: Purpose) -> Mask:
    return ~np.take(_IN_MAINTENANCE, view.state)


def networks_present(unit: Unit, view: View, purpose: Purpose) -> Mask:
    present = np.ones(len(view), np.bool_)
    for network in dict.fromkeys(network for vm in unit.vms for network in vm.networks):
        where = view.network_bit(network)
        if where is None:
            return np.zeros(len(view), np.bool_)
        word, bit = where
        present &= (view.networks[word] >> np.uint64(bit)) & _ONE != 0
    return present


def cpu_compatible(unit: Unit, view: View, purpose: Purpose) -> Mask:
    """A host of model "any" promises to run every model, and a VM of model "any" runs on every host."""
    able = np.ones(len(view), np.bool_)
    for model in dict.fromkeys(vm.cpu_model for vm in unit.vms if vm.cpu_model != ANY_MODEL):
        able &= (view.cpu_model == view.model_code(model)) | (view.cpu_model == view.model_code(ANY_MODEL))
    return able


def enough_memory(unit: Unit, view: View, purpose: Purpose) -> Mask:
    """The VM itself is not in the view while it is being placed, so memory it holds already is not counted twice."""
    return view.free_mib >= unit.whole.memory_mib


def enough_cpus_for_pins(unit: Unit, view: View, purpose: Purpose) -> Mask | None:
    """Strict for what a user asks for; a rescue only prefers such hosts."""
    wanted = unit.exclusive_cpus
    return view.free_cpus >= wanted if wanted and purpose is not Purpose.RESCUE else None


def enough_nics(unit: Unit, view: View, purpose: Purpose) -> Mask | None:
    return view.free_nics >= unit.nics if view.limits("nics") and unit.nics else None


def enough_attachments(unit: Unit, view: View, purpose: Purpose) -> Mask | None:
    return view.free_volumes >= unit.media if view.limits("volumes") and unit.media else None


class Filter(NamedTuple):
    name: str
    phrase: str  # why a host was turned away: "the host …"
    passes: Callable[[Unit, View, Purpose], Mask | None]  # None: every host
    steady: bool = False  # depends on the hosts and on the VM's networks and CPU model alone: its answer is kept


FILTERS: Final = (
    Filter("PlacementGroupMustFilter", "is ruled out by a placement group", kept),
    Filter("HostAvailableFilter", "is not online", available, steady=True),
    Filter("MaintenanceFilter", "is in maintenance or about to be", out_of_maintenance, steady=True),
    Filter("NetworkFilter", "lacks a network of the VM", networks_present, steady=True),
    Filter("CpuModelFilter", "has another CPU model than the VM needs", cpu_compatible, steady=True),
    Filter("HostAvailableMemoryFilter", "has too little free memory", enough_memory),
    Filter("CpuPinningFilter", "has too few CPUs left that the VM could have for itself", enough_cpus_for_pins),
    Filter("NicCapacityFilter", "has no room for its NICs", enough_nics),
    Filter("StorageCapacityFilter", "cannot attach so many more volumes", enough_attachments),
)
_GROUPS: Final = FILTERS[0]
_STEADY: Final = tuple(f for f in FILTERS if f.steady)
_ROOM: Final = FILTERS[1 + len(_STEADY) :]
assert (_GROUPS, *_STEADY, *_ROOM) == FILTERS, "steady filters come together: their answers are kept together"


class Screened(NamedTuple):
    fits: Mask  # never written to: it may be a kept answer
    left: int
    rejected: dict[str, int]  # filter -> hosts it was the first to turn away; those with none are left out


class _Kept(NamedTuple):
    masks: tuple[Mask | None, ...]  # of each steady filter alone
    screened: Screened  # by all of them


def screen(
    unit: Unit, view: View, purpose: Purpose, asked: Screened | None = None, plugged: tuple[Filter, ...] = ()
) -> Screened:
    """Runs the chain, on all hosts or on those that ``asked`` has left over. Stops when none is left."""
    known = _keep(unit, view, purpose)
    grouped = kept(unit, view, purpose)
    if grouped is None and asked is None:
        screened = known.screened
    else:
        screened = asked or everyone(view)
        for rule, mask in zip((_GROUPS, *_STEADY), (grouped, *known.masks), strict=True):
            screened = _narrowed(screened, rule, mask)
    for rule in _ROOM + plugged:
        mask = rule.passes(unit, view, purpose)
        if mask is not None:
            screened = _narrowed(screened, rule, mask)
    return screened


def masks(unit: Unit, view: View, purpose: Purpose, plugged: tuple[Filter, ...] = ()) -> dict[str, Mask]:
    """What each filter says by itself, by name and in order."""
    answers = (
        _GROUPS.passes(unit, view, purpose),
        *_keep(unit, view, purpose).masks,
        *(rule.passes(unit, view, purpose) for rule in (*_ROOM, *plugged)),
    )
    ones = np.ones(len(view), np.bool_)
    rules = (*FILTERS, *plugged)
    return {rule.name: ones if mask is None else mask for rule, mask in zip(rules, answers, strict=True)}


def everyone(view: View) -> Screened:
    return Screened(np.ones(len(view), np.bool_), len(view), {})


def _keep(unit: Unit, view: View, purpose: Purpose) -> _Kept:
    known: _Kept | None = view.kept.get(unit.wish)
    if known is None:
        screened, each = everyone(view), []
        for rule in _STEADY:
            mask = rule.passes(unit, view, purpose)
            screened = _narrowed(screened, rule, mask)
            each.append(mask)
        known = _Kept(tuple(each), screened)
        view.keep(unit.wish, known)
    return known


def _narrowed(screened: Screened, rule: Filter, mask: Mask | None) -> Screened:
    if mask is None or not screened.left:
        return screened
    fits = screened.fits & mask
    left = int(np.count_nonzero(fits))
    if left == screened.left:
        return screened
    return Screened(fits, left, {**screened.rejected, rule.name: screened.left - left})
