"""The heat map: a tile for each host, by zone, as large as there is room for; its colour is how much of its memory is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from textual import events
from textual.message import Message

from tui.ages import percent
from tui.glyphs import STAR, sign
from tui.model import Model
from tui.painted import Line, Painted, padded
from tui.theme import HEAT_STEPS
from tui.views.base import natural
from tui.views.hosts import Use, leader, use

if TYPE_CHECKING:
    from tui.app import Dashboard

STRETCHED_FROM, STRETCHED_MOST = 7, 26  # cells of a tile
QUIET_BELOW = 4 / HEAT_STEPS  # a warm tile is too bright for grey words
NO_ZONE = "hosts"  # of a cluster without zones
_BACK = {"bad": "tile-bad", "warn": "tile-warn", "info": "tile-info", "time": "tile-info"}
_WORDS = {
    "fenced": "DEAD",
    "recovered": "DEAD",
    "suspect": "LATE",
    "unmanaged": "ALONE",
    "maintenance": "MAINT",
    "entering-maintenance": "DRAIN",
    "joining": "JOIN",
    "quarantined": "QUAR",
    "read-only": "R/O",
}


class Size(NamedTuple):
    cells: int
    rows: int
    gap: int  # cells between two
    below: int  # rows between two


SIZES = (
    Size(18, 2, 2, 1),
    Size(16, 2, 2, 1),
    Size(13, 2, 1, 1),
    Size(16, 2, 1, 0),
    Size(13, 2, 1, 0),
    Size(9, 1, 1, 1),
    Size(9, 1, 1, 0),
    Size(7, 1, 1, 0),
    Size(4, 1, 1, 0),
    Size(2, 1, 1, 0),
    Size(1, 1, 0, 0),
)


class Zone(NamedTuple):
    name: str
    hosts: tuple[str, ...]


def zones(model: Model) -> list[Zone]:
    found: dict[str, list[str]] = {}
    for id, host in model.docs["host"].items():
        found.setdefault(host["zone"], []).append(id)
    return [
        Zone(f"zone {name}" if name else NO_ZONE, tuple(sorted(ids, key=natural)))
        for name, ids in sorted(found.items())
    ]


def short_names(ids: Sequence[str]) -> Mapping[str, str]:
    """Without what they all begin with: host-01 is 01."""
    if len(ids) < 2:
        return {id: id for id in ids}
    least, most = min(ids), max(ids)
    same = next((n for n, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), min(len(least), len(most)))
    begin = least[:same].rstrip("0123456789")
    return {id: id[len(begin) :] or id for id in ids}


class Map(NamedTuple):
    lines: list[Line]
    places: list[tuple[str, int, int, Size]]  # host, x, y, size


def drawn(model: Model, cells: int, rows: int, cursor: str = "", *, strip: bool = False) -> Map:
    """As large as fits into so many rows; what fits into none is told as a number. ``strip``: one row for each tile."""
    groups = zones(model)
    if not groups:
        return Map([[("no host is known yet", "dim")]], [])
    names = short_names(list(model.docs["host"]))
    label = min(14, max(len(group.name) for group in groups) + 1)
    sizes = [size for size in SIZES if not strip or size.rows == 1]
    size = _best(groups, sizes, cells - label, rows)
    each_row = _each_row(size, cells - label)
    size = _stretched(size, cells - label, min(each_row, max(len(group.hosts) for group in groups)))
    lines: list[Line] = []
    places: list[tuple[str, int, int, Size]] = []
    first = leader(model)
    for group in groups:
        for begin in range(0, len(group.hosts), each_row):
            if lines and size.below:
                lines += [[]] * size.below
            part = group.hosts[begin : begin + each_row]
            top = len(lines)
            for row in range(size.rows):
                made: list[tuple[str, ...]] = [(padded(group.name if begin == 0 and row == 0 else "", label), "dim")]
                for id in part:
                    made += _tile(model, id, names[id], size, row, id == first, id == cursor)
                    made.append((" " * size.gap, "text"))
                lines.append(made)
            places += [(id, label + number * (size.cells + size.gap), top, size) for number, id in enumerate(part)]
    if len(lines) > rows > 0:
        hidden = sum(1 for _, _, y, _ in places if y >= rows - 1)
        lines = [*lines[: rows - 1], [(f"… and {hidden:,} more: 3 shows all", "dim")]]
    return Map(lines, places)


def _best(groups: Sequence[Zone], sizes: Sequence[Size], cells: int, rows: int) -> Size:
    """The first that fits; of those with two lines the one that takes the fewest rows, for tiles are stretched anyway."""
    fitting = [size for size in sizes if _rows(groups, size, cells) <= rows]
    if not fitting:
        return sizes[-1]
    alike = [size for size in fitting if (size.rows, size.below) == (fitting[0].rows, fitting[0].below)]
    return min(alike, key=lambda size: _rows(groups, size, cells))


def _each_row(size: Size, cells: int) -> int:
    return max(1, (cells + size.gap) // (size.cells + size.gap))


def _stretched(size: Size, cells: int, each_row: int) -> Size:
    """As broad as the row has room for, up to what is pleasant."""
    if size.cells < STRETCHED_FROM:
        return size
    room = (cells + size.gap) // max(1, each_row) - size.gap
    return size._replace(cells=max(size.cells, min(room, STRETCHED_MOST if size.rows > 1 else size.cells + 4)))


def _rows(groups: Sequence[Zone], size: Size, cells: int) -> int:
    each_row = _each_row(size, cells)
    bands = sum(-(-len(group.hosts) // each_row) for group in groups)
    return bands * size.rows + (bands - 1) * size.below


def needed(model: Model, cells: int, most: int, *, strip: bool = False) -> int:
    """Rows that it takes if it may have so many."""
    return min(most, max(1, len(drawn(model, cells, most, strip=strip).lines)))


def _tile(model: Model, id: str, name: str, size: Size, row: int, first: bool, cursor: bool) -> list[tuple[str, ...]]:
    host = model.docs["host"][id]
    state = sign("host", host["state"])
    of = use(model, host)
    usual = host["state"] == "online"
    back = f"heat-{min(HEAT_STEPS - 1, int(of.memory * HEAT_STEPS))}" if usual else _BACK.get(state.tone, "tile-warn")
    tone = "text" if usual else state.tone
    if cursor:
        tone, back = "base!", "accent"
    glyph = STAR if first else state.glyph if not usual else " "
    text = _words(size, row, host, of, glyph, name, usual)
    if row == 0 and usual and not cursor and size.cells >= 4:
        return [(text, "strong", back)]
    quiet = row and usual and not cursor and of.memory < QUIET_BELOW
    return [(text, "dim" if quiet else tone, back)]


def _words(size: Size, row: int, host: Mapping[str, Any], of: Use, glyph: str, name: str, usual: bool) -> str:
    word = _WORDS.get(host["state"], "?")
    if size.cells == 1:
        return glyph
    if size.cells == 2:
        return f"{glyph}{name[-1:]}"
    if size.cells == 4:
        return padded(f"{glyph}{name}", 4)
    share = percent(of.memory) if usual else word
    if row == 0:
        room = size.cells - len(share) - 3
        return f"{glyph} {padded(name, room)}{share} " if size.rows == 2 else _one_row(size, glyph, name, share)
    left, right = f"  {of.vms:,} VM", f"c {percent(of.cpu)} "
    return left + " " * max(1, size.cells - len(left) - len(right)) + right


def _one_row(size: Size, glyph: str, name: str, share: str) -> str:
    room = size.cells - len(share) - 1
    return padded(f"{glyph}{padded(name, max(1, room - 1))} {share}", size.cells)


class HeatMap(Painted):
    """A pane of the pulse, with a cursor of its own."""

    class Opened(Message):
        """A host was clicked."""

        def __init__(self, host: str) -> None:
            super().__init__()
            self.host = host

    def __init__(self, board: Dashboard) -> None:
        super().__init__(board.palette, board.in_ascii, id="heat")
        self.board = board
        self.cursor = ""
        self.live = False
        self._places: list[tuple[str, int, int, Size]] = []

    def paint(self, cells: int, rows: int) -> list[Line]:
        map = drawn(self.board.model, cells, rows, self.cursor if self.live else "")
        self._places = map.places
        return map.lines

    def move(self, across: int, down: int) -> None:
        """To the next tile in that direction."""
        ids = [id for id, *_ in self._places]
        if not ids:
            return
        if self.cursor not in ids:
            self.cursor = ids[0]
        elif across:
            self.cursor = ids[max(0, min(len(ids) - 1, ids.index(self.cursor) + across))]
        else:
            _, x, y, _ = self._places[ids.index(self.cursor)]
            beyond = [place for place in self._places if (place[2] > y if down > 0 else place[2] < y)]
            if beyond:
                row = min(beyond, key=lambda place: abs(place[2] - y))[2]
                self.cursor = min((place for place in beyond if place[2] == row), key=lambda place: abs(place[1] - x))[
                    0
                ]
        self.tick()

    def on_click(self, event: events.Click) -> None:
        inside = event.get_content_offset(self)
        if inside is None:
            return
        for id, x, y, size in self._places:
            if x <= inside.x < x + size.cells and y <= inside.y < y + size.rows:
                self.cursor = id
                self.post_message(self.Opened(id))
