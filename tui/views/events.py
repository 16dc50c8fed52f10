"""Events: every change of state, and whose it is. The list follows the newest one until the cursor leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tui.columns import Column, Row, Span
from tui.glyphs import LEVELS
from tui.views.base import Docs, Lines, Place, heading, pair

_NUMBER = "{:012d}"  # so that keys sort as they were told


class Events(Docs):
    noun = ""
    order = ("", False)

    def made_columns(self) -> Sequence[Column]:
        moment = self.context.moment
        return (
            Column("TIME", 8, lambda line: (moment(line.at), "faint"), None),
            Column("WHO", 20, _who, None),
            Column("WHAT", 11, _what, None, stays=2),
            Column(
                "WHY",
                10,
                lambda line: (line.why, _tone(line) if line.level in ("bad", "warn", "time") else "dim"),
                None,
                stays=3,
                grows=True,
            ),
        )

    def seen(self) -> Any:
        return self.model.logged, self.model.resets

    def keys(self) -> Sequence[str]:
        wanted = self.place.of("thing")
        if wanted:
            return [_NUMBER.format(line.number) for line in self.model.log if line.who == wanted]
        return [_NUMBER.format(line.number) for line in self.model.log]

    def row(self, key: str) -> Row | None:
        """Numbers have no gaps but where lines were skipped, so the place is found without looking at all of them."""
        log = self.model.log
        if not log:
            return None
        number = int(key)
        low, high = 0, len(log) - 1
        guess = min(high, max(low, number - log[0].number))
        if log[guess].number == number:
            return log[guess]
        while low <= high:
            middle = (low + high) // 2
            found = log[middle].number
            if found == number:
                return log[middle]
            low, high = (middle + 1, high) if found < number else (low, middle - 1)
        return None

    def stamp(self, key: str) -> Any:
        return self.model.resets

    def text(self, key: str) -> str:
        line = self.row(key)
        return "" if line is None else f"{line.who} {line.what} {line.why}".lower()

    def labels(self, key: str) -> Mapping[str, str]:
        return {}

    def thing(self, key: str) -> tuple[str, str]:
        line = self.row(key)
        return line.about if line is not None else ("", "")

    def into(self, key: str) -> Place | None:
        noun, id = self.thing(key)
        return place_of(noun, id)

    def panel(self, key: str) -> Lines:
        line = self.row(key)
        if line is None:
            return []
        return [
            [(LEVELS[line.level].glyph + " ", LEVELS[line.level].tone), (line.what, "strong!")],
            [],
            pair("when", self.context.moment(line.at)),
            pair("who", line.who),
            [],
            heading("Why"),
            [(line.why or "nothing is told", "text")],
        ]


def place_of(noun: str, id: str) -> Place | None:
    """Where a thing is looked at."""
    places = {
        "vm": Place("parts", (("vm", id),), id),
        "host": Place("vms", (("host", id),), id),
        "job": Place("jobs", (("id", id),), id),
        "volume": Place("volumes", (("id", id),), id),
        "group": Place("groups", (("id", id),), id),
        "zone": Place("hosts", (("zone", id),), f"zone {id}"),
    }
    return places.get(noun)


def _tone(line: Row) -> str:
    each = LEVELS[line.level]
    return each.tone if not each.quiet else "dim"


def _who(line: Row) -> list[Span]:
    each = LEVELS[line.level]
    noun, id = line.about
    if noun == "job":  # its id is what it does, and digits to tell it from others
        operation, dash, digits = id.rpartition("-")
        id = f"{operation} {digits[:4]}" if dash else id
    return [(f"{each.glyph} ", each.tone), (f"{noun} " if noun and noun != "job" else "", "dim"), (id, "text")]


def _what(line: Row) -> Span:
    return line.what, LEVELS[line.level].tone
