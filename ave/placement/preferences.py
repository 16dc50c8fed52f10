"""What is preferred among hosts that fit, in order: each keeps the best of what is left, before the score decides.

To add a preference: one function, another that says what is behind its penalties, and its line in ``PREFERENCES``. A
preference never leaves a VM without a host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ave.placement.group_account import preferred
from ave.placement.groups import broken, has_zone_rule
from ave.placement.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ave.placement.unit import Unit
    from ave.placement.view import Ints, Mask, View


class Preference(NamedTuple):
    name: str
    phrase: str  # why a host that fits was passed over: "the host …"
    penalty: Callable[[Unit, View, Purpose], Ints | None]  # per host, lower is better; None: all are alike
    says: Callable[[Unit, View], Callable[[int], str]] | None = None  # the facts behind a penalty, by row


def off_zone(unit: Unit, view: View, purpose: Purpose) -> Ints | None:
    """In an active-active cluster, without a zone rule: the primary zone first; a rescue, the zone where the VM was."""
    if not view.primary_zones or any(has_zone_rule(vm, view) for vm in unit.vms):
        return None
    wanted = [view.zone_code(zone) for zone in view.primary_zones]
    last = view.rows.get(unit.whole.host) if purpose is Purpose.RESCUE else None
    if last is not None:
        wanted = [int(view.zone[last])]
    penalty: Ints = (~np.isin(view.zone, wanted)).astype(np.int64)
    return penalty


def without_pins(unit: Unit, view: View, purpose: Purpose) -> Ints | None:
    """A rescue that must, does without CPUs of its own."""
    if not unit.exclusive_cpus or purpose is not Purpose.RESCUE:
        return None
    return (view.free_cpus < unit.exclusive_cpus).astype(np.int64)


def zone_says(unit: Unit, view: View) -> Callable[[int], str]:
    return lambda row: f"is in zone {view.zone_name(row)}" if view.zone_name(row) else "is in no zone"


def pins_say(unit: Unit, view: View) -> Callable[[int], str]:
    free = view.free_cpus.tolist()
    return lambda row: f"has {free[row]:,} exclusive CPUs free, the VM wants {unit.exclusive_cpus:,}"


PREFERENCES: Final = (
    Preference("PlacementGroupPriorFilter", "breaks a rule that should be kept", broken, preferred),
    Preference("ZoneFilter", "is in the other zone", off_zone, zone_says),
    Preference(
        "CpuPinningPriorFilter", "has too few CPUs left that the VM could have for itself", without_pins, pins_say
    ),
)


def narrow(
    fits: Mask, unit: Unit, view: View, purpose: Purpose, preferences: tuple[Preference, ...]
) -> tuple[Mask, dict[str, int]]:
    """The best of the hosts that fit, and how many were passed over for the sake of which preference."""
    passed_over: dict[str, int] = {}
    for preference, _, best in narrowing(fits, unit, view, purpose, preferences):
        if lost := int(np.count_nonzero(fits)) - int(np.count_nonzero(best)):
            passed_over[preference.name] = lost
            fits = best
    return fits, passed_over


def narrowing(
    fits: Mask, unit: Unit, view: View, purpose: Purpose, preferences: tuple[Preference, ...]
) -> Iterator[tuple[Preference, Ints, Mask]]:
    """Each preference that has something to say, its penalties, and the best of the hosts that it was left."""
    for preference in preferences:
        penalty = preference.penalty(unit, view, purpose)
        if penalty is not None:
            fits = fits & (penalty == penalty[fits].min())
            yield preference, penalty, fits
