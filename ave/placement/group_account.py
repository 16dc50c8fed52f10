"""Which group's rule a host would break, who is in the way there, and what would settle it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ave.model.group import Aspect, Group
from ave.placement.account import Account, Cost, Mend, names
from ave.placement.groups import rules, torn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ave.placement.unit import Unit
    from ave.placement.view import View

_MANY: Final = 1 << 20  # one more broken rule outweighs any number of VMs in the way of another


class _Break(NamedTuple):
    vm: str
    group: Group
    hosts: list[int]  # by row: 0, or by how much it breaks the rule
    places: dict[str, list[str]]  # where the group's other VMs are that have a say: host -> VMs
    torn: bool = False  # the VMs placed together contradict each other: it is broken on every host


def account(unit: Unit, view: View) -> Account:
    """Of the must rules."""
    broken = _broken(unit, view, must=True)

    def of(row: int) -> list[_Break]:
        return [each for each in broken if each.torn or each.hosts[row]]

    def says(row: int) -> str:
        if found := of(row):
            return "; ".join(_complaint(each, view, row) for each in found)
        return "keeps every must rule of its groups" if broken else "no must rule of a group excludes any host"

    def mend(row: int) -> Mend:
        found = of(row)
        amount = len(found) * _MANY + sum(each.hosts[row] for each in found)
        return Mend(
            Cost.GROUP, amount, lambda: ", and ".join(dict.fromkeys(_way_out(each, view, row) for each in found))
        )

    def among(rows: Sequence[int]) -> str:
        first: dict[str, list[int]] = {}
        for row in rows:
            first.setdefault(of(row)[0].group.id, []).append(row)
        clauses = {group: _clause(of(found[0])[0], view, found) for group, found in first.items()}
        if len(clauses) == 1:
            group, clause = next(iter(clauses.items()))
            return f"{'is' if len(rows) == 1 else 'are'} ruled out by group {group}, which {clause}"
        parts = [f"{len(first[group]):,} by {group}, which {clause}" for group, clause in clauses.items()]
        return f"are ruled out by groups ({'; '.join(parts)})"

    return Account(says, mend, among)


def preferred(unit: Unit, view: View) -> Callable[[int], str]:
    """Of the prefer rules: what each host would break."""
    broken = _broken(unit, view, must=False)

    def says(row: int) -> str:
        found = [each for each in broken if each.hosts[row]]
        return "; ".join(_complaint(each, view, row) for each in found) or "breaks no prefer rule"

    return says


def _broken(unit: Unit, view: View, *, must: bool) -> list[_Break]:
    found = []
    for vm, group, breaks in rules(unit, view, must=must):
        is_torn = must and torn(group, unit)
        if breaks is not None or is_torn:
            by_row = [0] * len(view) if breaks is None else breaks.tolist()
            found.append(_Break(vm.id, group, by_row, _places(vm.id, group, view), is_torn))
    return found


def _places(vm: str, group: Group, view: View) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for mate in group.vms:
        hosts, goal = view.seats(mate) if mate != vm else ((), "")
        if group.rule.aspect is Aspect.SAME_HOST:
            hosts = (goal,) if goal else ()
        for host in hosts:
            places.setdefault(host, []).append(mate)
    return places


def _complaint(broken: _Break, view: View, row: int) -> str:
    """ "group db-apart must be each on a host of its own: db-1 is on host-2"."""
    why = _in_the_way(broken, view, [row])
    return f"group {broken.group.id} {broken.group.phrase}{': ' + why if why else ''}"


def _clause(broken: _Break, view: View, rows: Sequence[int]) -> str:
    why = _in_the_way(broken, view, rows)
    return f"{broken.group.phrase} ({why})" if why else broken.group.phrase


def _in_the_way(broken: _Break, view: View, rows: Sequence[int]) -> str:
    group = broken.group
    if broken.torn:
        return "they must also share one"
    if group.rule.aspect is Aspect.ZONE:
        return (
            f"{names(view.names[row] for row in rows)} in {names({view.zone_name(row) or 'no zone' for row in rows})}"
        )
    told = dict.fromkeys(_whereabouts(mate, host, view) for row in rows for mate, host in _mates(broken, view, row))
    return names(told)


def _mates(broken: _Break, view: View, row: int) -> list[tuple[str, str]]:
    """The group's other VMs whose place is against this host, and that place."""
    here = view.names[row]
    if broken.group.rule.aspect is Aspect.DIFFERENT_HOSTS:
        return [(mate, here) for mate in broken.places.get(here, ())]
    if broken.group.rule.aspect is Aspect.SAME_HOST:
        return [(mate, host) for host, mates in broken.places.items() if host != here for mate in mates]
    return []


def _whereabouts(mate: str, host: str, view: View) -> str:
    stake = view.stake(mate)
    coming = stake is not None and stake.reserved == host
    return f"{mate} is on its way to {host}" if coming else f"{mate} is on {host}"


def _way_out(broken: _Break, view: View, row: int) -> str:
    group, host = broken.group, view.names[row]
    out = f"take {broken.vm} out of group {group.id}"
    mates = names(mate for mate, _ in _mates(broken, view, row))
    ways = {
        Aspect.HOSTS: f"add {host} to group {group.id}, or {out}",
        Aspect.NOT_HOSTS: f"take {host} out of group {group.id}, or {out}",
        Aspect.SAME_HOST: f"move {mates} to {host}, or {out}",
        Aspect.DIFFERENT_HOSTS: f"move {mates} off {host}, or {out}",
        Aspect.ZONE: out,
    }
    return out if broken.torn else ways[group.rule.aspect]
