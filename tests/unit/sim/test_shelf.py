"""The simulated store's indexes: what is put there in any order is found in theirs, however seldom somebody looks."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from ave.ports.store import Above, Below, In, Index, Kind
from drivers.sim.shelf import FEW, Shelf


class Thing(msgspec.Struct, frozen=True):
    id: str
    colour: str
    size: int
    version: int = 1


THINGS = Kind("thing", Thing, (Index(("colour",), ("size",)), Index()))


@pytest.mark.parametrize("between", [1, FEW, 10 * FEW])
def test_what_is_put_between_two_looks_is_found_in_order(between: int):
    random, shelf = Random(between), Shelf(THINGS)
    known: dict[str, Thing] = {}
    for _ in range(30):
        for _ in range(between):
            id = f"{random.randrange(200)}"
            if random.random() < 0.2:
                known.pop(id, None)
                shelf.put(id, None)
            else:
                known[id] = Thing(id, random.choice("rgb"), random.randrange(20))
                shelf.put(id, known[id])
        for wanted, sizes in (("r", range(20)), (In(("g", "b")), range(20)), ("g", range(7)), ("b", range(8, 20))):
            where = {"colour": wanted, **_ranged(sizes)}
            colours = wanted.values if isinstance(wanted, In) else (wanted,)
            expected = [thing for thing in known.values() if thing.colour in colours and thing.size in sizes]
            found = list(shelf.find(where, ("size",), None))
            assert found == sorted(expected, key=lambda thing: (thing.size, thing.id))


def _ranged(sizes: range) -> dict[str, Below | Above]:
    if sizes == range(20):
        return {}
    return {"size": Above(sizes.start - 1) if sizes.start else Below(sizes.stop)}
