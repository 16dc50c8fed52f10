"""A widget that is a few lines of text, drawn anew only when they are others: no layout, no markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.scrollbar import ScrollBarRender
from textual.strip import Strip
from textual.widget import Widget

from tui.clean import clean, fit, width
from tui.columns import Span
from tui.glyphs import in_ascii
from tui.theme import Palette

Line = Sequence[tuple[str, ...]]  # text, tone, and the tone behind it if it is not the widget's own


class Painted(Widget):
    """``paint`` says the lines for so many cells and rows; ``tick`` asks it again."""

    can_focus = False
    back = "base"

    def __init__(self, palette: Callable[[], Palette], ascii: Callable[[], bool], *, id: str = "") -> None:
        super().__init__(id=id or None)
        self._palette, self._ascii = palette, ascii
        self._lines: list[Line] = []
        self._strips: dict[int, Strip] = {}

    def paint(self, cells: int, rows: int) -> list[Line]:
        raise NotImplementedError

    def tick(self) -> None:
        if not self.display or not self.size.width:
            return
        lines = self.paint(self.size.width, self.size.height)
        if lines != self._lines:
            self._lines = lines
            self._strips.clear()
            self.refresh()

    def recolour(self) -> None:
        self._strips.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        if not self._lines:
            self._lines = self.paint(cells, self.size.height)
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != cells:
            line = self._lines[y] if y < len(self._lines) else ()
            strip = self._strips[y] = self._drawn(line, cells)
        return strip

    def on_resize(self) -> None:
        self._lines = []
        self._strips.clear()
        self.refresh()

    def _drawn(self, line: Line, cells: int) -> Strip:
        palette, ascii = self._palette(), self._ascii()
        made = []
        for text, tone, *behind in line:
            text = clean(text)
            made.append(
                Segment(in_ascii(text) if ascii else text, palette.style(tone, behind[0] if behind else self.back))
            )
        return Strip(made).adjust_cell_length(cells, palette.style("text", self.back))


class PlainScrollBar(ScrollBarRender):
    """Its thumb ends at whole cells."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


def plain_scrollbars(widget: Widget) -> None:
    """Where there are no glyphs for parts of a cell."""
    widget.vertical_scrollbar.renderer = PlainScrollBar  # type: ignore[misc]  # so Textual wants it
    widget.horizontal_scrollbar.renderer = PlainScrollBar  # type: ignore[misc]  # so Textual wants it


def cells_of(line: Line) -> int:
    return sum(width(clean(part[0])) for part in line)


def apart(left: Line, right: Line, cells: int) -> Line:
    """One at each edge; if there is no room for both the right one goes."""
    room = cells - cells_of(left) - cells_of(right)
    return [*left, (" " * room, "text"), *right] if room >= 1 else left


def wrapped(lines: Sequence[Sequence[Span]], cells: int) -> list[list[Span]]:
    """Each line in as many as it takes, broken between words where that is possible."""
    made: list[list[Span]] = []
    for line in lines:
        now: list[Span] = []
        left = cells
        for text, tone in line:
            text = clean(text)
            while text:
                size = width(text)
                if size <= left:
                    now.append((text, tone))
                    left -= size
                    break
                cut = text.rfind(" ", 0, left + 1) if size == len(text) else -1
                if cut <= 0 and now and left < cells // 2:
                    cut = 0
                if cut == 0 or (cut < 0 and now and left < 8):
                    made.append(now)
                    now, left, text = [], cells, text.lstrip(" ")
                    continue
                head = text[:cut] if cut > 0 else _cut(text, left)
                now.append((head, tone))
                made.append(now)
                now, left, text = [], cells, text[len(head) :].lstrip(" ")
        made.append(now)
    return made


def _cut(text: str, cells: int) -> str:
    """As much of it as fits, one character at least."""
    if text.isascii():
        return text[: max(1, cells)]
    size = 0
    for place, each in enumerate(text):
        size += width(each)
        if size > cells:
            return text[: max(1, place)]
    return text


def padded(text: str, cells: int) -> str:
    return fit(clean(text), cells)
