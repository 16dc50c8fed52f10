"""What a row of the tables of mutants says."""

from __future__ import annotations

from contextlib import AbstractContextManager

import msgspec

from sim.invariants import TABLE, Invariant
from tests.mutants.patch import Patch, applied, swap


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """A bug put in on purpose. ``number``: in the list of docs/mutants.md, or 0 if it is in none; ``caught_by``: the invariants
    that may find it; ``scenarios``: files that ship, in each of which one of them finds it; ``says``: words of what it says.

    ``nets`` are further patches, without which something else would make good what the bug does; they alone break nothing.
    In the scenarios the invariants of ``blind`` do not look: they would be first, and it is shown that others see it too.
    """

    name: str
    broken: str
    caught_by: tuple[str, ...]
    scenarios: tuple[str, ...]
    patches: tuple[Patch, ...]
    number: int = 0
    nets: tuple[Patch, ...] = ()
    blind: tuple[str, ...] = ()
    says: str = ""

    @property
    def label(self) -> str:
        return f"{self.number:02}-{self.name}" if self.number else self.name

    def applied(self) -> AbstractContextManager[None]:
        return applied((*self.nets, *self.patches))

    def nets_alone(self) -> AbstractContextManager[None]:
        return applied(self.nets)

    def blinded(self) -> AbstractContextManager[None]:
        return applied(tuple(swap(type_of(id), "handlers", lambda self: {}) for id in self.blind))


def type_of(id: str) -> type[Invariant]:
    (found,) = [invariant for invariant in TABLE if invariant.id == id]
    return found
