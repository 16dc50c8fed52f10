"""How a filter accounts for its verdict: the numbers behind it, what would change it, and a summary of those it turned away.

A filter that says nothing for itself is reported by its phrase and the names of the hosts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ave.placement.unit import Unit
    from ave.placement.view import Ints, View

NAMED: Final = 3  # names in a list, before it says how many more there are
_PLURALS: Final = {"has": "have", "is": "are", "lacks": "lack", "breaks": "break"}


class Cost(IntEnum):
    """What it takes to let a VM onto a host after all, cheapest first. One class per filter: amounts compare within it."""

    REQUEST = 0  # ask for something else
    MEMORY = 1
    CPUS = 2
    NICS = 3
    VOLUMES = 4
    MAINTENANCE = 5
    GROUP = 6
    NETWORK = 7
    CPU_MODEL = 8
    ONLINE = 9
    STAY = 10
    UNKNOWN = 11
    HARDWARE = 12  # no host of this kind can ever take it


class Mend(NamedTuple):
    """What would make a host pass one filter. Of thousands that are priced, one is put into words."""

    cost: Cost
    amount: int  # of one cost, the smaller is the cheaper
    words: Callable[[], str]  # an imperative, with its alternatives


class Account(NamedTuple):
    """Made once per decision; asked by row."""

    says: Callable[[int], str]  # of a host, whether it passes or not: "needs 8.0 GiB, has 3.5 GiB free of 64.0 GiB"
    mend: Callable[[int], Mend]  # of a host that fails
    among: Callable[[Sequence[int]], str]  # of the hosts that failed this filter first: "are in maintenance (h-5, h-6)"


def names(of: Iterable[str], most: int = NAMED) -> str:
    known = sorted(of, key=_natural)
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most:,} more"


def _natural(name: str) -> str:
    """host-2 before host-10."""
    return re.sub("[0-9]+", lambda number: number[0].zfill(9), name)


def predicate(phrase: str, count: int) -> str:
    """ "has no room" as it is said of one host or of several."""
    verb, _, rest = phrase.partition(" ")
    return phrase if count == 1 else f"{_PLURALS.get(verb, verb)} {rest}"


def by_kind(view: View, rows: Sequence[int], kind: Callable[[int], str]) -> str:
    """ "fenced: h-1; suspect: h-2, h-3", or only the names if all are of the kind ""."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        kinds.setdefault(kind(row), []).append(view.names[row])
    return "; ".join(f"{kind}: {names(hosts)}" if kind else names(hosts) for kind, hosts in sorted(kinds.items()))


def plain(phrase: str, view: View, passes: Sequence[bool]) -> Account:
    """Of a filter that has no account of its own."""
    return Account(
        says=lambda row: "" if passes[row] else phrase,
        mend=lambda row: Mend(Cost.UNKNOWN, 0, lambda: f"see to it that {view.names[row]} no longer {phrase}"),
        among=lambda rows: f"{predicate(phrase, len(rows))} ({by_kind(view, rows, lambda row: '')})",
    )


class Measure(NamedTuple):
    """How amounts of something are written: what is needed rounds up, what is there rounds down, so no text contradicts
    its verdict."""

    up: Callable[[int], str]
    down: Callable[[int], str]


def memory(wanted_mib: int) -> Measure:
    """In GiB with one decimal if what is wanted has no more; else in MiB, which are exact."""
    if wanted_mib % 512:
        return Measure(lambda mib: f"{mib:,} MiB", lambda mib: f"{mib:,} MiB")
    return Measure(lambda mib: _gib(-(-mib * 10 // 1024)), lambda mib: _gib(mib * 10 // 1024))


def _gib(tenths: int) -> str:
    return f"{tenths / 10:,.1f} GiB"


def pieces(singular: str, plural: str = "") -> Measure:
    def said(count: int) -> str:
        return f"{count:,} {singular if count == 1 else plural or singular + 's'}"

    return Measure(said, said)


class Room(NamedTuple):
    """Something of which a host has so much, and a VM wants so much."""

    phrase: str
    cost: Cost
    measure: Measure
    wanted: int
    free: Ints  # by row, without what these VMs take themselves
    most: Ints  # that could ever be free on each host
    less: str  # what could be asked of the VM instead, with {size} of what fits: "make web-7 {size} or smaller"

    def account(self, view: View) -> Account:
        up, down = self.measure
        free, most = self.free.tolist(), self.most.tolist()

        def says(row: int) -> str:
            return f"needs {up(self.wanted)}, has {down(free[row])} free of {down(most[row])}"

        def among(rows: Sequence[int]) -> str:
            best = min(rows, key=lambda row: (-free[row], view.names[row]))
            how = f"has {'most, ' if len(rows) > 1 else ''}{down(free[best])}: {up(self.wanted - free[best])} short"
            return f"{predicate(self.phrase, len(rows))} ({view.names[best]} {how})"

        def mend(row: int) -> Mend:
            possible = most[row] >= self.wanted or free[row] > 0
            return Mend(self.cost if possible else Cost.HARDWARE, self.wanted - free[row], lambda: words(row))

        def words(row: int) -> str:
            host, short = view.names[row], self.wanted - free[row]
            ways = [f"free {up(short)} on {host}"] if most[row] >= self.wanted else []
            ways += [self.less.format(size=down(free[row]))] if free[row] > 0 else []
            if ways:
                return ", or ".join(ways)
            if most[row] <= 0:
                return f"add {up(short)} to {host}"
            return f"{self.less.format(size=down(most[row]))} and free {up(most[row] - free[row])} on {host}"

        return Account(says, mend, among)


Accounts = Callable[["Unit", "View"], Account]
