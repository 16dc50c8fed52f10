"""The time line: a lane for each host, and in it what state it was in when; above them the faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tui.columns import Column, Row, Span, state_cell
from tui.glyphs import sign
from tui.views.base import Docs, Lines, Place, events_of, heading, natural, pair

CELLS = 400  # of a lane; what is beyond the edge of the screen is cut
_LANE = {"good": "━", "info": "╌", "warn": "╍", "bad": "┄", "time": "═", "dim": "─"}  # they differ without any colour
FAULTS = "fault/"


class Turn(NamedTuple):
    """From then on the thing is in that state."""

    at: float
    state: str


class Timeline(Docs):
    noun = "host"
    order = ("", False)

    def __init__(self, context: Any, place: Place) -> None:
        self._turns: dict[str, list[Turn]] = {}
        self._read = self._resets = 0
        self.room = 60
        super().__init__(context, place)

    def made_columns(self) -> Sequence[Column]:
        return (
            Column("WHO", 20, self._name, None),
            Column("NOW", 13, self._now, None, stays=1),
            Column("FROM THE BEGIN TO NOW", 40, self._lane, None, grows=True, ages=True),
        )

    def seen(self) -> Any:
        return len(self.model.docs["host"]), len(self.model.marks), self.model.resets

    def keys(self) -> Sequence[str]:
        marks = [f"{FAULTS}{number:05d}" for number in range(len(self.model.marks))]
        return [*marks, *sorted(self.model.docs["host"], key=natural)]

    def row(self, key: str) -> Row | None:
        if key.startswith(FAULTS):
            number = int(key.removeprefix(FAULTS))
            return self.model.marks[number] if number < len(self.model.marks) else None
        return self.model.docs["host"].get(key)

    def stamp(self, key: str) -> Any:
        return self.model.stamp["host"].get(key, 0), self.room

    def text(self, key: str) -> str:
        row = self.row(key)
        return "" if row is None else (row.text if key.startswith(FAULTS) else row["id"]).lower()

    def labels(self, key: str) -> Mapping[str, str]:
        return {}

    def thing(self, key: str) -> tuple[str, str]:
        return ("", "") if key.startswith(FAULTS) else ("host", key)

    def into(self, key: str) -> Place | None:
        return None if key.startswith(FAULTS) else Place("vms", (("host", key),), key)

    def span(self) -> tuple[float, float]:
        """From when to when."""
        clock = self.model.clock
        now = self.context.now()
        if clock is not None:
            return clock.begin, max(clock.end, now, clock.begin + 1.0)
        begin = self.model.log[0].at if self.model.log else now - 60.0
        return begin, max(now, begin + 1.0)

    def panel(self, key: str) -> Lines:
        row = self.row(key)
        if row is None:
            return []
        if key.startswith(FAULTS):
            return [[("↯ ", "time"), (row.text, "strong!")], [], pair("when", self.context.moment(row.t))]
        self._follow()
        lines: Lines = [[*state_cell("host", row["state"])], [], heading("What became of it")]
        turns = self._turns.get(key, [])[-16:]
        lines += [[(f"{self.context.moment(turn.at)}  ", "faint"), *state_cell("host", turn.state)] for turn in turns]
        if not turns:
            lines.append([("nothing has changed so far", "dim")])
        return [*lines, [], heading("Events"), *events_of(self.context, [("host", key)], 10)]

    def _follow(self) -> None:
        """The log says when a host came to which state; it is read on from where it was read last."""
        model = self.model
        if model.resets != self._resets:
            self._turns.clear()
            self._read, self._resets = 0, model.resets
        if model.logged == self._read:
            return
        for line in model.log:
            if line.number > self._read and line.about[0] == "host":
                self._turns.setdefault(line.about[1], []).append(Turn(line.at, line.what))
        self._read = model.logged

    def _name(self, row: Row) -> list[Span]:
        if isinstance(row, Mapping):
            return [(str(row["id"]), "text")]
        return [("↯ ", "time"), (row.text, "time")]

    def _now(self, row: Row) -> list[Span]:
        if isinstance(row, Mapping):
            return state_cell("host", row["state"])
        return [(self.context.moment(row.t), "dim")]

    def _lane(self, row: Row) -> list[Span]:
        begin, end = self.span()
        cells = max(10, min(CELLS, self.room))
        if not isinstance(row, Mapping):
            at = min(cells - 1, max(0, int((row.t - begin) / (end - begin) * cells)))
            return [("·" * at, "line"), ("↯", "time"), ("·" * (cells - at - 1), "line")]
        self._follow()
        turns = self._turns.get(row["id"], [])
        made: list[Span] = []
        # Before its first turn nobody has told; since nothing changes untold, it was what it is if there is none.
        state = row["state"] if not turns else _before(row, len(turns))
        drawn = 0
        for turn in (*turns, None):
            until = cells if turn is None else min(cells, max(0, round((turn.at - begin) / (end - begin) * cells)))
            if until > drawn:
                each = sign("host", state) if state else None
                glyph, tone = (_LANE.get(each.tone, "─"), each.tone) if each is not None else ("─", "faint")
                mark = each.glyph if each is not None and drawn else glyph  # where it came to be so
                made.append((mark + glyph * (until - drawn - 1), tone))
                drawn = until
            if turn is not None:
                state = turn.state
        return made


def _before(host: Row, turns: int) -> str:
    """What it was before the first of so many turns, if its story reaches back so far."""
    story = host.get("story", ())
    first = story[-turns] if turns <= len(story) else ""
    before, arrow, _ = first.partition(" -> ")
    return before if arrow else ""
