"""One decision: filters, then preferences, then scores, then the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ave.errors import NoFit
from ave.placement.explanation import Choice
from ave.placement.filters import Screened, screen
from ave.placement.plugged import NONE, Plugged
from ave.placement.preferences import PREFERENCES, narrow
from ave.placement.purpose import Purpose
from ave.placement.scores import exact, lowest, tightest
from ave.placement.unit import Unit, alone

if TYPE_CHECKING:
    from ave.model.vm import VM
    from ave.placement.view import View

TARGET: Final = "TargetHostFilter"  # hosts that the request itself rules out


def place(
    view: View, vm: VM, purpose: Purpose, *, only: str = "", exclude: tuple[str, ...] = (), plugged: Plugged = NONE
) -> Choice:
    """The host for this VM, or ``NoFit``. ``only``: the user named the host; ``exclude``: a migration's source."""
    return decide(view, alone(vm), purpose, only=only, exclude=exclude, plugged=plugged)


def decide(
    view: View,
    unit: Unit,
    purpose: Purpose,
    *,
    only: str = "",
    exclude: tuple[str, ...] = (),
    compact: bool = False,
    plugged: Plugged = NONE,
) -> Choice:
    # A VM counts once, on the host under consideration.
    own = [(vm.id, stake) for vm in unit.vms if (stake := view.lift(vm.id)) is not None]
    try:
        screened = screen(unit, view, purpose, asked(view, only, exclude), plugged.filters)
        if not screened.left:
            raise NoFit(unit.name, len(view), screened.rejected)
        best, passed_over = narrow(screened.fits, unit, view, purpose, PREFERENCES + plugged.preferences)
        row = tightest(view, best) if compact else lowest(unit.whole, view, purpose, best)
        part, whole = exact(unit.whole, view, purpose, row)
        wanted = unit.exclusive_cpus if purpose is Purpose.RESCUE else 0
        unpinned = wanted > 0 and wanted > view.free_cpus.item(row)
        return Choice(view.names[row], part / (2 * whole), screened.left, screened.rejected, passed_over, unpinned)
    finally:
        for id, stake in own:
            view.settle(id, stake)


def asked(view: View, only: str, exclude: tuple[str, ...]) -> Screened | None:
    """What the request itself rules out; None: nothing."""
    if not only and not exclude:
        return None
    fits = np.zeros(len(view), np.bool_) if only else np.ones(len(view), np.bool_)
    if only in view.rows:
        fits[view.rows[only]] = True
    for host in exclude:
        if host in view.rows:
            fits[view.rows[host]] = False
    left = int(np.count_nonzero(fits))
    return Screened(fits, left, {TARGET: len(view) - left} if left < len(view) else {})
