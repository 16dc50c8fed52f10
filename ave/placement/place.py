"""One decision: filters, then scores, then the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from ave.errors import NoFit
from ave.placement.filters import Screened, screen
from ave.placement.scores import Purpose, exact, lowest, tightest

if TYPE_CHECKING:
    from ave.model.vm import VM
    from ave.placement.view import View

TARGET: Final = "TargetHostFilter"  # hosts that the request itself rules out


class Choice(msgspec.Struct, frozen=True):
    host: str
    score: float  # for people; the decision was made in integers
    fitting: int  # hosts that passed every filter
    rejected: dict[str, int]  # filter -> hosts it was the first to turn away


def place(view: View, vm: VM, purpose: Purpose, *, only: str = "", exclude: tuple[str, ...] = ()) -> Choice:
    """The host for this VM, or ``NoFit``. ``only``: the user named the host; ``exclude``: a migration's source."""
    return decide(view, vm, purpose, only=only, exclude=exclude)


def decide(
    view: View, vm: VM, purpose: Purpose, *, only: str = "", exclude: tuple[str, ...] = (), compact: bool = False
) -> Choice:
    own = view.lift(vm.id)  # the VM counts once, on the host under consideration
    try:
        screened = screen(vm, view, _asked(view, only, exclude) if only or exclude else None)
        if not screened.left:
            raise NoFit(vm.id, len(view), screened.rejected)
        row = tightest(view, screened.fits) if compact else lowest(vm, view, purpose, screened.fits)
        part, whole = exact(vm, view, purpose, row)
        return Choice(view.names[row], part / (2 * whole), screened.left, screened.rejected)
    finally:
        if own is not None:
            view.settle(vm.id, own)


def _asked(view: View, only: str, exclude: tuple[str, ...]) -> Screened:
    fits = np.zeros(len(view), np.bool_) if only else np.ones(len(view), np.bool_)
    if only in view.rows:
        fits[view.rows[only]] = True
    for host in exclude:
        if host in view.rows:
            fits[view.rows[host]] = False
    left = int(np.count_nonzero(fits))
    return Screened(fits, left, {TARGET: len(view) - left} if left < len(view) else {})
