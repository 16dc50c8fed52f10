"""From cells to what a terminal gets: texts in their tones, in exactly so many cells."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style

from tui.clean import clean, fit, width
from tui.columns import Cell, Span
from tui.theme import Palette

UNDERLINED = Style(underline=True)


def spans(cell: Cell) -> list[Span]:
    if isinstance(cell, str):
        return [(cell, "text")]
    if isinstance(cell, tuple) and len(cell) == 2 and isinstance(cell[1], str):
        return [cell]
    return list(cell)


def segments(
    cell: Cell, cells: int, right: bool, palette: Palette, back: str, *, strong: bool = False
) -> list[Segment]:
    """Exactly so many cells. This is where whatever others have named becomes visible."""
    made = [(clean(text), tone) for text, tone in spans(cell)]
    if len(made) == 1:
        text, tone = made[0]
        tone = "strong!" if strong and tone in ("text", "strong") else tone
        return [Segment(fit(text, cells, right), palette.style(tone, back))]
    drawn: list[Segment] = []
    left = cells
    if right:
        pad = cells - sum(width(text) for text, _ in made)
        if pad > 0:
            drawn.append(Segment(" " * pad, palette.style("text", back)))
            left -= pad
    for text, tone in made:
        size = width(text)
        if size > left:
            drawn.append(Segment(fit(text, left), palette.style(tone, back)))
            left = 0
            break
        drawn.append(Segment(text, palette.style(tone, back)))
        left -= size
    if left > 0:
        drawn.append(Segment(" " * left, palette.style("text", back)))
    return drawn
