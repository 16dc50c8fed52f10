"""Columns of a list: what stands in them, by what they sort, and which leave first when there is little room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tui.glyphs import FULL, REST, sign

Span = tuple[str, str]  # text and tone
Cell = str | Span | Sequence[Span]
Row = Any  # a document, or whatever a list has in its place
GAP = 2


class Column(NamedTuple):
    """``stays``: 0 never leaves; else those with the larger number leave first. ``letter``: shift and it sort by this column.
    ``name``: it is as wide as the longest name, up to ``width``. ``grows``: what room is left is its own."""

    title: str
    width: int
    cell: Callable[[Row], Cell]
    sort: Callable[[Row], Any] | None = None
    letter: str = ""
    stays: int = 0
    right: bool = False
    grows: bool = False
    name: bool = False
    ages: bool = False  # it changes with every second


class Laid(NamedTuple):
    """A column with its place."""

    column: Column
    at: int
    width: int


def lay_out(columns: Sequence[Column], room: int, longest: int, *, wide: bool = False) -> list[Laid]:
    """Those that fit into so many cells. The last ones to leave are those that never do: they are cut."""
    widths = {column.title: _width(column, longest) for column in columns}
    shown = list(columns)
    while not wide and len(shown) > 1 and _total(shown, widths) > room:
        leaving = max(shown, key=lambda column: column.stays)
        if leaving.stays == 0:
            break
        shown.remove(leaving)
    spare = room - _total(shown, widths)
    if spare > 0:
        growing = next((column for column in reversed(shown) if column.grows), None)
        if growing is not None:
            widths[growing.title] += spare
    laid: list[Laid] = []
    at = 0
    for column in shown:
        size = widths[column.title] if wide else max(0, min(widths[column.title], room - at))
        laid.append(Laid(column, at, size))
        at += size + GAP
    return laid


def _width(column: Column, longest: int) -> int:
    return max(len(column.title) + 1, min(column.width, longest + 1)) if column.name else column.width


def _total(columns: Sequence[Column], widths: dict[str, int]) -> int:
    return sum(widths[column.title] for column in columns) + GAP * (len(columns) - 1)


# Cells that many lists have.


def state_cell(noun: str, state: str) -> list[Span]:
    each = sign(noun, state)
    return [(f"{each.glyph} ", each.tone), (state, each.word)]


def level(share: float) -> str:
    """The tone of how full something is."""
    return "accent" if share < 0.75 else "warn" if share < 0.9 else "bad"


def bar(share: float | None, cells: int, tone: str = "") -> list[Span]:
    """Full and rest are two glyphs, so that it says something without colours."""
    if share is None:
        return [(REST * cells, "faint")]
    full = min(cells, max(0, round(share * cells)))
    if share > 0 and full == 0:
        full = 1
    return [(FULL * full, tone or level(share)), (REST * (cells - full), "faint")]


def gauge(share: float | None, cells: int, tone: str = "") -> list[Span]:
    """A bar and its number: `cells` wide, and six more."""
    if share is None:
        return [*bar(None, cells), ("     –", "faint")]
    said = level(share)
    return [*bar(share, cells, tone), (f"{share * 100:5.0f}%", "text" if said == "accent" else said)]
