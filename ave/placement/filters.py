"""The hard rules of placement, in order: each says, for all hosts at once, which of them may take a VM.

To add a rule: one function and its line in ``FILTERS``. A host is counted against the first filter that turns it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ave.model.host import HostState
from ave.placement.view import STATES, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ave.model.vm import VM

Mask = NDArray[np.bool_]

ANY_MODEL: Final = "any"
_IN_MAINTENANCE: Final = np.array([s in (HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE) for s in STATES])
# A host in maintenance is alive; it is turned away by name of what keeps it from taking VMs.
_AVAILABLE: Final = _IN_MAINTENANCE | np.array([s is HostState.ONLINE for s in STATES])
_ONE: Final = np.uint64(1)
_KEPT_LIMIT: Final = 256  # distinct requests remembered between two host changes; 50 kB each at 10,000 hosts


def available(vm: VM, view: View) -> Mask:
    return np.take(_AVAILABLE, view.state)


def out_of_maintenance(vm: VM, view: View) -> Mask:
    return ~np.take(_IN_MAINTENANCE, view.state)


def networks_present(vm: VM, view: View) -> Mask:
    present = np.ones(len(view), np.bool_)
    for network in vm.networks:
        where = view.network_bit(network)
        if where is None:
            return np.zeros(len(view), np.bool_)
        word, bit = where
        present &= (view.networks[word] >> np.uint64(bit)) & _ONE != 0
    return present


def cpu_compatible(vm: VM, view: View) -> Mask:
    """A host of model "any" promises to run every model, and a VM of model "any" runs on every host."""
    if vm.cpu_model == ANY_MODEL:
        return np.ones(len(view), np.bool_)
    same: Mask = view.cpu_model == view.model_code(vm.cpu_model)
    same |= view.cpu_model == view.model_code(ANY_MODEL)
    return same


def enough_memory(vm: VM, view: View) -> Mask:
    """The VM itself is not in the view while it is being placed, so memory it holds already is not counted twice."""
    return view.free_mib >= vm.memory_mib


class Filter(NamedTuple):
    name: str
    phrase: str  # why a host was turned away: "the host …"
    passes: Callable[[VM, View], Mask]
    steady: bool = False  # depends on the hosts and on the VM's networks and CPU model alone: its answer is kept


FILTERS: Final = (
    Filter("HostAvailableFilter", "is not online", available, steady=True),
    Filter("MaintenanceFilter", "is in maintenance or about to be", out_of_maintenance, steady=True),
    Filter("NetworkFilter", "lacks a network of the VM", networks_present, steady=True),
    Filter("CpuModelFilter", "has another CPU model than the VM needs", cpu_compatible, steady=True),
    Filter("HostAvailableMemoryFilter", "has too little free memory", enough_memory),
)
_STEADY: Final = tuple(f for f in FILTERS if f.steady)
_LIVELY: Final = tuple(f for f in FILTERS if not f.steady)
assert _STEADY + _LIVELY == FILTERS, "steady filters come first: their answers are kept together"


class Screened(NamedTuple):
    fits: Mask  # never written to: it may be a kept answer
    left: int
    rejected: dict[str, int]  # filter -> hosts it was the first to turn away; those with none are left out


class _Kept(NamedTuple):
    masks: tuple[Mask, ...]  # of each steady filter alone
    screened: Screened  # by all of them


def screen(vm: VM, view: View, asked: Screened | None = None) -> Screened:
    """Runs the chain, on all hosts or on those that ``asked`` has left over. Stops when none is left."""
    kept = _keep(vm, view)
    screened = kept.screened if asked is None else _narrow(asked, _STEADY, kept.masks)
    if not screened.left:
        return screened
    return _narrow(screened, _LIVELY, (rule.passes(vm, view) for rule in _LIVELY))


def masks(vm: VM, view: View) -> dict[str, Mask]:
    """What each filter says by itself, by name and in order."""
    lively = tuple(rule.passes(vm, view) for rule in _LIVELY)
    return {rule.name: mask for rule, mask in zip(FILTERS, _keep(vm, view).masks + lively, strict=True)}


def _keep(vm: VM, view: View) -> _Kept:
    wish = (vm.networks, vm.cpu_model)
    kept: _Kept | None = view.kept.get(wish)
    if kept is None:
        each = tuple(rule.passes(vm, view) for rule in _STEADY)
        everyone = Screened(np.ones(len(view), np.bool_), len(view), {})
        kept = _Kept(each, _narrow(everyone, _STEADY, each))
        if len(view.kept) >= _KEPT_LIMIT:
            view.kept.clear()
        view.kept[wish] = kept
    return kept


def _narrow(screened: Screened, rules: tuple[Filter, ...], answers: Iterable[Mask]) -> Screened:
    fits, left, rejected = screened
    rejected = rejected.copy()
    for rule, passes in zip(rules, answers, strict=True):
        fits = fits & passes
        before, left = left, int(np.count_nonzero(fits))
        if left != before:
            rejected[rule.name] = before - left
        if not left:
            break
    return Screened(fits, left, rejected)
