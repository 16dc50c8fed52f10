"""The least that would let a VM onto some host after all, from the same masks that turned every host away."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ave.placement.account import Account, Cost, Mend, names, plain, predicate
from ave.placement.explanation import Change
from ave.placement.filters import FILTERS, masks
from ave.placement.place import TARGET, asked
from ave.placement.plugged import Plugged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ave.placement.batch import Terms
    from ave.placement.purpose import Purpose
    from ave.placement.unit import Unit
    from ave.placement.view import View


class Rule(NamedTuple):
    """What one filter says of one decision."""

    name: str
    passes: list[bool]  # by row
    account: Account


def remedy(view: View, unit: Unit, terms: Terms) -> Change | None:
    """As things stand. None: there is a host for it by now, or no host at all."""
    own = [(vm.id, view.lift(vm.id)) for vm in unit.vms]  # as the decision does
    try:
        return cheapest(view, rules(view, unit, terms.purpose, terms.only, terms.exclude(unit), terms.plugged))
    finally:
        for id, stake in own:
            view.settle(id, stake)


def rules(
    view: View, unit: Unit, purpose: Purpose, only: str, exclude: tuple[str, ...], plugged: Plugged
) -> list[Rule]:
    """In the order in which they are asked. To be called, and its accounts too, while the unit is lifted out of the view."""
    made = []
    wish = asked(view, only, exclude)
    if wish is not None:
        made.append(Rule(TARGET, wish.fits.tolist(), _of_request(view, unit, only, exclude)))
    answers = masks(unit, view, purpose, plugged.filters)
    for rule in (*FILTERS, *plugged.filters):
        passes = answers[rule.name].tolist()
        account = rule.account(unit, view) if rule.account else plain(rule.phrase, view, passes)
        made.append(Rule(rule.name, passes, account))
    return made


def cheapest(view: View, rules: Sequence[Rule]) -> Change | None:
    """Fewest filters failed, then the classes of cost, then the amounts, then the name."""
    if not len(view):
        return None
    failed = np.count_nonzero(~np.array([rule.passes for rule in rules], np.bool_), axis=0)
    fewest = failed.min()
    if not fewest:
        return None

    def mends(row: int) -> list[tuple[str, Mend]]:
        return [(rule.name, rule.account.mend(row)) for rule in rules if not rule.passes[row]]

    def price(row: int) -> tuple[list[int], list[int], str]:
        costs = sorted((mend[:2] for _, mend in mends(row)), reverse=True)
        return [cost for cost, _ in costs], [amount for _, amount in costs], view.names[row]

    best = min(np.flatnonzero(failed == fewest).tolist(), key=price)
    found = mends(best)
    return Change(view.names[best], tuple(name for name, _ in found), "; and ".join(mend.words() for _, mend in found))


def _of_request(view: View, unit: Unit, only: str, exclude: tuple[str, ...]) -> Account:
    def says(row: int) -> str:
        if view.names[row] in exclude:
            return f"is the host that {unit.name} shall leave"
        return "" if not only else "is the host that was named" if view.names[row] == only else f"is not {only}"

    def mend(row: int) -> Mend:
        if view.names[row] in exclude:
            return Mend(Cost.STAY, 0, lambda: f"let {unit.name} stay on {view.names[row]}")
        return Mend(Cost.REQUEST, 0, lambda: f"ask for {view.names[row]} instead of {only}, or for no host by name")

    def among(rows: Sequence[int]) -> str:
        left = [view.names[row] for row in rows if view.names[row] in exclude]
        if len(left) == len(rows):
            return f"{predicate('is the host', len(rows))} that {unit.name} shall leave ({names(left)})"
        gone = "" if only in view.rows else ", which there is not"
        return f"{predicate('is not', len(rows))} the host that was named ({only}{gone})"

    return Account(says, mend, among)
