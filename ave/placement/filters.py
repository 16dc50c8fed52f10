"""The rules that turn hosts away, in order: each says, for all hosts at once, which of them may take a VM.

To add a rule: one function, another that accounts for its verdicts, and its line in ``FILTERS``. A host is counted against
the first filter that turns it away, so what outranks others in a report stands before them (docs/decisions/0015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ave.model.host import HostState
from ave.placement import group_account
from ave.placement.account import Account, Accounts, Cost, Mend, Room, by_kind, memory, names, pieces, predicate
from ave.placement.groups import kept
from ave.placement.purpose import Purpose
from ave.placement.view import NO_LIMIT, STATES, Mask, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ave.placement.unit import Unit

ANY_MODEL: Final = "any"
_IN_MAINTENANCE: Final = np.array([s in (HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE) for s in STATES])
# A host in maintenance is alive; it is turned away by name of what keeps it from taking VMs.
_AVAILABLE: Final = _IN_MAINTENANCE | np.array([s is HostState.ONLINE for s in STATES])
_ONE: Final = np.uint64(1)


# Why a host was turned away: "the host …".
_OFFLINE: Final = "is not online"
_MAINTAINED: Final = "is in maintenance or about to be"
_LACKING: Final = "lacks a network of the VM"
_OTHER_MODEL: Final = "has another CPU model than the VM needs"
_NO_MEMORY: Final = "has too little free memory"
_NO_CPUS: Final = "has too few CPUs left that the VM could have for itself"
_NO_NICS: Final = "has no room for its NICs"
_NO_VOLUMES: Final = "cannot attach so many more volumes"


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


# What each accounts for


def of_availability(unit: Unit, view: View) -> Account:
    def state(row: int) -> str:
        return str(STATES[view.state[row]])

    return Account(
        says=lambda row: f"is {state(row)}",
        mend=lambda row: Mend(Cost.ONLINE, 0, lambda: f"bring {view.names[row]} online, which is {state(row)}"),
        among=lambda rows: f"{predicate(_OFFLINE, len(rows))} ({by_kind(view, rows, state)})",
    )


def of_maintenance(unit: Unit, view: View) -> Account:
    said = {HostState.MAINTENANCE: "is in maintenance", HostState.ENTERING_MAINTENANCE: "is entering maintenance"}

    def among(rows: Sequence[int]) -> str:
        entering = any(STATES[view.state[row]] is HostState.ENTERING_MAINTENANCE for row in rows)
        phrase = _MAINTAINED if entering else "is in maintenance"
        return f"{predicate(phrase, len(rows))} ({names(view.names[row] for row in rows)})"

    return Account(
        says=lambda row: said.get(STATES[view.state[row]], "is not in maintenance"),
        mend=lambda row: Mend(Cost.MAINTENANCE, 0, lambda: f"end the maintenance of {view.names[row]}"),
        among=among,
    )


def of_networks(unit: Unit, view: View) -> Account:
    wanted = list(dict.fromkeys(network for vm in unit.vms for network in vm.networks))

    def missing(row: int) -> list[str]:
        down = view.down.get(view.names[row], ())
        lacking = [network for network in wanted if not _has_network(view, network, row)]
        return [f"{network}, which is down there" if network in down else network for network in lacking]

    def says(row: int) -> str:
        if lacking := missing(row):
            return f"lacks {', '.join(lacking)}"
        return f"has {', '.join(wanted)}" if wanted else "needs no network"

    def mend(row: int) -> Mend:
        lacking = missing(row)
        words = f"give {view.names[row]} the network {', '.join(lacking)}, or take {unit.name} off it"
        return Mend(Cost.NETWORK, len(lacking), lambda: words)

    def among(rows: Sequence[int]) -> str:
        return f"{predicate(_LACKING, len(rows))} ({by_kind(view, rows, lambda row: ', '.join(missing(row)))})"

    return Account(says, mend, among)


def _has_network(view: View, network: str, row: int) -> bool:
    where = view.network_bit(network)
    return where is not None and bool(int(view.networks[where[0]][row]) >> where[1] & 1)


def of_cpu_model(unit: Unit, view: View) -> Account:
    wanted = " and ".join(dict.fromkeys(vm.cpu_model for vm in unit.vms if vm.cpu_model != ANY_MODEL)) or ANY_MODEL

    def mend(row: int) -> Mend:
        words = f"let {unit.name} do with CPU model {view.model_name(row)}, that of {view.names[row]}"
        return Mend(Cost.CPU_MODEL, 0, lambda: words)

    return Account(
        says=lambda row: f"needs {wanted}, is {view.model_name(row)}",
        mend=mend,
        among=lambda rows: f"{predicate(_OTHER_MODEL, len(rows))} ({by_kind(view, rows, view.model_name)})",
    )


def of_memory(unit: Unit, view: View) -> Account:
    wanted, most = unit.whole.memory_mib, view.memory_mib - view.reserve_mib
    less = f"make {unit.name} {{size}} or smaller"
    return Room(_NO_MEMORY, Cost.MEMORY, memory(wanted), wanted, view.free_mib, most, less).account(view)


def of_pins(unit: Unit, view: View) -> Account:
    measure, less = pieces("exclusive CPU"), f"let {unit.name} do without pinned CPUs"
    room = Room(_NO_CPUS, Cost.CPUS, measure, unit.exclusive_cpus, view.free_cpus, view.exclusive_cpus, less)
    made = room.account(view)

    def mend(row: int) -> Mend:  # unpinning needs nothing of the host, however few CPUs it has
        short = room.wanted - int(room.free[row])
        free = f"free {measure.up(short)} on {view.names[row]}, or " if room.most[row] >= room.wanted else ""
        return Mend(Cost.CPUS, short, lambda: free + less)

    return Account(made.says if room.wanted else lambda row: "needs no CPUs of its own", mend, made.among)


def of_nics(unit: Unit, view: View) -> Account:
    return _limited(
        view,
        Room(
            _NO_NICS,
            Cost.NICS,
            pieces("virtual NIC"),
            unit.nics,
            view.free_nics,
            view.nics_max,
            f"give {unit.name} {{size}} or fewer",
        ),
    )


def of_attachments(unit: Unit, view: View) -> Account:
    return _limited(
        view,
        Room(
            _NO_VOLUMES,
            Cost.VOLUMES,
            pieces("volume"),
            unit.media,
            view.free_volumes,
            view.volumes_max,
            f"give {unit.name} {{size}} or fewer",
        ),
    )


def _limited(view: View, room: Room) -> Account:
    made, most = room.account(view), room.most

    def says(row: int) -> str:
        return made.says(row) if most[row] < NO_LIMIT else f"needs {room.measure.up(room.wanted)}, has no limit"

    return Account(says, made.mend, made.among)


class Filter(NamedTuple):
    name: str
    phrase: str  # why a host was turned away: "the host …"
    passes: Callable[[Unit, View, Purpose], Mask | None]  # None: every host
    account: Accounts | None = None  # the numbers behind its verdicts; None: its phrase says all
    steady: bool = False  # depends on the hosts and on the VM's networks and CPU model alone: its answer is kept


MEMORY: Final = Filter("HostAvailableMemoryFilter", _NO_MEMORY, enough_memory, of_memory)
FILTERS: Final = (
    Filter("PlacementGroupMustFilter", "is ruled out by a placement group", kept, group_account.account),
    Filter("HostAvailableFilter", _OFFLINE, available, of_availability, steady=True),
    Filter("MaintenanceFilter", _MAINTAINED, out_of_maintenance, of_maintenance, steady=True),
    Filter("NetworkFilter", _LACKING, networks_present, of_networks, steady=True),
    Filter("CpuModelFilter", _OTHER_MODEL, cpu_compatible, of_cpu_model, steady=True),
    MEMORY,
    Filter("CpuPinningFilter", _NO_CPUS, enough_cpus_for_pins, of_pins),
    Filter("NicCapacityFilter", _NO_NICS, enough_nics, of_nics),
    Filter("StorageCapacityFilter", _NO_VOLUMES, enough_attachments, of_attachments),
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


def steady(unit: Unit, view: View, purpose: Purpose) -> Screened:
    """What the steady filters alone leave over."""
    return _keep(unit, view, purpose).screened


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
